"""AMQP headers as any client may write them, read so that no value of theirs can end the process that reads."""

import struct
from datetime import UTC, datetime

from pika import data

#: Type letters of field values.
_TIMESTAMP, _FLOAT, _DOUBLE = b"T", b"f", b"d"

_decode = data.decode_value


def read_foreign_headers() -> None:
    """Let pika read, in this process, what it would stumble over or bend.

    A timestamp in milliseconds, which clients in JavaScript easily send, lies beyond the year 9999; pika raises
    within its event loop then, and again for each process to which RabbitMQ delivers the message: one such header would
    keep all upstreams waiting. Floats it cuts to whole numbers, and large numbers it makes a kind of its own.
    """
    data.decode_value = decode_value


def decode_value(encoded: bytes, offset: int) -> tuple[object, int]:
    """The field value at `offset` and where the next begins; a time that is none stays a number, a float is text."""
    kind, start = encoded[offset : offset + 1], offset + 1
    if kind == _TIMESTAMP:
        (seconds,) = struct.unpack_from(">Q", encoded, start)
        return _instant(seconds), start + 8
    if kind in (_FLOAT, _DOUBLE):
        width = ">f" if kind == _FLOAT else ">d"
        (number,) = struct.unpack_from(width, encoded, start)
        return repr(number), start + struct.calcsize(width)
    value, end = _decode(encoded, offset)
    return (int(value) if isinstance(value, data.long) else value), end


def _instant(seconds: int) -> datetime | int:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return seconds
