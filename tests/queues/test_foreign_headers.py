"""Headers as clients of all languages write them: none may stop the process that reads them."""

import struct
from datetime import UTC, datetime

import pytest

from queues.foreign_headers import DEPTH_MAX, TOO_DEEP, decode_table, decode_value


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (b"T" + struct.pack(">Q", 1_793_880_000), datetime(2026, 11, 5, 12, tzinfo=UTC)),
        (b"T" + struct.pack(">Q", 1_793_880_000_000), 1_793_880_000_000),
        (b"T" + struct.pack(">Q", 2**64 - 1), 2**64 - 1),
        (b"d" + struct.pack(">d", 1.5), "1.5"),
        (b"d" + struct.pack(">d", float("nan")), "nan"),
        (b"f" + struct.pack(">f", float("inf")), "inf"),
        (b"l" + struct.pack(">q", 1_793_880_000_000), 1_793_880_000_000),
        (b"S" + struct.pack(">I", 2) + b"ok", "ok"),
    ],
)
def test_a_value_is_read_and_what_follows_is_found(encoded, value):
    read, end = decode_value(b"??" + encoded + b"next", 2)

    assert (read, type(read), end) == (value, type(value), 2 + len(encoded))


def nested(levels, kind):
    """An encoded value of tables in tables, or arrays in arrays, so many of them, with a 1 in the innermost."""
    value = b"b\x01"
    for _ in range(levels):
        content = b"\x01a" + value if kind == b"F" else value
        value = kind + struct.pack(">I", len(content)) + content
    return value


def levels_of(value):
    levels = 0
    while isinstance(value, dict | list):
        (value,) = value.values() if isinstance(value, dict) else value
        levels += 1
    return levels, value


@pytest.mark.parametrize("kind", [b"F", b"A"])
def test_nesting_is_read_as_deep_as_anybody_needs_it_and_what_follows_is_found(kind):
    shallow, deep = nested(DEPTH_MAX, kind), nested(10_000, kind)

    value, end = decode_value(shallow + b"next", 0)
    assert (levels_of(value), end) == ((DEPTH_MAX, 1), len(shallow))
    value, end = decode_value(deep + b"next", 0)
    assert (levels_of(value), end) == ((DEPTH_MAX, TOO_DEEP), len(deep))


def test_a_name_that_is_no_text_is_kept_as_far_as_it_is_one():
    content = b"\x02a\xff" + b"b\x01" + b"\x01b" + b"t\x01"

    assert decode_table(struct.pack(">I", len(content)) + content, 0) == ({"a\ufffd": 1, "b": True}, len(content) + 4)
