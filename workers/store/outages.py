"""Outages as the database knows them: which partner leaves work waiting, and which outage has been told and not ended.

There is no table of outages: a row of work says which partner it waits for, and the last notice about a dependency
says whether people were told that it is away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from domain.degradation import BY_DEPENDENCY, OUTAGES, Dependency, Outage
from domain.notices import DEPENDENCY_AWAY, dependency_away, dependency_back
from queues.work import Hintable
from workers.store import notices

#: Partners that nobody asks unless there is work for them: they are away while a row of these steps waits for them.
PARTNERS: tuple[Dependency, ...] = ("erp", "tax_engine")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A partner that did not answer, by the rows that were last put off because of it."""

    dependency: Dependency
    name: str


_WAITING = text("""
select distinct outcome, coalesce(connection_id, '') as name from work
where state = 'ready' and step in ('tax', 'post') and outcome = any(cast(:outcomes as text[])) order by 1, 2
""")


def waiting(conn: Connection) -> list[Waiting]:
    """The partners that are away at this moment."""
    outcomes = {f"{each}_away": each for each in PARTNERS}
    found = conn.execute(_WAITING, {"outcomes": list(outcomes)})
    return [Waiting(outcomes[row.outcome], row.name) for row in found]


def connections(conn: Connection) -> list[str]:
    """The ERP connections there are."""
    return list(conn.execute(text("select id from erp_connections order by id")).scalars())


_TOLD = text("""
select d.label, n.key, n.routing_key from unnest(cast(:labels as text[])) as d (label)
cross join lateral (select key, routing_key from notices where key >= :root || '/' || d.label || '/'
  and key < :root || '/' || d.label || '0' order by key desc limit 1) n
""")


@dataclass(frozen=True, slots=True)
class Told:
    """The last outage of a dependency that people were told of, and whether they were told that it is over."""

    outage: Outage
    is_open: bool


def told(conn: Connection) -> dict[str, Told]:
    """By label, the last outage of each dependency and ERP connection that was told."""
    names: list[tuple[Dependency, str]] = [(each, "") for each in BY_DEPENDENCY]
    names += [("erp", name) for name in connections(conn)]
    labels = {Outage(each, datetime.min, name).label: (each, name) for each, name in names}  # noqa: DTZ901 -- no time
    found = conn.execute(_TOLD, {"labels": list(labels), "root": OUTAGES})
    result = {}
    for row in found:
        dependency, name = labels[row.label]
        since = datetime.fromisoformat(row.key.split("/")[2])
        result[row.label] = Told(Outage(dependency, since, name), row.routing_key == DEPENDENCY_AWAY)
    return result


def owe_away(conn: Connection, outages: Iterable[Outage], *, at: datetime, correlation_id: str) -> list[Hintable]:
    """Owe operations the notice that each is away."""
    hints: list[Hintable] = []
    for each in outages:
        key = away_key(each)
        hints += notices.owe_once(conn, dependency_away(each), key=key, at=at, correlation_id=correlation_id)
    return hints


def owe_back(
    conn: Connection, ended: Iterable[tuple[Outage, datetime]], *, at: datetime, correlation_id: str
) -> list[Hintable]:
    """Owe operations the notice that each is back, with when it was."""
    hints: list[Hintable] = []
    for each, until in ended:
        notice = dependency_back(each, until=until)
        hints += notices.owe_once(conn, notice, key=f"{each.key}/back", at=at, correlation_id=correlation_id)
    return hints


def away_key(outage: Outage) -> str:
    """Under which the notice that it is away is known, whoever sends it first."""
    return f"{outage.key}/away"


_HELD_BACK = text("""
select step, count(*) as rows from work where state = 'ready' and step = any(cast(:steps as text[]))
  and (:name = '' or connection_id = :name) group by step order by step
""")


def held_back(conn: Connection, outage: Outage) -> Sequence[tuple[str, int]]:
    """(step, rows) that are ready and wait because of the outage."""
    values = {"steps": list(BY_DEPENDENCY[outage.dependency].waits), "name": outage.name}
    return [(row.step, row.rows) for row in conn.execute(_HELD_BACK, values)]
