"""Receipts: bodies exactly as an upstream sent them, stored before they are read."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, text

from queues import work
from queues.contracts import Delivery
from queues.work import Hintable, NewWork

#: A rough event, for the weight of work that nobody has read yet.
EVENT_BYTES = 256
_encode = msgspec.json.Encoder(decimal_format="string", enc_hook=str).encode


@dataclass(frozen=True, slots=True)
class Receipt:
    """A stored receipt: what arrived together on one queue."""

    id: int
    queue: str
    deliveries: tuple[Delivery, ...]


def store(conn: Connection, queue: str, deliveries: Sequence[Delivery], *, lane: str = "live") -> list[Hintable]:
    """Store the bodies as one receipt with the work to validate it, in the caller's transaction."""
    size = sum(len(delivery.body) for delivery in deliveries)
    receipt_id = conn.execute(
        text("""insert into receipts (queue, bodies, properties, bytes)
             values (:queue, :bodies, cast(:properties as jsonb), :bytes) returning id"""),
        {
            "queue": queue,
            "bodies": [delivery.body for delivery in deliveries],
            "properties": _encode([delivery.properties for delivery in deliveries])
            .decode()
            .replace("\\u0000", "\\ufffd"),
            "bytes": size,
        },
    ).scalar_one()
    subject = f"receipt/{receipt_id}"
    weight = max(len(deliveries), size // EVENT_BYTES)
    return work.insert(conn, [NewWork("validate", subject, correlation_id=subject, weight=weight, lane=lane)])


def load(conn: Connection, ids: Sequence[int]) -> list[Receipt]:
    """The receipts with these ids, in order."""
    found = conn.execute(
        text("select id, queue, bodies, properties from receipts where id = any(cast(:ids as bigint[])) order by id"),
        {"ids": list(ids)},
    )
    return [
        Receipt(
            row.id, row.queue, tuple(Delivery(bytes(b), p) for b, p in zip(row.bodies, row.properties, strict=True))
        )
        for row in found
    ]
