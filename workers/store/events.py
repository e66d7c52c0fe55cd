"""Usage events: the only place that decides which event is new, which is a duplicate and which is a conflict."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import URL, Connection, text

from workers.store.database import engine, raw

#: Events of one receipt; the event number is the receipt's number shifted by its bits, plus the position.
POSITION_BITS = 20
EVENTS_MAX = 1 << POSITION_BITS


def event_number(receipt_id: int, position: int) -> int:
    """The number of the event at `position` of a receipt: events sort in order of arrival."""
    assert 0 <= position < EVENTS_MAX, position
    return receipt_id << POSITION_BITS | position


def place_of(event_no: int) -> tuple[int, int]:
    """The receipt and the position of an event number."""
    return event_no >> POSITION_BITS, event_no & (EVENTS_MAX - 1)


class Candidate(NamedTuple):
    """An event that passed every check but the one for duplicates; fields in the order of the staging table."""

    event_no: int
    key16: bytes
    payload_hash: bytes
    source_id: int
    meter_id: int
    meter_version_id: int
    happened_at: datetime
    event_id: str
    subject: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """A candidate whose (source, id) was there already; `is_same` tells a duplicate from a conflict."""

    event_no: int
    first_event_no: int
    is_same: bool


class EventsUnbalanced(Exception):
    """Inserted, duplicate and conflicting events do not sum to the candidates: the transaction must not commit."""


_STAGING = """
create temp table if not exists staging_events (
  event_no bigint, key16 uuid, payload_hash bytea, source_id integer, meter_id integer, meter_version_id integer,
  happened_at timestamptz, event_id text, subject text, data text
) on commit delete rows"""
#: How psycopg writes each column. In COPY's binary form a uuid is its 16 bytes and a text its UTF-8, so both go as
#: bytes: no object is made per value.
_TYPES = ["int8", "bytea", "bytea", "int4", "int4", "int4", "timestamptz", "text", "text", "bytea"]
_KEYS = """insert into event_keys (key16, payload_hash, event_no, happened_at)
  select key16, payload_hash, event_no, happened_at from staging_events order by key16 on conflict do nothing"""
_EVENTS = """insert into usage_events
    (event_no, key16, source_id, meter_id, meter_version_id, happened_at, event_id, subject, data)
  select event_no, key16, source_id, meter_id, meter_version_id, happened_at, event_id, subject, data::jsonb
  from staging_events"""
#: A statement of its own: the one that inserted sees neither its own rows nor those that made it stand back.
_KNOWN = """select s.event_no, k.event_no, k.payload_hash = s.payload_hash
  from staging_events s join event_keys k using (key16) where k.event_no <> s.event_no"""

_months: set[tuple[URL, date]] = set()


def ensure_months(candidates: Sequence[Candidate]) -> None:
    """Make the monthly partitions these events need, in transactions of their own, before they are locked by ours."""
    database = engine().url
    months = {(candidate.happened_at.year, candidate.happened_at.month) for candidate in candidates}
    for year, number in sorted(months):
        month = date(year, number, 1)
        if (database, month) in _months:
            continue
        with engine().begin() as conn:
            conn.execute(text("select ensure_event_month(:month)"), {"month": month})
        _months.add((database, month))


def accept(conn: Connection, candidates: Sequence[Candidate]) -> list[Known]:
    """Insert the events that are new and return the others; one bad event never harms its batch.

    `candidates` hold each key once. Raises `EventsUnbalanced` if the sums do not agree.
    """
    if not candidates:
        return []
    ensure_months(candidates)
    with raw(conn).cursor() as cursor:
        cursor.execute(_STAGING)
        _copy(cursor, candidates)
        cursor.execute(_KEYS)
        inserted = cursor.rowcount
        known: list[Known] = []
        if inserted < len(candidates):
            cursor.execute(_KNOWN)
            known = [Known(number, first, is_same) for number, first, is_same in cursor.fetchall()]
            cursor.execute("delete from staging_events where event_no = any(%s)", [[each.event_no for each in known]])
        cursor.execute(_EVENTS)
        if cursor.rowcount != inserted or inserted + len(known) != len(candidates):
            raise EventsUnbalanced(
                f"{len(candidates)} candidates, {inserted} keys, {cursor.rowcount} events, {len(known)} known"
            )
    return known


def forget_staged(conn: Connection) -> None:
    """Empty the staging table within a transaction, which otherwise its end does."""
    with raw(conn).cursor() as cursor:
        cursor.execute(_STAGING)
        cursor.execute("delete from staging_events")


def _copy(cursor: psycopg.Cursor[Any], candidates: Sequence[Candidate]) -> None:
    with cursor.copy("copy staging_events from stdin (format binary)") as copy:
        copy.set_types(_TYPES)
        for candidate in candidates:
            copy.write_row(candidate)
