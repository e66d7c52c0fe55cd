"""Revenue: parts that sum to the line, a change that moves no closed period, and where each is recognised."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from domain_strategies import currencies
from hypothesis import given
from hypothesis import strategies as st

from domain.money import AllocationImpossible, Currency, Money, total
from domain.periods import Days
from domain.revenue import (
    METHODS,
    accounting_period,
    difference,
    earned,
    earned_alike,
    is_deferred,
    next_period,
    recognised,
)

pytestmark = pytest.mark.fast


def usd(amount: str) -> Money:
    return Money.of(amount, "USD")


def month(text: str) -> date:
    return date.fromisoformat(f"{text}-01")


@st.composite
def services(draw):
    first_on = draw(st.dates(date(2020, 1, 1), date(2030, 1, 1)))
    return Days(first_on, first_on + timedelta(days=draw(st.integers(1, 1200))))


@st.composite
def nets(draw, currency=None):
    currency = currency or draw(currencies())
    return Money(Decimal(draw(st.integers(-(10**9), 10**9))).scaleb(-currency.minor_units), currency)


@given(nets(), services(), st.sampled_from(METHODS))
def test_the_parts_of_a_line_sum_to_it_and_lie_in_its_service(net, service, method):
    parts = earned(net, service, method)

    assert total(parts.values(), net.currency) == net
    assert all(part.is_rounded and not part.is_zero for part in parts.values())
    assert all(period < service.end_on and next_period(period) > service.first_on for period in parts)
    assert parts == earned(net, service, method)


@given(nets(), services(), st.sampled_from(METHODS))
def test_what_is_given_back_is_spread_as_what_was_billed(net, service, method):
    assert earned(-net, service, method) == {period: -part for period, part in earned(net, service, method).items()}


@given(nets(), services())
def test_no_part_is_further_from_its_share_by_days_than_a_minor_unit(net, service):
    minor_unit = Decimal(1).scaleb(-net.currency.minor_units)

    for period, part in earned(net, service, "daily").items():
        days = (min(next_period(period), service.end_on) - max(period, service.first_on)).days
        assert abs(part.amount * service.count - net.amount * days) < minor_unit * service.count


@given(st.data(), services(), services(), st.sampled_from(METHODS), st.dates(date(2020, 1, 1), date(2033, 1, 1)))
def test_a_change_brings_what_is_held_to_what_is_new_and_nothing_comes_before_it_is_posted(
    data, before, after, method, posting_on
):
    held, new = (earned(data.draw(nets(Currency("USD"))), days, method) for days in (before, after))

    changed = difference(new, held)
    parts = recognised(changed, posting_on=posting_on)

    assert difference(new, {}) == difference({**held, **{p: held.get(p, usd("0")) + a for p, a in changed.items()}}, {})
    assert all(part.period >= accounting_period(posting_on) for part in parts)
    assert all(part.period >= part.earned_in for part in parts)
    assert {part.earned_in: part.amount for part in parts} == changed


@given(nets(), services(), st.sampled_from(METHODS))
def test_what_does_not_change_changes_nothing(net, service, method):
    assert difference(earned(net, service, method), earned(net, service, method)) == {}


def test_an_annual_fee_from_the_15th_is_earned_by_the_days_of_a_leap_year():
    service = Days(date(2024, 1, 15), date(2025, 1, 15))

    parts = earned(usd("1200.00"), service, "daily")

    # 1,200 / 366 = 3.278688... a day: 17 days 55.737..., 29 days 95.081..., 30 days 98.360..., 31 days 101.639..., 14
    # days 45.901...; rounded down they sum to 1,199.93. The seven cents left go to the largest remainders: six months
    # of 31 days (0.93 of a cent) and the 17 days (0.77)
    assert {f"{period:%Y-%m}": part.to_text() for period, part in parts.items()} == {
        "2024-01": "55.74", "2024-02": "95.08", "2024-03": "101.64", "2024-04": "98.36", "2024-05": "101.64",
        "2024-06": "98.36", "2024-07": "101.64", "2024-08": "101.64", "2024-09": "98.36", "2024-10": "101.64",
        "2024-11": "98.36", "2024-12": "101.64", "2025-01": "45.90",
    }  # fmt: skip


def test_by_months_a_whole_month_is_a_twelfth_and_a_part_of_one_counts_by_its_days():
    parts = earned(usd("1200.00"), Days(date(2024, 1, 15), date(2025, 1, 15)), "monthly")

    # 17 of 31 days and 14 of 31 days of the two Januaries are one month
    assert parts.pop(month("2024-01")) == usd("54.84")
    assert parts.pop(month("2025-01")) == usd("45.16")
    assert set(parts.values()) == {usd("100.00")}
    assert len(parts) == 11


def test_a_part_of_a_single_month_is_earned_in_it():
    assert earned(usd("7.01"), Days(date(2024, 2, 3), date(2024, 2, 5)), "monthly") == {month("2024-02"): usd("7.01")}


def test_usage_is_earned_when_it_was_used_where_that_is_known():
    service = Days(date(2026, 6, 15), date(2026, 7, 15))
    used = {month("2026-06"): Decimal(3), month("2026-07"): Decimal(1)}

    assert earned(usd("10.00"), service, "as_incurred", used=used) == {
        month("2026-06"): usd("7.50"), month("2026-07"): usd("2.50"),
    }  # fmt: skip
    # 16 of 30 days
    by_days = {month("2026-06"): usd("5.33"), month("2026-07"): usd("4.67")}
    assert earned(usd("10.00"), service, "daily", used=used) == by_days
    for unknown in (None, {}, {month("2026-06"): Decimal(0)}, {month("2026-06"): Decimal(-1)}):
        assert earned(usd("10.00"), service, "as_incurred", used=unknown) == by_days


def test_a_credit_note_in_month_5_catches_up_with_the_months_before_it():
    service = Days(date(2024, 1, 1), date(2025, 1, 1))
    held, new = (earned(usd(amount), service, "monthly") for amount in ("1200.00", "900.00"))

    parts = recognised(difference(new, held), posting_on=date(2024, 5, 20))

    assert [part.amount for part in parts] == [usd("-25.00")] * 12
    assert [part.period for part in parts] == [month("2024-05")] * 5 + [
        date(2024, each, 1) for each in range(6, 13)
    ]  # fmt: skip


def test_a_service_that_ends_early_gives_back_only_what_was_still_to_be_earned():
    held = earned(usd("1200.00"), Days(date(2024, 1, 1), date(2025, 1, 1)), "monthly")
    new = earned(usd("500.00"), Days(date(2024, 1, 1), date(2024, 6, 1)), "monthly")

    assert difference(new, held) == {date(2024, each, 1): usd("-100.00") for each in range(6, 13)}


@pytest.mark.parametrize(
    ("posting_on", "is_later"), [("2024-01-31", True), ("2024-02-01", False), ("2024-03-01", False)]
)
def test_a_line_is_deferred_if_some_of_it_is_earned_after_the_period_it_is_posted_in(posting_on, is_later):
    amounts = {month("2024-01"): usd("1"), month("2024-02"): usd("1")}
    on = date.fromisoformat(posting_on)

    assert is_deferred(recognised(amounts, posting_on=on), posting_on=on) is is_later


def test_an_amount_that_is_not_in_minor_units_is_refused():
    with pytest.raises(AllocationImpossible):
        earned(usd("0.001"), Days(date(2024, 1, 1), date(2024, 1, 2)), "daily")


@given(nets(), nets(), services())
def test_what_stands_beside_the_lines_sums_to_it_and_is_earned_when_they_are(net, lines, service):
    lines_earned = {} if lines.currency != net.currency else earned(lines, service, "monthly")

    parts = earned_alike(net, lines_earned, service)

    assert total(parts.values(), net.currency) == net
    assert not lines_earned or set(parts) <= set(lines_earned)


def test_what_stands_beside_lines_of_both_signs_is_earned_by_its_days():
    service = Days(date(2026, 6, 15), date(2026, 7, 15))
    lines = {month("2026-06"): usd("-1.00"), month("2026-07"): usd("5.00")}

    assert earned_alike(usd("3.00"), lines, service) == {month("2026-06"): usd("1.60"), month("2026-07"): usd("1.40")}
