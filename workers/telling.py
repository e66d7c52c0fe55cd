"""How notices are sent: at least once, in the order they were written, marked only when the channel has them."""

from collections.abc import Sequence
from typing import Final

from queues.publishing import NoticeNotSent
from workers.channels.channel import Channel, channel
from workers.store import notices
from workers.store.notices import Unsent
from workers.unit import Errand

#: Notices sent in one errand; the rest is the next revision's.
NOTICES_MAX: Final = 200


def tell(errand: Errand) -> None:
    """Send what is owed under the key in the subject, or under keys below it."""
    key = errand.ready.subject.removeprefix("notices/")
    with errand.transaction() as unit:
        unsent = notices.unsent(unit.conn, key, limit=NOTICES_MAX)
    _send(errand, unsent, channel())
    with errand.finish() as unit:
        notices.mark_sent(unit.conn, [each.id for each in unsent])
        if len(unsent) == NOTICES_MAX:
            unit.then(errand.ready, "notify", errand.ready.subject, revision=errand.ready.revision + 1)


def _send(errand: Errand, unsent: Sequence[Unsent], to: Channel) -> None:
    """Hand all over; if the channel fails, keep which it has and let the rest wait."""
    for place, each in enumerate(unsent):
        try:
            to.publish(each.exchange, each.routing_key, each.body)
        except NoticeNotSent:
            with errand.transaction() as unit:
                notices.mark_sent(unit.conn, [sent.id for sent in unsent[:place]])
            raise
