"""The step `enrich`: which subscription, contract version, metric and period each usage belongs to."""

from workers.attributing import attribute_receipts, decide_again
from workers.step import step
from workers.store import fence
from workers.unit import Unit


@step("enrich")
def enrich(unit: Unit) -> None:
    """Attribute, exclude or park every usage of the receipts, or decide again what was parked or has moved."""
    fence.share(unit.conn)
    receipts = [ready for ready in unit.ready if ready.subject.startswith("receipt/")]
    attribute_receipts(unit, receipts)
    for ready in unit.ready:
        if ready not in receipts:
            decide_again(unit, ready)
