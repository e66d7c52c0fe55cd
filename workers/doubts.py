"""Looks for readings of registers that cannot be counted, before a period is frozen: they wait as exceptions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import Connection, text

from domain.errors import Snooze
from domain.periods import Window
from queues import work
from queues.work import Hintable, NewWork
from workers.attributing import with_periods
from workers.step import publish
from workers.store import attributions, doubts, fence
from workers.store.database import engine
from workers.store.doubts import Doubts, Key
from workers.unit import database_now

#: What one row of work may weigh at most, as those of parked usage.
WEIGHT_MAX = 5_000
#: A look rests after this long and goes on where it was: a step ends by force after four times as long.
LOOK_S_MAX = 60.0
#: What was changed by a transaction that began so long before a look may have been committed after it.
MARGIN = timedelta(minutes=10)
_FIRST = Key(0, 0, "")


@dataclass(slots=True)
class _Look:
    """How far this process has come with a period: which register is next; since when changes count, if not all do."""

    began_at: datetime
    since: datetime | None = None
    after: Key = _FIRST


#: By period. Another process begins anew: that costs time and changes nothing.
_looks: dict[int, _Look] = {}


def look_now(period_id: int) -> int:
    """Take out what cannot be counted in the period, and decide again what no longer is in doubt; how many were.

    A register whose windows are as they were at the last look is not read again. What came late in a period before this
    one is seen when it touches this one, or refused by the rating. Raises `Snooze` if there are more than one go takes.
    """
    deadline, count = monotonic() + LOOK_S_MAX, 0
    with engine().connect() as conn:
        if not doubts.has_registers(conn):
            return 0
        now = database_now(conn)
        bounds = conn.execute(
            text("select starts_at, ends_at from billing_periods where id = :id"), {"id": period_id}
        ).one()
    look = _looks.setdefault(period_id, _Look(now))
    for found in _portions(period_id, Window(*bounds), look):
        count += found
        if monotonic() > deadline:
            raise Snooze("the readings of registers are still being looked at", delay_s=0.1)
    _looks[period_id] = _Look(now, since=look.began_at - MARGIN)
    return count


def _portions(period_id: int, period: Window, look: _Look) -> Iterator[int]:
    """Look at the registers portion by portion, each in a transaction of its own; how much was done in each."""
    while True:
        with engine().begin() as conn:
            fence.share(conn)
            keys = doubts.registers(conn, period_id, after=look.after, since=look.since)
            if not keys:
                return
            found = doubts.look(conn, keys, period)
            hints = _act(conn, period_id, found)
        publish(hints)
        look.after = keys[-1]
        yield len(found.doubtful) + len(found.settled)


def _act(conn: Connection, period_id: int, found: Doubts) -> list[Hintable]:
    owed: list[NewWork] = []
    if found.doubtful:
        (batch,) = attributions.new_batches(conn, "moved", [None])
        doubts.take_out(conn, found.doubtful, period_id=period_id, batch_no=batch)
        owed.append(_aggregate(period_id, batch, len(found.doubtful)))
    if found.settled:
        (batch,) = attributions.new_batches(conn, "healed", [None])
        with_periods(conn, lambda: attributions.heal(conn, found.settled, batch_no=batch))
        owed.append(_aggregate(period_id, batch, len(found.settled)))
    return work.insert(conn, owed)


def _aggregate(period_id: int, batch: int, weight: int) -> NewWork:
    return NewWork("aggregate", f"batch/{batch}", f"billing_period/{period_id}", weight=min(weight, WEIGHT_MAX))
