"""What is away at this moment, with what waits for it, as `status` and `doctor` show it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from domain.degradation import BY_DEPENDENCY, Dependency, Outage
from workers.cli import console
from workers.cli.checks import Check, meanwhile
from workers.store import outages
from workers.unit import database_now
from workers.watch import answers

_SHORT = {"erp": "ERP", "tax_engine": "tax engine"}
_ASK = "ask whoever runs it; nothing needs to be repeated by hand"


@dataclass(frozen=True, slots=True)
class Away:
    """Something we depend on that does not answer; `since` is when people were told of it, if they were."""

    dependency: Dependency
    name: str
    since: datetime | None
    waits: dict[str, int]
    sentence: str


def now(conn: Connection) -> list[Away]:
    """Ask every server once, and the work which partner it waits for."""
    silent = [(name, "") for name, reason in answers("rabbitmq", "redis", "sentry").items() if reason is not None]
    found = [*silent, *((each.dependency, each.name) for each in outages.waiting(conn))]
    return [_away(conn, dependency, name) for dependency, name in found]


def _away(conn: Connection, dependency: Dependency, name: str) -> Away:
    outage = Outage(dependency, database_now(conn), name)
    told = outages.told(conn).get(outage.label)
    since = told.outage.since if told is not None and told.is_open else None
    waits = dict(outages.held_back(conn, outage))
    return Away(dependency, name, since, waits, BY_DEPENDENCY[dependency].waits_where)


def show(found: Sequence[Away]) -> None:
    """Print them for people; nothing if all is there."""
    if found:
        rows = [[_label(each), _since(each), _counts(each.waits), each.sentence] for each in found]
        console.out().print(console.table("Away", ["what", "since (UTC)", "work that waits", "meanwhile"], rows))


def partner_checks(conn: Connection) -> Iterator[Check]:
    """A check for each partner that work waits for."""
    for each in outages.waiting(conn):
        found = _away(conn, each.dependency, each.name)
        says = f"away, waits: {_counts(found.waits)}"
        yield Check(_label(found), "wrong", says, meanwhile(each.dependency, _ASK))


def sentry_checks() -> Iterator[Check]:
    """Whether Sentry answers, if one is named."""
    for reason in answers("sentry").values():
        if reason is None:
            yield Check("Sentry", "ok", "answers")
        else:
            fix = meanwhile("sentry", "check TALLYLINE_SENTRY_DSN, and that its host is reached from here")
            yield Check("Sentry", "warning", f"away: {reason}", fix)


def _label(each: Away) -> str:
    return f"{_SHORT.get(each.dependency, BY_DEPENDENCY[each.dependency].name)} {each.name}".strip()


def _since(each: Away) -> str:
    return f"{each.since:%Y-%m-%d %H:%M:%S}" if each.since else ""


def _counts(waits: dict[str, int]) -> str:
    return ", ".join(f"{console.count(rows)} of {step}" for step, rows in waits.items()) or "none"
