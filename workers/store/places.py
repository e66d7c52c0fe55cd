"""One event out of the bodies of its receipt, as it was written by its producer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from queues.contracts import STRUCTURED, Delivery, events_of
from workers.store import receipts
from workers.store.receipts import Receipt

#: Receipts that are held in memory at once; each has at most some MiB.
RECEIPTS_MAX = 20

#: Members stay in their order, so that a refusal of it is the same exception as before.
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Place:
    """A body of a receipt and the event in it; `event` is None where the body cannot be read."""

    delivery: Delivery
    body_no: int
    event: object | None


def place_of(conn: Connection, receipt_id: int, position: int) -> Place | None:
    """Where the event at a position of a receipt came from; None if the receipt is not there or shorter."""
    return places_of(conn, [(receipt_id, position)]).get((receipt_id, position))


def places_of(conn: Connection, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Place]:
    """Where the events at these (receipt, position) came from; what is not there is left out.

    Positions count the events of all bodies on; a body that cannot be read takes one.
    """
    positions: dict[int, set[int]] = {}
    for receipt_id, position in wanted:
        positions.setdefault(receipt_id, set()).add(position)
    found: dict[tuple[int, int], Place] = {}
    ids = sorted(positions)
    for first in range(0, len(ids), RECEIPTS_MAX):
        for receipt in receipts.load(conn, ids[first : first + RECEIPTS_MAX]):
            for position, place in _events(receipt, frozenset(positions[receipt.id])):
                found[receipt.id, position] = place
    return found


def _events(receipt: Receipt, positions: frozenset[int]) -> Iterator[tuple[int, Place]]:
    at = 0
    for number, delivery in enumerate(receipt.deliveries):
        events, refusal = events_of(delivery)
        taken = len(events) if refusal is None else 1
        for position in sorted(positions & set(range(at, at + taken))):
            yield position, Place(delivery, number, None if refusal else events[position - at])
        at += taken


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
