"""Headers as clients of all languages write them: none may stop the process that reads them."""

import struct
from datetime import UTC, datetime

import pytest

from queues.foreign_headers import decode_value


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
