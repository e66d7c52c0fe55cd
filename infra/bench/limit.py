"""What PostgreSQL does with the same rows and nothing else: COPY into a staging table, then into a table with a key."""

import struct
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice

import msgspec
import psycopg

from domain.events import key16, microseconds, parse_instant, payload_hash
from infra.bench.figures import Figure
from infra.bench.scratch import database
from infra.bench.workload import SOURCE, Workload

#: Rows of one transaction, as many as a receipt of 8 MiB holds.
BLOCK_ROWS = 30_000
#: PostgreSQL counts microseconds from here.
_EPOCH = microseconds(datetime(2000, 1, 1, tzinfo=UTC))
_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_COLUMNS = """event_no bigint, key16 uuid, payload_hash bytea, source_id integer, meter_id integer,
  meter_version_id integer, happened_at timestamptz, event_id text, subject text, data jsonb"""
#: Ten columns, each after its length; the last three follow, since their lengths differ.
_FIXED = struct.Struct(">hiqi16si16siiiiiiiq")


def measure(events: int, *, runs: int) -> list[Figure]:
    """Rows per second over one and over two connections."""
    blocks = list(_blocks(Workload(events)))
    found = []
    for connections in (1, 2):
        rates = [_rate(blocks, events=events, connections=connections) for _ in range(runs)]
        words = "1 connection" if connections == 1 else f"{connections} connections"
        found.append(Figure(f"limit: bare COPY and keyed insert, {words}", "events/s", rates))
    return found


def _rate(blocks: Sequence[bytes], *, events: int, connections: int) -> float:
    with database() as url:
        with psycopg.connect(url) as conn:
            conn.execute(f"create table keyed ({_COLUMNS}, primary key (key16))")
        with ThreadPoolExecutor(connections) as pool:
            began_at = time.monotonic()
            for done in [pool.submit(_load, url, blocks[start::connections]) for start in range(connections)]:
                done.result()
            return events / (time.monotonic() - began_at)


def _load(url: str, blocks: Sequence[bytes]) -> None:
    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        cursor.execute(f"create temp table staging ({_COLUMNS}) on commit delete rows")
        conn.commit()
        for block in blocks:
            with cursor.copy("copy staging from stdin (format binary)") as copy:
                copy.write(block)
            cursor.execute("insert into keyed select * from staging on conflict do nothing")
            conn.commit()


def _blocks(workload: Workload) -> Iterator[bytes]:
    """The rows that `validate` would stage, as PostgreSQL reads them, made before the clock runs."""
    rows = _rows(workload)
    while block := list(islice(rows, BLOCK_ROWS)):
        yield b"".join((_HEADER, *block, _TRAILER))


def _rows(workload: Workload) -> Iterator[bytes]:
    encode = msgspec.json.Encoder(order="sorted").encode
    number = 1 << 20
    for body in workload.bodies(datetime.now(UTC)):
        for event in msgspec.json.decode(body):
            number += 1
            happened_at = parse_instant(event["time"])
            data = encode(event["data"])
            digest = payload_hash(event["type"], event["subject"], happened_at, "", data)
            key = key16(SOURCE, event["id"])
            texts = (event["id"].encode(), event["subject"].encode(), b"\x01" + data)
            since = microseconds(happened_at) - _EPOCH
            yield _FIXED.pack(10, 8, number, 16, key, 16, digest, 4, 1, 4, 1, 4, 1, 8, since) + b"".join(
                struct.pack(">i", len(text)) + text for text in texts
            )
