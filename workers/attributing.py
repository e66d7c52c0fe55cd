"""How `enrich` works through its rows: receipts together, parked usage key by key, missing billing periods first."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from queues.work import Ready
from workers.store import attributions, moves, periods, replay_items
from workers.store.attributions import PARKED_MAX, Gap
from workers.store.moves import MOVED_MAX
from workers.unit import Unit

log = structlog.get_logger(__name__)

Outcome = TypeVar("Outcome")
#: Correlation ids of work that a tick of the scheduler inserted begin with this.
TICK = "tick-"

#: A pass makes every period that the one before it missed; another round means the master data changed meanwhile.
ROUNDS_MAX = 3


class PeriodsMissing(Exception):
    """Billing periods were made and are still missing: the cycle's calendar has a hole."""


def attribute_receipts(unit: Unit, receipts: Sequence[Ready]) -> None:
    """Attribute the accepted events of the receipts, a batch each, and owe `aggregate` to each batch."""
    if not receipts:
        return
    ids = [ready.subject_id for ready in receipts]
    batches = attributions.new_batches(unit.conn, "receipt", ids)
    spans = attributions.spans(unit.conn, list(zip(ids, batches, strict=True)))
    if spans:
        with_periods(unit.conn, lambda: attributions.attribute(unit.conn, spans))
    for ready, batch in zip(receipts, batches, strict=True):
        unit.then(ready, "aggregate", f"batch/{batch}", weight=ready.weight)


def decide_again(unit: Unit, ready: Ready) -> None:
    """Decide again what waits for the key in the subject, or what a change under that key moves."""
    act, kind, key = ready.subject.split("/", 2)
    if act == "moved":
        _move(unit, ready, kind=kind, key=key)
    elif act == "replay":
        _decide(unit, ready, replay_items.usages(unit.conn, int(kind), portion=int(key)))
    else:
        _heal(unit, ready, kind=kind, key=key)


def _heal(unit: Unit, ready: Ready, *, kind: str, key: str) -> None:
    exceptions = attributions.parked(unit.conn, kind, key)
    outcomes = _decide(unit, ready, exceptions)
    if ready.correlation_id.startswith(TICK) and outcomes.keys() & {"billable", "excluded"}:
        log.error("parked usage healed late: whoever published its key did not wake it", kind=kind, key=key)
    if len(exceptions) == PARKED_MAX and outcomes.keys() & {"billable", "excluded"}:
        unit.then(ready, "enrich", ready.subject, revision=ready.revision + 1, weight=PARKED_MAX)


def _decide(unit: Unit, ready: Ready, exceptions: Sequence[int]) -> Mapping[str, int]:
    """Decide again what these exceptions are about, in a batch of its own; how many had which outcome."""
    if not exceptions:
        return {}
    (batch,) = attributions.new_batches(unit.conn, "healed", [None])
    outcomes = with_periods(unit.conn, lambda: attributions.heal(unit.conn, exceptions, batch_no=batch))
    unit.then(ready, "aggregate", f"batch/{batch}", weight=len(exceptions))
    return outcomes


def _move(unit: Unit, ready: Ready, *, kind: str, key: str) -> None:
    events = moves.touched(unit.conn, kind, key)
    if not events:
        return
    (batch,) = attributions.new_batches(unit.conn, "moved", [None])
    moved = with_periods(unit.conn, lambda: moves.move(unit.conn, events, batch_no=batch))
    unit.then(ready, "aggregate", f"batch/{batch}", weight=len(events))
    if len(events) == MOVED_MAX and moved:
        unit.then(ready, "enrich", ready.subject, revision=ready.revision + 1, weight=MOVED_MAX)


def with_periods(conn: Connection, decide: Callable[[], Outcome | list[Gap]]) -> Outcome:
    """What was decided, once the billing periods that it needs are made. Raises `PeriodsMissing`."""
    for _round in range(ROUNDS_MAX):
        outcome = decide()
        if not isinstance(outcome, list):
            return outcome
        for gap in outcome:
            periods.ensure(conn, gap.cycle_id, gap.first_at, gap.last_at)
    raise PeriodsMissing("billing periods are still missing after they were made")
