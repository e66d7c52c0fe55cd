"""Looks for readings of registers that cannot be counted, before a period is frozen: they wait as exceptions."""

from sqlalchemy import Connection, text

from domain.periods import Window
from queues import work
from queues.work import Hintable, NewWork
from workers.attributing import with_periods
from workers.step import publish
from workers.store import attributions, doubts, fence
from workers.store.database import engine
from workers.store.doubts import Doubts, Key

#: What one row of work may weigh at most, as those of parked usage.
WEIGHT_MAX = 5_000
_FIRST = Key(0, 0, "")


def look_now(period_id: int) -> int:
    """Take out what cannot be counted in the period, and decide again what no longer is in doubt; how many were."""
    with engine().connect() as conn:
        if not doubts.has_registers(conn):
            return 0
        starts_at, ends_at = conn.execute(
            text("select starts_at, ends_at from billing_periods where id = :id"), {"id": period_id}
        ).one()
    last, count = _FIRST, 0
    while True:
        with engine().begin() as conn:
            fence.share(conn)
            keys = doubts.registers(conn, period_id, after=last)
            if not keys:
                return count
            found = doubts.look(conn, keys, Window(starts_at, ends_at))
            hints = _act(conn, period_id, found)
        publish(hints)
        last, count = keys[-1], count + len(found.doubtful) + len(found.settled)


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
