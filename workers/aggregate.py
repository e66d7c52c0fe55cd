"""The step `aggregate`: each batch is added to its windows once, in the transaction that marks the work done."""

from workers.alerting import alert
from workers.step import step
from workers.store import aggregates, fence
from workers.unit import Unit


@step("aggregate")
def aggregate(unit: Unit) -> None:
    """Add the batches to the open lots and tell of limits they reach; rating starts at a close or from its ticker."""
    fence.share(unit.conn)
    alert(unit, aggregates.aggregate(unit.conn, [ready.subject_id for ready in unit.ready]))
