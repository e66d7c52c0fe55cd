"""One event out of the bodies of its receipt, as it was written by its producer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from queues.contracts import STRUCTURED, Delivery, events_of
from workers.store import receipts

#: Members stay in their order, so that a refusal of it is the same exception as before.
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Place:
    """A body of a receipt and the event in it; `event` is None where the body cannot be read."""

    delivery: Delivery
    body_no: int
    event: object | None


def place_of(conn: Connection, receipt_id: int, position: int) -> Place | None:
    """Where the event at a position of a receipt came from; None if the receipt is not there or shorter.

    Positions count the events of all bodies on; a body that cannot be read takes one.
    """
    loaded = receipts.load(conn, [receipt_id])
    if not loaded:
        return None
    at = 0
    for number, delivery in enumerate(loaded[0].deliveries):
        events, refusal = events_of(delivery)
        taken = len(events) if refusal is None else 1
        if position < at + taken:
            return Place(delivery, number, None if refusal else events[position - at])
        at += taken
    return None


def alone(place: Place) -> Delivery | None:
    """The one event as a delivery of its own, from the same user; None if its numbers cannot be written exactly.

    A body that could not be read is given again as it is.
    """
    if place.event is None:
        return place.delivery
    try:
        content = _encode(place.event)
    except (TypeError, ValueError, RecursionError):
        return None
    properties: Mapping[str, Any] = {**place.delivery.properties, "content_type": STRUCTURED, "headers": {}}
    return Delivery(content, properties)
