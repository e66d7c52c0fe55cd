from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from domain_strategies import ZONES, instants
from hypothesis import given
from hypothesis import strategies as st

from domain.money import Money
from domain.periods import (
    Days,
    MonthlyCycle,
    PeriodEmpty,
    Window,
    WindowOutside,
    ZoneUnknown,
    billing_period,
    days_between,
    first_instant,
    local_date,
    month_containing,
    month_periods,
    prorated,
    prorated_by_time,
)

pytestmark = pytest.mark.fast

SECOND = timedelta(seconds=1)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        (date(2013, 1, 1), "America/New_York", utc(2013, 1, 1, 5)),
        (date(2013, 7, 1), "America/New_York", utc(2013, 7, 1, 4)),
        (date(2018, 11, 4), "America/Sao_Paulo", utc(2018, 11, 4, 3)),  # 00:00 became 01:00
        (date(1919, 3, 31), "America/Toronto", utc(1919, 3, 31, 4, 30)),  # 23:30 became 00:30
        (date(2011, 12, 30), "Pacific/Apia", utc(2011, 12, 30, 10)),  # a day that never was
        (date(2011, 12, 31), "Pacific/Apia", utc(2011, 12, 30, 10)),
        (date(2023, 11, 5), "America/Havana", utc(2023, 11, 5, 4)),  # midnight comes twice
        (date(2024, 2, 29), "Asia/Kathmandu", utc(2024, 2, 28, 18, 15)),
    ],
)
def test_a_local_day_begins_at_its_first_instant(day, zone, instant):
    assert first_instant(day, zone) == instant


@given(instants(), st.sampled_from(ZONES))
def test_no_earlier_second_shows_the_day_and_the_first_instant_does(instant, zone):
    day = local_date(instant, zone)

    first = first_instant(day, zone)

    assert first <= instant
    assert local_date(first, zone) >= day
    assert local_date(first - SECOND, zone) < day


@given(st.dates(date(1980, 1, 1), date(2040, 1, 1)), st.sampled_from(ZONES))
def test_local_days_follow_one_another_and_last_about_a_day(day, zone):
    first, following = first_instant(day, zone), first_instant(day + timedelta(days=1), zone)

    assert timedelta(0) <= following - first <= timedelta(hours=26)


@pytest.mark.parametrize("zone", ["", "Europe", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "a\0b"])
def test_a_name_that_is_no_zone_is_refused_by_name(zone):
    with pytest.raises(ZoneUnknown):
        first_instant(date(2026, 1, 1), zone)


def test_a_month_of_new_york_is_bounded_by_its_own_midnights():
    (january,) = month_periods("America/New_York", date(2013, 1, 1), 1)

    assert (january.starts_at, january.ends_at) == (utc(2013, 1, 1, 5), utc(2013, 2, 1, 5))
    assert (january.label, january.days.count) == ("2013-01", 31)
    assert january.contains(january.starts_at)
    assert not january.contains(january.ends_at)


def test_a_month_with_the_clock_put_forward_is_an_hour_short():
    march, november = month_periods("America/New_York", date(2013, 3, 15), 9)[::8]

    assert march.ends_at - march.starts_at == timedelta(days=31) - timedelta(hours=1)
    assert november.ends_at - november.starts_at == timedelta(days=30) + timedelta(hours=1)


@given(instants(), st.sampled_from(ZONES), st.integers(1, 31))
def test_every_instant_lies_in_exactly_the_period_that_is_found(instant, zone, anchor_day):
    cycle = MonthlyCycle(zone, anchor_day)

    period = cycle.period_at(instant)

    assert period.contains(instant)
    assert timedelta(days=27) < period.ends_at - period.starts_at < timedelta(days=32)
    assert cycle.period_at(period.starts_at) == period
    assert cycle.period_at(period.ends_at).starts_at == period.ends_at


def test_where_a_clock_goes_back_over_midnight_the_period_is_settled_by_instants():
    first = first_instant(date(2009, 11, 1), "America/St_Johns")  # 00:01 became 23:01 of the day before
    again_october = first + timedelta(minutes=30)

    assert local_date(again_october, "America/St_Johns") == date(2009, 10, 31)
    assert month_containing(again_october, "America/St_Johns").label == "2009-11"


@given(st.dates(date(1980, 1, 1), date(2038, 1, 1)), st.sampled_from(ZONES), st.integers(1, 30))
def test_months_join_without_gap_or_overlap(first_on, zone, count):
    periods = month_periods(zone, first_on, count)

    assert len(periods) == count
    assert periods[0].days.first_on == first_on.replace(day=1)
    assert all(one.ends_at == following.starts_at for one, following in pairwise(periods))


def test_the_thirty_first_clamps_and_returns():
    periods = MonthlyCycle("Europe/Berlin", 31).periods_from(date(2028, 1, 31))

    assert [next(periods).days.first_on for _ in range(4)] == [
        date(2028, 1, 31),
        date(2028, 2, 29),
        date(2028, 3, 31),
        date(2028, 4, 30),
    ]


@given(instants(), st.sampled_from(ZONES), st.integers(1, 31), st.sampled_from([2, 3, 4, 6, 12]), st.integers(1, 12))
def test_stretches_of_months_join_and_begin_in_the_months_of_their_anchor(instant, zone, day, months, anchor):
    cycle = MonthlyCycle(zone, day, months, anchor)

    period = cycle.period_at(instant)
    following = cycle.period_at(period.ends_at)

    assert period.contains(instant)
    assert following.starts_at == period.ends_at
    for each in (period, following):
        assert (each.days.first_on.month - anchor) % months == 0
        assert sum(1 for _ in takewhile(lambda p: p.ends_at <= each.ends_at,  # noqa: B023
                   MonthlyCycle(zone, day).periods_from(each.days.first_on))) == months  # fmt: skip


def test_a_quarter_from_the_last_day_of_november_clamps_and_returns():
    periods = MonthlyCycle("Europe/Berlin", 31, 3, 11).periods_from(date(2027, 12, 1))

    assert [next(periods).days.first_on for _ in range(4)] == [
        date(2027, 11, 30),
        date(2028, 2, 29),
        date(2028, 5, 31),
        date(2028, 8, 31),
    ]


def test_a_period_that_is_no_calendar_month_is_labelled_by_its_days():
    period = MonthlyCycle("Europe/Berlin", 15).period_at(utc(2026, 1, 20))

    assert period.label == "2026-01-15/2026-02-15"


def test_a_period_without_days_or_instants_is_refused():
    with pytest.raises(PeriodEmpty):
        Days(date(2026, 1, 1), date(2026, 1, 1))
    with pytest.raises(PeriodEmpty):
        billing_period("Pacific/Apia", Days(date(2011, 12, 30), date(2011, 12, 31)))


def test_half_of_june_is_fifteen_thirtieths():
    full = Days(date(2026, 6, 1), date(2026, 7, 1))

    share = prorated(Money.of("300", "EUR"), used=Days(date(2026, 6, 16), date(2026, 7, 1)), full=full)

    assert share == Money.of("150", "EUR")


def test_days_outside_the_period_are_refused():
    full = Days(date(2026, 6, 1), date(2026, 7, 1))

    with pytest.raises(WindowOutside):
        prorated(Money.of("300", "EUR"), used=Days(date(2026, 5, 31), date(2026, 6, 2)), full=full)


def test_time_outside_the_period_is_refused():
    full = Window(utc(2026, 6, 1), utc(2026, 7, 1))

    with pytest.raises(WindowOutside):
        prorated_by_time(Money.of("300", "EUR"), used=Window(utc(2026, 6, 1), utc(2026, 7, 2)), full=full)


@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.sampled_from(ZONES), st.integers(1, 27))
def test_two_parts_of_a_month_make_the_whole_whatever_the_clocks_did(day, zone, cut):
    (month,) = month_periods(zone, day, 1)
    middle = month.days.first_on + timedelta(days=cut)
    price = Money.of("1234.56", "EUR")

    parts = [prorated(price, used=used, full=month.days) for used in _cut(month.days, middle)]

    assert (parts[0] + parts[1]).rounded() == price
    assert days_between(month.starts_at, month.ends_at, zone) == month.days.count


def _cut(days: Days, middle: date) -> tuple[Days, Days]:
    return Days(days.first_on, middle), Days(middle, days.end_on)


def test_days_are_turned_by_the_local_calendar():
    berlin = ZoneInfo("Europe/Berlin")
    evening = datetime(2026, 3, 28, 23, 59, tzinfo=berlin)
    morning = datetime(2026, 3, 29, 3, 1, tzinfo=berlin)

    assert days_between(evening, morning, "Europe/Berlin") == 1
    assert days_between(evening, morning, "America/New_York") == 0
