"""All actors in one process: a worker on queues in memory, and the scheduler's ticks, which refill them.

PostgreSQL is the truth, so this process may be killed at any moment: the next one sweeps every ready row at once. On a
signal the caller stops what stores usage first; this block then stops the worker and the ticks; pool and PostgreSQL
follow.
"""

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from time import monotonic

from dramatiq.worker import Worker
from sqlalchemy import text

from queues.broker import broker
from queues.topology import STEPS, work_queues
from workers.store.database import engine

#: Hints that run at a time; more would wait for the interpreter's lock.
THREADS = 2
#: How often a queue in memory is looked at.
LOOK_MS = 100
#: What a fleet asks every second is asked this often here: somebody watches.
TICK_S = 0.25
#: How often `settle` looks whether anything is owed.
POLL_S = 0.05
#: Longest that the worker may take to finish what it has begun.
STOP_MS = 30_000


class NotSettled(Exception):
    """Work was still owed when the time was over."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What is left to do: rows that are ready, those of them that are due now, dead ones, and replays under way.

    What waits for an accounting period of an ERP is not among them: somebody else opens it.
    """

    ready: int
    due: int
    dead: int
    replays: int = 0


@contextmanager
def running() -> Iterator[None]:
    """Do the work that is owed, in this process, while the block runs.

    Every ready row is hinted at once, since a former process may have taken its hints with it.
    """
    from workers import scheduler, sweeper

    for step in STEPS:
        importlib.import_module(f"workers.{step}")
    with engine().connect() as conn:
        connections = list(conn.execute(text("select id from erp_connections order by id")).scalars())
    for queue in work_queues(connections):
        broker().declare_queue(queue)
    ticks = {
        name: replace(tick, every_s=TICK_S) if tick.every_s is not None and tick.every_s <= 1 else tick
        for name, tick in scheduler.TICKS.items()
    }
    _boot()
    with scheduler.ticking(ticks), _working():
        sweeper.sweep(at_once=True)
        yield


@cache
def _boot() -> None:
    """Tell the middleware that the process has begun, which its timers do not take twice."""
    broker().emit_after("process_boot")


@contextmanager
def _working() -> Iterator[None]:
    """Dramatiq's worker on the queues in memory; on leaving it finishes what it has begun."""
    worker = Worker(broker(), worker_timeout=LOOK_MS, worker_threads=THREADS)
    without = list(broker().middleware)
    worker.start()
    try:
        yield
    finally:
        worker.stop(timeout=STOP_MS)
        # what starting added would give a later queue to this worker, which is gone
        broker().middleware[:] = without


def owed() -> Owed:
    """What is left to do now."""
    with engine().connect() as conn:
        row = conn.execute(
            text("""select count(*) filter (where w.state = 'ready') as ready,
                 count(*) filter (where w.state = 'ready' and w.due_at <= now()) as due,
                 count(*) filter (where w.state = 'dead') as dead,
                 (select count(*) from replays where state = 'running') as replays
                 from work w where w.state in ('ready', 'dead') and (w.due_at <= now()
                   or not (w.subject like 'erp_period/%' or exists (select from exceptions x
                     where x.work_id = w.id and x.state = 'open' and x.code = 'period_closed')))""")
        ).one()
    return Owed(row.ready, row.due, row.dead, row.replays)


def settle(*, within_s: float, look: Callable[[Owed], object] = lambda _owed: None) -> Owed:
    """Wait until no work is ready and no replay runs, then tell what is missing; `look` is called with what is left.

    Raises `NotSettled` after `within_s`.
    """
    from workers import gaps

    deadline = monotonic() + within_s
    pause = threading.Event()
    while True:
        left = owed()
        look(left)
        if not left.ready and not left.replays:
            gaps.look_now()
            return left
        if monotonic() > deadline:
            raise NotSettled(f"{left.ready} work rows are still ready after {within_s:.0f} s")
        pause.wait(POLL_S)
