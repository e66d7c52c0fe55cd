"""Receipts: bodies exactly as an upstream sent them, stored before they are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, text

from queues import work
from queues.contracts import Delivery
from queues.work import Hintable, NewWork
from workers.store.database import raw

#: A rough event, for the weight of work that nobody has read yet.
EVENT_BYTES = 256
#: Bodies travel in binary form (`%b`): as text each byte would be written as two, and read again.
_STORE = "insert into receipts (queue, bodies, properties, bytes) values (%s, %b, %s::jsonb, %s) returning id"
_LOAD = "select id, queue, received_at, bodies, properties from receipts where id = any(%s) order by id"
_encode = msgspec.json.Encoder(decimal_format="string", enc_hook=str).encode


@dataclass(frozen=True, slots=True)
class Receipt:
    """A stored receipt: what arrived together on one queue."""

    id: int
    queue: str
    received_at: datetime
    deliveries: tuple[Delivery, ...]


def store(conn: Connection, queue: str, deliveries: Sequence[Delivery], *, lane: str = "live") -> list[Hintable]:
    """Store the bodies as one receipt with the work to validate it, in the caller's transaction."""
    size = sum(len(delivery.body) for delivery in deliveries)
    properties = _encode([delivery.properties for delivery in deliveries]).replace(b"\\u0000", b"\\ufffd")
    with raw(conn).cursor() as cursor:
        cursor.execute(_STORE, [queue, [delivery.body for delivery in deliveries], properties.decode(), size])
        row = cursor.fetchone()
    assert row is not None, "an insert that returns its row"
    receipt_id: int = row[0]
    subject = f"receipt/{receipt_id}"
    weight = max(len(deliveries), size // EVENT_BYTES)
    return work.insert(conn, [NewWork("validate", subject, correlation_id=subject, weight=weight, lane=lane)])


def load(conn: Connection, ids: Sequence[int]) -> list[Receipt]:
    """The receipts with these ids, in order."""
    with raw(conn).cursor(binary=True) as cursor:
        cursor.execute(_LOAD, [list(ids)])
        return [
            Receipt(number, queue, received_at, tuple(map(Delivery, bodies, properties)))
            for number, queue, received_at, bodies, properties in cursor
        ]


@dataclass(frozen=True, slots=True)
class Erasure:
    """When the bodies of a receipt were erased, and the SHA-256 of each as it was received."""

    erased_at: datetime
    sha256: tuple[str, ...]


def erasure(conn: Connection, receipt_id: int) -> Erasure | None:
    """How the receipt was erased, or None if its bodies are there."""
    row = conn.execute(
        text("select erased_at, body_hashes from receipts where id = :id and erased_at is not null"),
        {"id": receipt_id},
    ).one_or_none()
    return None if row is None else Erasure(row.erased_at, tuple(bytes(each).hex() for each in row.body_hashes))
