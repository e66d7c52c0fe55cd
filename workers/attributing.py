"""How `enrich` works through its rows: receipts together, parked usage key by key, missing billing periods first."""

from collections.abc import Callable, Mapping, Sequence

from queues.work import Ready
from workers.store import attributions, parked, periods
from workers.store.attributions import PARKED_MAX, Gap
from workers.unit import Unit

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
        _with_periods(unit, lambda: attributions.attribute(unit.conn, spans))
    for ready, batch in zip(receipts, batches, strict=True):
        unit.then(ready, "aggregate", f"batch/{batch}", weight=ready.weight)


def heal_parked(unit: Unit, ready: Ready) -> None:
    """Decide again what waits for the key in the subject; what is left over is the next revision's."""
    kind, key = parked.key_of(ready.subject)
    exceptions = attributions.parked(unit.conn, kind, key)
    if not exceptions:
        return
    (batch,) = attributions.new_batches(unit.conn, "healed", [None])
    outcomes = _with_periods(unit, lambda: attributions.heal(unit.conn, exceptions, batch_no=batch))
    unit.then(ready, "aggregate", f"batch/{batch}", weight=len(exceptions))
    if len(exceptions) == PARKED_MAX and outcomes.keys() & {"billable", "excluded"}:
        unit.then(ready, "enrich", ready.subject, revision=ready.revision + 1, weight=PARKED_MAX)


def _with_periods(unit: Unit, decide: Callable[[], Mapping[str, int] | list[Gap]]) -> Mapping[str, int]:
    for _round in range(ROUNDS_MAX):
        outcome = decide()
        if not isinstance(outcome, list):
            return outcome
        for gap in outcome:
            periods.ensure(unit.conn, gap.cycle_id, gap.first_at, gap.last_at)
    raise PeriodsMissing("billing periods are still missing after they were made")
