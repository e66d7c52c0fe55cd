"""Takes resolved rows out of a `.XQ` queue without disturbing their neighbours."""

from collections.abc import Collection

import structlog

from queues.envelope import HintUnreadable, read_hint
from queues.publishing import Channel

log = structlog.get_logger(__name__)

#: Bodies one removal looks at; a `.XQ` with more is an incident of its own.
LOOKS_MAX = 10_000


def remove(channel: Channel, queue: str, work_ids: Collection[int]) -> frozenset[int]:
    """Acknowledge the bodies in `queue` that hint at exactly one of `work_ids`; the ids found.

    Never consumes and publishes again, which could lose or double a neighbour: every body is fetched on one channel and
    stays RabbitMQ's until the end. Then the wanted ones are acknowledged and the channel is closed, which puts the
    others back; if this process dies before, all go back. The close is answered, so afterwards it has happened.
    Bodies another reader holds at that moment (the console's "Get") are not seen; ask again later.
    """
    found: set[int] = set()
    wanted: list[int] = []
    for _ in range(LOOKS_MAX):
        method, _properties, body = channel.basic_get(queue)
        if method is None:
            break
        work_id = _only_id(body, queue)
        if work_id in work_ids:
            found.add(work_id)
            wanted.append(method.delivery_tag)
    else:
        log.warning("dead-letter queue only looked at in part", queue=queue, looks=LOOKS_MAX)
    for tag in wanted:
        channel.basic_ack(tag)
    channel.close()
    return frozenset(found)


def _only_id(body: bytes, queue: str) -> int:
    """The work row a body hints at; 0, which no row has, if it is no hint or hints at several."""
    try:
        ids = read_hint(body, queue=queue).args[0]
    except HintUnreadable:
        return 0
    return ids[0] if len(ids) == 1 else 0
