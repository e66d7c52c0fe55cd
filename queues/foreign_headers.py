"""AMQP headers as any client may write them, read so that no value of theirs can end the process that reads."""

import struct
from datetime import UTC, datetime

from pika import data

#: Type letters of field values.
_TIMESTAMP, _FLOAT, _DOUBLE, _TABLE, _ARRAY = b"T", b"f", b"d", b"F", b"A"
#: Nesting of tables and arrays that is read; pika would follow any, and exhaust the stack of its event loop.
DEPTH_MAX = 32
#: Stands where a table or an array lay deeper.
TOO_DEEP = "nested too deeply to be read"

_decode = data.decode_value


def read_foreign_headers() -> None:
    """Let pika read, in this process, what it would stumble over or bend.

    A timestamp in milliseconds, which clients in JavaScript easily send, lies beyond the year 9999; pika raises
    within its event loop then, and again for each process to which RabbitMQ delivers the message: one such header would
    keep all upstreams waiting. Tables in tables, some hundred deep, do the same. Floats it cuts to whole numbers, and
    large numbers it makes a kind of its own.
    """
    data.decode_value = decode_value
    data.decode_table = decode_table


def decode_table(encoded: bytes, offset: int, depth: int = 0) -> tuple[dict[str, object], int]:
    """The table at `offset` and where the next value begins; what lies below `DEPTH_MAX` stands as `TOO_DEEP`."""
    start, end = _span(encoded, offset)
    table: dict[str, object] = {}
    while start < end:
        name, start = data.decode_short_string(encoded, start)
        text = name.decode(errors="replace") if isinstance(name, bytes) else name
        table[text], start = decode_value(encoded, start, depth)
    return table, end


def decode_value(encoded: bytes, offset: int, depth: int = 0) -> tuple[object, int]:
    """The field value at `offset` and where the next begins; a time that is none stays a number, a float is text."""
    kind, start = encoded[offset : offset + 1], offset + 1
    if kind in (_TABLE, _ARRAY):
        if depth == DEPTH_MAX:
            return TOO_DEEP, _span(encoded, start)[1]
        return (decode_table if kind == _TABLE else _array)(encoded, start, depth + 1)
    if kind == _TIMESTAMP:
        (seconds,) = struct.unpack_from(">Q", encoded, start)
        return _instant(seconds), start + 8
    if kind in (_FLOAT, _DOUBLE):
        width = ">f" if kind == _FLOAT else ">d"
        (number,) = struct.unpack_from(width, encoded, start)
        return repr(number), start + struct.calcsize(width)
    value, end = _decode(encoded, offset)
    return (int(value) if isinstance(value, data.long) else value), end


def _array(encoded: bytes, offset: int, depth: int) -> tuple[list[object], int]:
    start, end = _span(encoded, offset)
    values: list[object] = []
    while start < end:
        value, start = decode_value(encoded, start, depth)
        values.append(value)
    return values, end


def _span(encoded: bytes, offset: int) -> tuple[int, int]:
    """Where the content begins of which `offset` tells the length, and where it ends."""
    (length,) = struct.unpack_from(">I", encoded, offset)
    return offset + 4, offset + 4 + length


def _instant(seconds: int) -> datetime | int:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return seconds
