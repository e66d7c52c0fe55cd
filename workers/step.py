"""`@step`: all that actors have in common, so that each reads as one sentence: load, decide, save, say what is next.

One transaction claims the rows, does the effect, inserts what the next steps owe and marks the rows done; hints follow
the commit. It is no Dramatiq middleware: an exception there is logged, and the actor runs all the same.
"""

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Literal, TypeAlias, overload

import dramatiq
import psycopg
import structlog
from dramatiq.middleware import TimeLimitExceeded
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.errors import Rejection, Snooze, Transient
from queues import hints, work
from queues.broker import broker, redelivered
from queues.settings import settings
from queues.topology import STEPS_PER_CONNECTION, Step, queues_of
from queues.work import Hintable, Ready
from workers.store.database import engine
from workers.unit import Errand, LeaseLost, Unit, bury, database_now

log = structlog.get_logger(__name__)

Body: TypeAlias = Callable[[Unit], None]
Call: TypeAlias = Callable[[Errand], None]
Actor: TypeAlias = dramatiq.Actor[[list[int]], None]

#: SQLSTATE classes that say nothing about the row: connection, deadlock and serialisation, resources, shutdown.
PASSING_STATES = ("08", "40", "53", "57P", "55P03")
#: How long such a row rests; a hint that met a locked row is sent again after the same time.
REST_S = 1.0
#: A step may take this long, twice the longest statement; outside calls have deadlines of their own.
TIME_LIMIT_MS = 240_000


class DatabaseAway(Exception):
    """The database does not answer: the hint goes back to its queue and is tried again shortly."""


@overload
def step(name: Step) -> Callable[[Body], Actor]: ...
@overload
def step(name: Step, *, lease_s: float) -> Callable[[Call], Actor]: ...
def step(name: Step, *, lease_s: float | None = None) -> Callable[[Body], Actor] | Callable[[Call], Actor]:
    """Make the function the actor of the step `name`; with `lease_s` it calls the outside, one leased row at a time."""

    def over_rows(body: Body) -> Actor:
        _bodies[name] = body
        return _actor(name, partial(_transact, body), body)

    def over_calls(body: Call) -> Actor:
        return _actor(name, partial(_call, body, lease_s or 0), body)

    return over_rows if lease_s is None else over_calls


Run: TypeAlias = Callable[[str, Sequence[int]], None]
#: How each step of this process runs its rows.
_runs: dict[str, Run] = {}
#: What each step of this process does in one transaction.
_bodies: dict[str, Body] = {}


def rehearse(conn: Connection, name: str, ids: Sequence[int]) -> list[Hintable]:
    """Do for these rows what the step does, in the caller's transaction, which is not to be committed.

    Returns what is owed next. Only for steps that run in one transaction and call nothing outside.
    """
    claimed = work.claim(conn, name, ids)
    return _within(conn, _bodies[name], name, claimed)


def _actor(name: Step, run: Run, body: Callable[..., None]) -> Actor:
    _runs[name] = run

    def act(ids: list[int]) -> None:
        perform(name, ids, is_redelivered=redelivered())

    act.__doc__ = body.__doc__
    for queue in () if name in STEPS_PER_CONNECTION else queues_of(name):
        broker().declare_queue(queue)
    # an outage of the database is told once by the scheduler, not with a traceback for each hint that met it
    declare = dramatiq.actor(
        actor_name=name, queue_name=name, broker=broker(), time_limit=TIME_LIMIT_MS, throws=DatabaseAway
    )
    return declare(act)


def perform(name: str, ids: Sequence[int], *, is_redelivered: bool = False) -> None:
    """Do what the hint says: a redelivered one row by row, each start counted, another in runs of bounded weight."""
    if is_redelivered:
        for work_id in ids:
            if _is_to_start(name, work_id):
                _attempt(name, [work_id])
        return
    limits = settings()
    with _database(), engine().begin() as conn:  # a rollback would make psycopg forget all it has prepared
        runs = work.chunks(work.weights(conn, ids), rows_max=limits.hint_rows_max, weight_max=limits.hint_weight_max)
    for part in runs:
        _attempt(name, part)


def _is_to_start(name: str, work_id: int) -> bool:
    with _database(), engine().begin() as conn:
        starts = work.start(conn, work_id)
    if starts <= settings().starts_max:
        return starts > 0
    poison = Rejection(f"started {starts - 1} times without an outcome: it kills its worker", code="poison")
    _bury(name, work_id, poison)
    return False


def _attempt(name: str, ids: Sequence[int]) -> None:
    """Run the rows together; if that fails and there are several, each by itself, so a bad row harms no other."""
    started = monotonic()
    outcome: str
    try:
        _runs[name](name, ids)
    except Snooze as snooze:
        outcome = _rest(ids, snooze) if len(ids) == 1 else "split"
    except (Exception, TimeLimitExceeded) as error:  # noqa: BLE001 -- each becomes an outcome of the row
        if is_passing(error):
            outcome = _rest(ids, Snooze(f"{type(error).__name__}: the database was busy or away", delay_s=REST_S))
            _hint_again(ids)
        elif len(ids) > 1:
            outcome = "split"
        else:
            outcome = _failed(name, ids[0], error)
    else:
        outcome = "done"
    log.info("step", step=name, rows=len(ids), outcome=outcome, seconds=round(monotonic() - started, 4))
    if outcome == "split":
        for work_id in ids:
            _attempt(name, [work_id])


def _transact(body: Body, name: str, ids: Sequence[int]) -> None:
    with engine().begin() as conn:
        claimed = work.claim(conn, name, ids)
        owed = _within(conn, body, name, claimed)
    publish(owed)
    missed = sorted(set(ids) - {row.id for row in claimed})
    if missed:
        _hint_again(missed)


def _within(conn: Connection, body: Body, name: str, claimed: Sequence[Ready]) -> list[Hintable]:
    work.lock_subjects(conn, name, [row.subject for row in claimed])
    stale = work.superseded(conn, [row.id for row in claimed])
    if stale:
        work.done(conn, sorted(stale), outcome="superseded")
    unit = Unit(conn, tuple(row for row in claimed if row.id not in stale), database_now(conn))
    if unit.ready:
        body(unit)
    return unit.settle()


def _call(body: Call, lease_s: float, name: str, ids: Sequence[int]) -> None:
    if len(ids) > 1:  # each by itself from the start: a leased row cannot be leased again to record its outcome
        for work_id in ids:
            _attempt(name, [work_id])
        return
    with engine().begin() as conn:
        leased = work.lease(conn, name, ids[0], lease_s=lease_s)
    if leased is None:
        return
    ready, lease_no, deadline = leased
    errand = Errand(engine(), ready, lease_no, deadline)
    try:
        body(errand)
    except LeaseLost:
        log.warning("lease lost", step=name, work=ready.id, lease=lease_no)
        return
    finally:
        publish(errand.hints)
    if not errand.is_finished:
        raise Transient(f"{name} ended without an outcome")


def _failed(name: str, work_id: int, error: BaseException) -> str:
    """Record the outcome of a row that failed alone."""
    if isinstance(error, Rejection):
        _bury(name, work_id, error)
        return error.code
    sentence = f"{type(error).__name__}: {error}"
    with _database(), engine().begin() as conn:
        exhausted = work.attempts_of(conn, work_id) + 1 >= settings().attempts_max
        if not exhausted:
            work.again(conn, work_id, sentence=sentence)
    if not exhausted:
        if not isinstance(error, Transient):
            log.error("step failed", step=name, work=work_id, exc_info=error)
        return "again"
    _bury(name, work_id, Rejection(sentence, code="attempts_exhausted"))
    return "attempts_exhausted"


def _bury(name: str, work_id: int, rejection: Rejection) -> None:
    with _database(), engine().begin() as conn:
        ready = work.hold(conn, work_id)
        if ready is not None:
            bury(conn, ready, code=rejection.code, sentence=rejection.sentence, facts=rejection.facts)
            log.warning("dead", step=name, work=work_id, subject=ready.subject, code=rejection.code)


def _rest(ids: Sequence[int], snooze: Snooze) -> Literal["snooze"]:
    with _database(), engine().begin() as conn:
        work.snooze(conn, ids, delay_s=snooze.delay_s, sentence=snooze.sentence, outcome=snooze.outcome)
    return "snooze"


def _hint_again(ids: Sequence[int]) -> None:
    """Hint what will be ready after a rest once more: the hint that met the lock or the outage is consumed."""
    with _database(), engine().connect() as conn:
        rows = work.still_ready(conn, ids, within_s=REST_S)
    publish(rows, delay_s=REST_S)


def publish(rows: Sequence[Hintable], *, delay_s: float = 0) -> None:
    """Hint the rows, grouped by queue; a hint that cannot be sent is left to the sweeper, which finds the row."""
    limits = settings()
    queues = {(row.step, row.queue) for row in rows}
    for name, queue in sorted(queues):
        of_queue = [row for row in rows if row.queue == queue]
        pairs = ((row.id, row.weight) for row in of_queue)
        for ids in work.chunks(pairs, rows_max=limits.hint_rows_max, weight_max=limits.hint_weight_max):
            try:
                hints.send(name, ids, queue=queue, correlation_id=of_queue[0].correlation_id, delay_s=delay_s)
            except hints.HintNotSent as error:
                log.warning("hint not sent; the sweeper will", step=name, rows=len(ids), reason=str(error))
                return


def is_passing(error: BaseException) -> bool:
    """Whether the error is about the database and not about the row: it costs no attempt and splits nothing."""
    if isinstance(error, (PoolTimeout, DatabaseAway)):
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return False
    if cause.sqlstate is None:
        return isinstance(cause, psycopg.OperationalError)
    return cause.sqlstate.startswith(PASSING_STATES)


class _database:  # noqa: N801 -- reads as a statement: `with _database():`
    """Turn an unreachable database into `DatabaseAway`, which the broker takes as: give this hint again, later."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if error is not None and is_passing(error):
            raise DatabaseAway("the database does not answer") from error
