"""Fees and seats: what stood for some days of a period costs its part of the period, exactly."""

from decimal import Decimal

import pytest
from domain_strategies import prices
from hypothesis import given
from hypothesis import strategies as st

from domain.metrics import MetricInvalid
from domain.metrics.subscribed import Subscribed, parse_subscribed, shares_of
from domain.money import Currency, Money, total
from domain.prices import Measured, PriceInvalid, parse_price
from domain.prices.per_unit import PerUnit
from domain.rating import rate, rate_nothing, rate_subscribed

EURO = Currency("EUR")
SIXTY = parse_price({"model": "per_unit", "unit_amount": "60"})


def test_seats_that_join_on_the_sixteenth_of_june_cost_half_a_month():
    rated = rate_subscribed(shares_of(30, [("25", 15), ("30", 15)]), SIXTY, currency=EURO)

    assert (rated.amount.amount, rated.quantity) == (Decimal(1650), Decimal("27.5"))
    assert [(step.fact("quantity"), step.fact("days"), step.fact("of_days")) for step in rated.steps] == [
        ("25", "15", "30"),
        ("30", "15", "30"),
    ]


def test_a_fee_over_ten_of_thirty_one_days_is_not_rounded_before_the_line():
    rated = rate_subscribed(
        shares_of(31, [("1", 10)]), parse_price({"model": "per_unit", "unit_amount": "2000"}), currency=EURO
    )

    assert rated.amount.rounded().amount == Decimal("645.16")
    assert rated.quantity == Decimal("0.322581")


def test_a_tie_is_a_tie_although_the_share_of_days_never_ends():
    rated = rate_subscribed(
        shares_of(30, [("1", 1)]), parse_price({"model": "per_unit", "unit_amount": "0.15"}), currency=EURO
    )

    assert rated.amount.rounded().amount == Decimal("0.01")


def test_nothing_that_stood_costs_nothing_also_where_a_flat_amount_is_due_without_usage():
    tiers = [{"up_to": None, "unit_amount": "1", "flat_amount": "10"}]
    flat = parse_price({"model": "graduated", "zero_usage": "first_tier_flat", "tiers": tiers})

    rated = rate_subscribed(shares_of(30, []), flat, currency=EURO)

    assert rated.amount.is_zero
    assert [step.rule for step in rated.steps] == ["not_subscribed"]


@given(
    price=prices(),
    parts=st.lists(st.tuples(st.integers(0, 10**6).map(str), st.integers(1, 30)), min_size=1, max_size=5),
)
def test_the_steps_sum_to_the_amount(price, parts):
    stood = shares_of(sum(days for _, days in parts), parts)

    rated = rate_subscribed(stood, price, currency=EURO)

    assert total((Money(step.amount, EURO) for step in rated.steps), EURO) == rated.amount


@given(unit_amount=st.decimals(0, 1000, places=4), first=st.integers(1, 30), rest=st.integers(1, 30))
def test_a_period_that_is_split_anywhere_costs_the_whole(unit_amount, first, rest):
    price = PerUnit(unit_amount)
    days = first + rest

    split = rate_subscribed(shares_of(days, [("7", first), ("7", rest)]), price, currency=EURO)

    assert split.amount == rate(Measured(Decimal(7)), price, currency=EURO).amount


@pytest.mark.parametrize("field", ["meter", "requires", "dimensions"])
def test_a_metric_that_no_event_feeds_says_nothing_of_events(field):
    with pytest.raises(MetricInvalid) as refused:
        parse_subscribed({"name": "seats", "aggregation": "subscribed", "unit": "seat", field: "x"})

    assert refused.value.field == field


def test_a_fee_reads_no_item_and_seats_read_theirs():
    fee = {"name": "base", "aggregation": "subscribed", "unit": "month"}

    assert parse_subscribed(fee) == Subscribed("base", "month")
    assert parse_subscribed({**fee, "property": "seats"}) == Subscribed("base", "month", "seats")


@pytest.mark.parametrize(
    ("adjustments", "service_days", "amount"),
    [
        ({"percentage": "10"}, None, 1080),
        ({"minimum": {"amount": "1000"}}, None, 1200),
        ({"minimum": {"amount": "1500"}}, None, 1500),
        ({"minimum": {"amount": "3000"}}, (15, 30), 1500),
        ({"minimum": {"amount": "3000", "prorate": False}}, (15, 30), 3000),
        ({"maximum": "1000"}, None, 1000),
        ({"amount_off": "1000"}, None, 200),
        ({"percentage": "50", "amount_off": "100", "maximum": "450", "minimum": {"amount": "460"}}, None, None),
    ],
)
def test_what_bounds_a_period_acts_once_on_the_sum_of_its_shares(adjustments, service_days, amount):
    """10 seats for 15 days and 30 for 15 days at 60: 300 + 900."""
    terms = {"model": "per_unit", "unit_amount": "60", "adjustments": adjustments}
    if amount is None:
        with pytest.raises(PriceInvalid):
            parse_price(terms)
        return

    stood = shares_of(30, [("10", 15), ("30", 15)])
    rated = rate_subscribed(stood, parse_price(terms), currency=EURO, service_days=service_days)

    assert rated.amount.amount == amount
    assert total((Money(step.amount, EURO) for step in rated.steps), EURO) == rated.amount


def test_a_minimum_is_due_where_no_seat_ever_stood():
    terms = {"model": "per_unit", "unit_amount": "60", "adjustments": {"minimum": {"amount": "100"}}}

    rated = rate_subscribed(shares_of(30, []), parse_price(terms), currency=EURO)

    assert rated.amount.amount == 100


def test_what_has_moved_to_other_terms_costs_nothing():
    assert rate_nothing(currency=EURO).amount.is_zero
