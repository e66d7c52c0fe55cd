"""Tells operations of outages: once when something goes away, once when it is back."""

from datetime import UTC, datetime

from sqlalchemy import Connection

from domain.degradation import Outage
from queues.telemetry import correlation_id
from queues.work import Hintable
from workers.step import publish
from workers.store import outages
from workers.store.database import engine
from workers.store.outages import Told
from workers.unit import database_now
from workers.watch import Watch, watch

#: What makes the notices of one tick a story of their own in the logs.
CORRELATION = "tick-tell-outages"


def tell() -> None:
    """Owe the notices that are missing: of servers as the watch sees them, of partners as the work says."""
    seen = watch()
    seen.leads()
    ended = seen.take_ended()
    try:
        with engine().begin() as conn:
            hints = _owed(conn, seen, ended)
    except BaseException:
        seen.give_back(ended)
        raise
    publish(hints)


def _owed(conn: Connection, seen: Watch, ended: list[tuple[Outage, datetime]]) -> list[Hintable]:
    now, told = database_now(conn), outages.told(conn)
    away = current(conn, seen)
    over = [(each.outage, now) for label, each in told.items() if label not in away and _is_over(each, seen)]
    missed = [each for each in ended if _is_news(each[0], told)]
    begun = [each for label, each in away.items() if label not in told or not told[label].is_open]
    cause = correlation_id.get() or CORRELATION
    hints = outages.owe_away(conn, [*(outage for outage, _ in missed), *begun], at=now, correlation_id=cause)
    return hints + outages.owe_back(conn, [*missed, *over], at=now, correlation_id=cause)


def current(conn: Connection, seen: Watch) -> dict[str, Outage]:
    """By label, what is away now: servers since the watch saw it, partners since now at the latest."""
    found = [each.outage for each in seen.standing().values() if each.outage is not None]
    found += [Outage(each.dependency, datetime.now(UTC), each.name) for each in outages.waiting(conn)]
    return {each.label: each for each in found}


def _is_over(last: Told, seen: Watch) -> bool:
    """Whether an outage that was told and is not seen is over: of a server only once the watch has asked it."""
    dependency = last.outage.dependency
    return last.is_open and (dependency in outages.PARTNERS or dependency in seen.standing())


def _is_news(outage: Outage, told: dict[str, Told]) -> bool:
    """Whether another process that led has not told of it before."""
    last = told.get(outage.label)
    return last is None or outage.since > last.outage.since
