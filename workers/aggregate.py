"""The step `aggregate`: each batch is added to its windows once, in the transaction that marks the work done."""

from workers.step import step
from workers.store import aggregates, fence
from workers.unit import Unit


@step("aggregate")
def aggregate(unit: Unit) -> None:
    """Add the batches to the open lots; no work follows, since rating starts at a close or from its ticker."""
    fence.share(unit.conn)
    aggregates.aggregate(unit.conn, [ready.subject_id for ready in unit.ready])
