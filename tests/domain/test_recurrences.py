from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from domain_strategies import ZONES, instants
from hypothesis import given
from hypothesis import strategies as st

from domain.periods import Days, PeriodEmpty, Window, ZoneUnknown
from domain.recurrences import Interval, IntervalInvalid, Recurrence, TooManyPeriods, calendar_days

pytestmark = pytest.mark.fast

MONTH, QUARTER, YEAR, WEEK, DAY = (Interval.parse(text) for text in ("P1M", "P3M", "P1Y", "P1W", "P1D"))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def intervals() -> st.SearchStrategy[Interval]:
    return st.one_of(st.builds(Interval, months=st.integers(1, 24)), st.builds(Interval, days=st.integers(1, 90)))


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("P1M", Interval(months=1)),
        ("P2Y", Interval(months=24)),
        ("P2W", Interval(days=14)),
        ("P10D", Interval(days=10)),
    ],
)
def test_an_interval_is_read_from_its_duration(text, interval):
    assert Interval.parse(text) == interval


@pytest.mark.parametrize("text", ["", "P0M", "P1M1D", "PT1H", "P-1M", "P1.5M", "P1m", "month", "P99999D"])
def test_a_text_that_is_no_whole_interval_is_refused_by_name(text):
    with pytest.raises(IntervalInvalid) as refused:
        Interval.parse(text)

    assert (refused.value.code, refused.value.facts) == ("interval_invalid", {"interval": text})


def test_what_recurs_on_the_31st_clamps_and_returns():
    recurring = Recurrence(MONTH, date(2027, 10, 31))

    assert [recurring.day(place) for place in range(6)] == [
        date(2027, 10, 31),
        date(2027, 11, 30),
        date(2027, 12, 31),
        date(2028, 1, 31),
        date(2028, 2, 29),
        date(2028, 3, 31),
    ]


def test_an_anchor_that_was_clamped_itself_names_its_day():
    recurring = Recurrence(QUARTER, date(2025, 2, 28), 31)

    assert [recurring.day(place) for place in (-1, 0, 1)] == [date(2024, 11, 30), date(2025, 2, 28), date(2025, 5, 31)]


def test_a_leap_day_recurs_every_year():
    recurring = Recurrence(YEAR, date(2024, 2, 29))

    assert [recurring.day(place) for place in (1, 4)] == [date(2025, 2, 28), date(2028, 2, 29)]


@pytest.mark.parametrize(
    ("recurring", "instant", "starts_at", "ends_at"),
    [
        # OpenMeter, pkg/timeutil: an anchor on the 31st at three in the afternoon
        (
            Recurrence(MONTH, date(2025, 1, 31), at=time(15)),
            utc(2025, 9, 30, 15),
            utc(2025, 9, 30, 15),
            utc(2025, 10, 31, 15),
        ),
        (
            Recurrence(MONTH, date(2025, 1, 30), at=time(15)),
            utc(2025, 2, 13, 20),
            utc(2025, 1, 30, 15),
            utc(2025, 2, 28, 15),
        ),
        # the clock of New York was put forward on 10 March 2024 and back on 3 November
        (
            Recurrence(WEEK, date(2024, 3, 4), zone="America/New_York"),
            utc(2024, 3, 8),
            utc(2024, 3, 4, 5),
            utc(2024, 3, 11, 4),
        ),
        (
            Recurrence(DAY, date(2024, 11, 1), zone="America/New_York"),
            utc(2024, 11, 4, 4, 59),
            utc(2024, 11, 3, 4),
            utc(2024, 11, 4, 5),
        ),
        # 02:30 did not exist on 10 March 2024: it came at 03:30
        (
            Recurrence(DAY, date(2024, 3, 9), at=time(2, 30), zone="America/New_York"),
            utc(2024, 3, 10, 7),
            utc(2024, 3, 9, 7, 30),
            utc(2024, 3, 10, 7, 30),
        ),
        # Samoa left out 30 December 2011
        (
            Recurrence(DAY, date(2011, 12, 29), zone="Pacific/Apia"),
            utc(2011, 12, 30, 10),
            utc(2011, 12, 30, 10),
            utc(2011, 12, 31, 10),
        ),
    ],
)
def test_a_period_contains_its_instant_by_the_clock_of_the_zone(recurring, instant, starts_at, ends_at):
    assert recurring.period_at(instant) == Window(starts_at, ends_at)


@given(intervals(), instants(1990, 2035), st.sampled_from(ZONES), st.integers(0, 31), st.times())
def test_every_instant_lies_in_one_period_and_the_next_follows_it(interval, instant, zone, anchor_day, at):
    recurring = Recurrence(interval, date(2012, 2, 29), anchor_day, at=at, zone=zone)

    period = recurring.period_at(instant)

    assert period.contains(instant)
    assert recurring.next_after(instant) == period.ends_at
    assert recurring.period_at(period.ends_at).starts_at == period.ends_at
    assert recurring.period_at(period.ends_at - timedelta(microseconds=1)) == period


@given(intervals(), st.dates(date(1990, 1, 1), date(2035, 1, 1)))
def test_every_day_lies_in_the_period_of_its_days(interval, day):
    days = Recurrence(interval, date(2012, 2, 29), 31).days_at(day)

    assert days.first_on <= day < days.end_on


def test_what_recurs_at_an_instant_is_next_an_interval_later():
    assert Recurrence(MONTH, date(2024, 1, 15), at=time(12)).next_after(utc(2024, 4, 15, 12)) == utc(2024, 5, 15, 12)


def test_service_periods_begin_short_and_end_whole():
    recurring = Recurrence(MONTH, date(2025, 1, 31), at=time(15))

    periods = recurring.periods_between(utc(2025, 7, 10), utc(2025, 8, 31, 15))

    assert periods == (
        Window(utc(2025, 7, 10), utc(2025, 7, 31, 15)),
        Window(utc(2025, 7, 31, 15), utc(2025, 8, 31, 15)),
    )


def test_a_day_that_the_zone_left_out_is_no_period():
    recurring = Recurrence(DAY, date(2011, 12, 28), zone="Pacific/Apia")

    periods = recurring.periods_between(utc(2011, 12, 29, 10), utc(2012, 1, 1, 10))

    assert [period.starts_at.day for period in periods] == [29, 30, 31]
    assert all(before.ends_at == after.starts_at for before, after in pairwise(periods))


def test_periods_without_number_are_refused():
    with pytest.raises(TooManyPeriods) as refused:
        Recurrence(DAY, date(2020, 1, 1)).periods_between(utc(2020, 1, 1), utc(2024, 1, 1))

    assert refused.value.code == "too_many_periods"


def test_service_that_ends_before_it_starts_has_no_periods():
    with pytest.raises(PeriodEmpty):
        Recurrence(DAY, date(2020, 1, 1)).periods_between(utc(2020, 1, 2), utc(2020, 1, 1))


@pytest.mark.parametrize("at", [time(), time(9, 30)])
def test_a_zone_that_is_none_is_refused(at):
    with pytest.raises(ZoneUnknown):
        Recurrence(MONTH, date(2020, 1, 1), at=at, zone="Mars/Olympus").period_at(utc(2020, 1, 1))


@pytest.mark.parametrize(
    ("interval", "week_begins_on", "days"),
    [
        (WEEK, 0, Days(date(2023, 6, 12), date(2023, 6, 19))),
        (WEEK, 6, Days(date(2023, 6, 11), date(2023, 6, 18))),
        (MONTH, 0, Days(date(2023, 6, 1), date(2023, 7, 1))),
        (QUARTER, 6, Days(date(2023, 4, 1), date(2023, 7, 1))),
        (YEAR, 0, Days(date(2023, 1, 1), date(2024, 1, 1))),
    ],
)
def test_a_day_lies_in_its_calendar_period(interval, week_begins_on, days):
    assert calendar_days(date(2023, 6, 15), interval, week_begins_on=week_begins_on) == days
