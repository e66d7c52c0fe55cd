from datetime import UTC, datetime, timedelta, timezone

import pytest
from domain_strategies import instants, texts
from hypothesis import given
from hypothesis import strategies as st

from domain.events import (
    TimeInvalid,
    TimeIsLeapSecond,
    TimeNaive,
    UsageEvent,
    key16,
    microseconds,
    parse_instant,
    payload_hash,
    truncate_to_microseconds,
)

pytestmark = pytest.mark.fast

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31t12:00:00z", NOON),
        ("2026-01-31T12:00:00.000z", NOON),
        ("2026-01-31T12:00:00-00:00", NOON),
        ("2026-01-31T13:00:00+01:00", NOON),
        ("2026-01-31T17:45:00.000000000000+05:45", NOON),
        ("2026-01-31T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-01-31T12:00:00.1234567899Z", NOON + timedelta(microseconds=123456)),
        ("2026-01-31T23:59:59.9999999Z", datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-01-31T23:59:59.99999999999999-01:00", datetime(2026, 2, 1, 0, 59, 59, 999999, tzinfo=UTC)),
    ],
)
def test_a_timestamp_names_an_instant_cut_to_microseconds(text, instant):
    parsed = parse_instant(text)

    assert parsed == instant
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31",
        "2026-01-31 12:00:00Z",
        "20260131T120000Z",
        "2026-W05-6T12:00:00Z",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00+01",
        "2026-01-31T12:00:00+0100",
        "2026-01-31T12:00:00+01:00:30",
        "2026-01-31T12:00:00Z ",
        "2026-01-31T24:00:00Z",
        "2026-01-31T29:00:00Z",
        "2026-01-31T12:00:61Z",
        "2026-02-30T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2026-01-31T12:00:00+25:00",
        "\u0662026-01-31T12:00:00Z",
        "2026-01-31T12:00:0\u0660Z",
        "x" * 10_000,
    ],
)
def test_what_is_no_timestamp_is_refused_by_name(text):
    with pytest.raises(TimeInvalid) as refused:
        parse_instant(text)

    assert refused.value.code == "time_invalid"
    assert len(refused.value.sentence) < 200


def test_a_timestamp_without_offset_is_refused_by_name():
    with pytest.raises(TimeNaive):
        parse_instant("2026-01-31T12:00:00")


def test_a_leap_second_is_refused_by_name():
    with pytest.raises(TimeIsLeapSecond):
        parse_instant("2016-12-31T23:59:60.5Z")


@given(instants(1, 9998), st.integers(-23 * 60, 23 * 60), st.sampled_from("Tt"))
def test_what_is_written_is_read(instant, offset_minutes, separator):
    local = instant.astimezone(timezone(timedelta(minutes=offset_minutes))) if instant.year > 1 else instant

    assert parse_instant(local.isoformat(sep=separator, timespec="microseconds")) == instant


@given(st.text("0123456789", min_size=1, max_size=12))
def test_a_fraction_is_cut_and_never_rounded(fraction):
    cut = truncate_to_microseconds(fraction)

    assert parse_instant(f"2026-01-31T23:59:59.{fraction}Z").microsecond == cut
    assert int((fraction + "0" * 12)[:12]) // 10**6 == cut


def test_microseconds_are_counted_from_1970_in_both_directions():
    assert microseconds(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005
    assert microseconds(datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == -1


@given(texts(), texts(), texts(), texts())
def test_different_pairs_have_different_keys(source, event_id, other_source, other_id):
    same = (source, event_id) == (other_source, other_id)

    assert (key16(source, event_id) == key16(other_source, other_id)) is same


def test_a_key_has_16_bytes_and_never_changes():
    # Computed apart: blake2b, 16 bytes, over 4-byte big-endian lengths and UTF-8.
    event = UsageEvent("/meters", "é-1", "reading", None, NOON, None, {})

    assert event.key == key16("/meters", "é-1")
    assert event.key.hex() == "ee087c4bc00d5556e64623025dec7ae0"
    assert key16("ab", "c") != key16("a", "bc")


def test_the_same_said_otherwise_has_the_same_hash():
    one = payload_hash("reading", "pump-1", parse_instant("2026-01-31T13:00:00+01:00"), None, b'{"hours":1}')
    two = payload_hash("reading", "pump-1", parse_instant("2026-01-31T12:00:00.0Z"), None, b'{"hours":1}')

    assert one == two
    assert len(one) == 16


def test_each_part_counts_and_absent_is_not_empty():
    hashes = {
        payload_hash("t", "s", NOON, "d", b"{}"),
        payload_hash("ts", "", NOON, "d", b"{}"),
        payload_hash("t", None, NOON, "d", b"{}"),
        payload_hash("t", "", NOON, "d", b"{}"),
        payload_hash("t", "s", NOON, None, b"{}"),
        payload_hash("t", "s", NOON, "", b"{}"),
        payload_hash("t", "s", NOON, "d", b'{"a":1}'),
        payload_hash("t", "s", NOON + timedelta(microseconds=1), "d", b"{}"),
    }

    assert len(hashes) == 8
