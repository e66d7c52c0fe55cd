"""Levels, registers and single events by the hour and day; units and members by the days they were there."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.metrics import Kept, Metric, Span, metric_json, parse_metric
from domain.metrics.buckets import buckets_of
from domain.metrics.register import ReadingDoubtful
from domain.periods import MonthlyCycle, first_instant, local_date
from domain.prices import Measured

pytestmark = pytest.mark.fast

BERLIN = MonthlyCycle("Europe/Berlin").period_at(datetime(2026, 3, 10, tzinfo=UTC))  # it has 743 hours
MARCH = Span.whole(BERLIN)
START = BERLIN.starts_at
EVENTS = st.lists(
    st.tuples(
        st.integers(-2 * 24 * 3600, 31 * 24 * 3600 - 3601), st.integers(-9, 9), st.sampled_from("abc"), st.booleans()
    ),
    max_size=10,
)
Event = tuple[datetime, dict[str, Any]]


def metric(aggregation: str, **options: Any) -> Metric:
    fields = {"name": "m", "meter": "m", "aggregation": aggregation, "property": "n", "unit": "u"}
    return parse_metric({**fields, **options})


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    """An hour of a day of March, counted from its first instant."""
    return first_instant(datetime(2026, 3, day).date(), BERLIN.zone) + timedelta(hours=hour, minutes=minute)  # noqa: DTZ001


def measure(of: Metric, events: Iterable[Event], *, span: Span = MARCH) -> Measured:
    """What the events come to, each kept in its own bucket, as the store keeps them."""
    by_bucket: dict[datetime | None, list[Any]] = {}
    windows = () if of.bucket is None else buckets_of(BERLIN, of.bucket)
    for happened_at, data in events:
        start = next((each.starts_at for each in windows if each.contains(happened_at)), None)
        by_bucket.setdefault(start, []).append((of.contribution(data, happened_at=happened_at), 1))
    starts = sorted(by_bucket, key=lambda start: start or START - timedelta(days=1))
    return of.measured([Kept.of(by_bucket[start]) for start in starts], span, starts=starts)


def test_a_level_is_its_mean_in_each_hour_that_has_one_also_without_an_event():
    level = metric("weighted_sum", bucket="hour")

    found = measure(level, [(at(2, 5, 30), {"n": 10}), (at(2, 8), {"n": -10})])

    assert found.buckets == (5, 10, 10, 0)
    assert found.bucket_starts == tuple(at(2, hour) for hour in (5, 6, 7, 8))
    assert found.quantity == 25


def test_a_level_of_before_goes_on_into_the_first_hour_and_ends_with_the_subscription():
    level = metric("weighted_sum", bucket="hour", recurring=True)
    ends = Span(BERLIN, at(1, 1, 30))

    found = measure(level, [(START - timedelta(days=3), {"n": 4}), (at(1, 1), {"n": 4})], span=ends)

    assert found.buckets == (4, 4)
    assert measure(level, [(START - timedelta(days=3), {"n": 1})]).quantity == 743
    assert len(measure(level, [(START - timedelta(days=3), {"n": 1})]).buckets or ()) == 743


@pytest.mark.parametrize("bucket", ["hour", "day", "month"])
@given(EVENTS)
def test_levels_by_the_bucket_weighted_with_their_time_are_the_level_of_the_period(bucket, drawn):
    events = [(START + timedelta(seconds=second), {"n": number}) for second, number, _, _ in drawn]
    whole = measure(metric("weighted_sum", recurring=True), events)
    found = measure(metric("weighted_sum", recurring=True, bucket=bucket), events)

    seconds = {each.starts_at: (each.ends_at - each.starts_at).total_seconds() for each in buckets_of(BERLIN, bucket)}
    told = zip(found.bucket_starts, found.buckets or (), strict=True)
    integral = sum((Fraction(mean) * int(seconds[start]) for start, mean in told), Fraction(0))
    assert abs(integral - Fraction(whole.quantity) * 743 * 3600) < Fraction(1, 10**30)
    assert Fraction(found.quantity) == sum(map(Fraction, found.buckets or ()), Fraction(0))


def test_a_register_counts_in_the_bucket_of_the_later_reading_however_far_the_one_before_lies():
    daily = metric("register", bucket="day", reset="reset")
    readings = [
        (START - timedelta(days=9), {"n": 100}), (at(3, 2), {"n": 130}), (at(3, 9), {"n": 131}),
        (at(9), {"n": 4, "reset": True}), (at(9, 23), {"n": 4}),
    ]  # fmt: skip

    found = measure(daily, readings)

    assert (found.quantity, found.buckets, found.bucket_starts) == (35, (31, 4), (at(3), at(9)))
    assert measure(metric("register", bucket="day", resets="allowed"), readings[:4]).buckets == (31, 4)
    with pytest.raises(ReadingDoubtful):
        measure(metric("register", bucket="day"), readings)


@given(EVENTS)
def test_what_a_register_counts_by_the_bucket_sums_to_what_it_counts(drawn):
    readings = {START + timedelta(seconds=second): 50 + number for second, number, _, _ in drawn}
    events = [(happened_at, {"n": number}) for happened_at, number in readings.items()]

    for bucket in ("hour", "day", "month"):
        found = measure(metric("register", bucket=bucket, resets="allowed"), events)
        assert found.quantity == measure(metric("register", resets="allowed"), events).quantity


def test_single_events_are_converted_each_and_put_together_by_the_day():
    minutes = metric("each", bucket="day", convert={"divisor": "60", "rounding": "up", "scale": 0})

    found = measure(minutes, [(at(5, 3), {"n": 61}), (at(5, 1), {"n": 1}), (at(7), {"n": 60})])

    assert found == Measured(
        Decimal(4),
        events=tuple(map(Decimal, (1, 2, 1))),
        buckets=(Decimal(3), Decimal(1)),
        bucket_starts=(at(5), at(7)),
    )
    assert measure(minutes, []) == Measured(Decimal(0), events=(), buckets=())


def test_units_that_came_with_money_have_both_by_the_bucket():
    charged = metric("charged", bucket="day", amount="money")

    found = measure(charged, [(at(5), {"n": 2, "money": "0.5"}), (at(6), {"n": 1, "money": "0.25"})])

    assert (found.quantity, found.amount, found.buckets) == (3, Decimal("0.75"), (2, 1))
    assert measure(charged, []).amount == 0


def days_of(measured: Measured) -> Fraction:
    """So many days of the period, of what was divided by its 31."""
    return (Fraction(measured.quantity) * 31).limit_denominator(10**9)


SEATS = metric("sum", prorate="days", recurring=True)
MEMBERS = metric("unique_count", prorate="days", operation="op", recurring=True)


def test_units_count_from_their_day_on_and_those_of_before_for_all_of_the_period():
    found = measure(SEATS, [(START - timedelta(days=60), {"n": 31}), (at(31, 20), {"n": 31}), (at(1), {"n": -31})])

    assert (found.quantity, found.unprorated) == (1, 31)
    assert measure(metric("sum", prorate="days"), [(at(22), {"n": 31})]).quantity == 10


def test_units_and_members_end_on_the_day_that_their_subscription_does():
    ends, same_day = Span(BERLIN, at(11)), Span(BERLIN, at(1, 5))
    seats = [(START - timedelta(days=60), {"n": 31}), (at(9), {"n": 31})]

    assert measure(SEATS, seats, span=ends).quantity == 10 + 2
    assert days_of(measure(MEMBERS, [(at(9), {"n": "ann"}), (at(2), {"n": "bob"})], span=ends)) == 2 + 9
    assert days_of(measure(MEMBERS, [(at(1), {"n": "ann"})], span=same_day)) == 1


def test_a_member_counts_for_every_day_it_was_there_and_the_members_that_are_left_are_told():
    events = [
        (START - timedelta(days=9), {"n": "ann"}), (at(3, 4), {"n": "ann", "op": "remove"}),
        (at(3, 8), {"n": "ann"}), (at(4), {"n": "ann", "op": "remove"}), (at(31), {"n": "bob"}),
        (START - timedelta(days=9), {"n": "cid"}), (START - timedelta(days=8), {"n": "cid", "op": "remove"}),
    ]  # fmt: skip

    found = measure(MEMBERS, events)

    assert (days_of(found), found.unprorated) == (4 + 1, 1)
    added = [(at(30), {"n": "ann"}), (at(31), {"n": "ann"})]
    assert days_of(measure(metric("unique_count", prorate="days"), added)) == 2


@given(EVENTS)
def test_a_share_of_units_is_the_mean_over_the_days_of_those_that_came_by_then(drawn):
    events = [(START + timedelta(seconds=second), {"n": number}) for second, number, _, _ in drawn]
    days = [BERLIN.days.first_on + timedelta(days=number) for number in range(31)]

    by_then = [sum(data["n"] for on, data in events if local_date(on, BERLIN.zone) <= day) for day in days]
    assert abs(Fraction(measure(SEATS, events).quantity) - Fraction(sum(by_then), 31)) < Fraction(1, 10**30)


@given(EVENTS)
def test_a_share_of_members_is_the_mean_over_the_days_of_those_that_were_there(drawn):
    events = sorted((START + timedelta(seconds=second), gone, who) for second, _, who, gone in drawn)
    operated = [(on, {"n": who, "op": "remove" if gone else "add"}) for on, gone, who in events]

    there = sum(len(present(events, BERLIN.days.first_on + timedelta(days=number))) for number in range(31))
    found = measure(MEMBERS, reversed(operated))
    assert abs(Fraction(found.quantity) - Fraction(there, 31)) < Fraction(1, 10**30)


def present(events: Sequence[tuple[datetime, bool, str]], day: Any) -> set[str]:
    """Who was there on any part of a day: at its first instant, or added on it."""
    starts_at = first_instant(day, BERLIN.zone)
    there = {who for who in "abc" if (last := [gone for on, gone, each in events if each == who and on < starts_at])
             and not last[-1]}  # fmt: skip
    return there | {who for on, gone, who in events if local_date(on, BERLIN.zone) == day and not gone}


@pytest.mark.parametrize(
    "of",
    [
        SEATS, MEMBERS, metric("unique_count", prorate="days"), metric("weighted_sum", bucket="hour", recurring=True),
        metric("register", bucket="day", jump_max="5"), metric("each", bucket="hour"),
        metric("charged", bucket="month", amount="money"),
    ],
    ids=str,
)  # fmt: skip
def test_a_definition_by_buckets_or_days_is_printed_and_read_as_the_same_metric(of):
    assert parse_metric(metric_json(of)) == of
