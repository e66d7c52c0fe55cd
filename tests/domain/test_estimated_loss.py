"""What missing events would have been worth: at the margin, by currency, unknown where there is no price."""

from decimal import Decimal

import pytest
from domain_strategies import per_unit_prices
from hypothesis import given
from hypothesis import strategies as st

from domain.losses import Loss, Reported, Window, estimated_loss
from domain.money import Currency
from domain.prices import parse_price

pytestmark = pytest.mark.fast

EUR, USD = Currency("EUR"), Currency("USD")
FLAT = parse_price({"model": "per_unit", "unit_amount": "1.50"})
LADDER = parse_price(
    {"model": "graduated", "tiers": [{"up_to": "1000", "unit_amount": "5"}, {"up_to": None, "unit_amount": "4"}]}
)
CALLS, MINUTES = 1, 2


def window(**changes):
    known = {"metric_id": CALLS, "account_id": "acme", "legal_entity_id": "pony", "currency": USD, "price": FLAT,
             "quantity": Decimal(950), "events": 950}  # fmt: skip
    return Window(**(known | changes))


def test_fifty_missing_events_at_one_fifty_a_unit_are_75():
    loss = estimated_loss(50, Reported(950, {CALLS: 950}), [window()])

    assert loss == Loss({"USD": Decimal("75.00")}, "acme", "pony")


def test_missing_events_are_worth_what_comes_last_in_a_graduated_price():
    # 970 units so far: of 50 more 30 cost 5 and 20 cost 4
    loss = estimated_loss(50, Reported(970, {CALLS: 970}), [window(price=LADDER, quantity=Decimal(970), events=970)])

    assert loss.money == {"USD": Decimal("230.00")}


def test_what_one_account_would_pay_less_makes_up_for_nothing_that_another_would_pay():
    # 900 units cost 1,800 and 1,080 would cost 1,080; 100 units at 1.50 would become 120
    cheaper = parse_price({"model": "volume", "tiers": [{"up_to": "1000", "unit_amount": "2"},
                                                        {"up_to": None, "unit_amount": "1"}]})  # fmt: skip
    windows = [window(price=cheaper, quantity=Decimal(900), events=900), window(quantity=Decimal(100), events=100)]

    loss = estimated_loss(200, Reported(1000, {CALLS: 1000}), windows)

    assert loss.money == {"USD": Decimal("750.00")}


def test_a_sum_goes_by_what_an_event_holds_on_average():
    # 10 of 20 events carry minutes, 45.5 in all: 6 more events bring 13.65 minutes
    windows = [window(metric_id=MINUTES, quantity=Decimal("45.5"), events=10)]

    loss = estimated_loss(6, Reported(20, {MINUTES: 10}), windows)

    assert loss.money == {"USD": Decimal("20.48")}  # 20.475 half up


def test_events_go_to_the_subscriptions_of_a_source_in_proportion():
    windows = [
        window(quantity=Decimal(30), events=30),
        window(quantity=Decimal(10), events=10, account_id="zeta", legal_entity_id="newark", currency=EUR),
    ]

    loss = estimated_loss(8, Reported(40, {CALLS: 40}), windows)

    assert loss == Loss({"USD": Decimal("9.00"), "EUR": Decimal("3.00")}, None, None)


def test_usage_that_other_sources_bring_to_the_same_window_is_not_counted_as_this_one_s():
    # of 100 events in the window this source sent 40, each of them one call: 10 more are 10 calls
    loss = estimated_loss(10, Reported(40, {CALLS: 40}), [window(quantity=Decimal(100), events=100)])

    assert loss.money == {"USD": Decimal("15.00")}


@pytest.mark.parametrize(
    ("reported", "windows"),
    [
        (Reported(0, {}), []),
        (Reported(40, {CALLS: 40}), []),
        (Reported(40, {CALLS: 40}), [window(price=None)]),
        (Reported(40, {}), [window()]),
        (Reported(0, {CALLS: 40}), [window()]),
        (Reported(40, {CALLS: 40}), [window(events=0)]),
        (Reported(40, {CALLS: 40}), [window(quantity=Decimal(-3), events=3)]),  # its price refuses that
    ],
)
def test_without_usage_or_a_price_the_loss_is_unknown(reported, windows):
    assert estimated_loss(50, reported, windows) == Loss({})


def test_what_has_no_price_adds_nothing_to_what_has_one():
    windows = [window(), window(metric_id=MINUTES, price=None, account_id="zeta")]

    loss = estimated_loss(50, Reported(950, {CALLS: 950, MINUTES: 950}), windows)

    assert loss == Loss({"USD": Decimal("75.00")}, "acme", "pony")


@given(st.integers(1, 10**18 - 1), st.integers(1, 10**9), per_unit_prices())
def test_of_a_flat_price_it_is_the_price_of_the_missing_units(missing, events, price):
    windows = [window(price=price, quantity=Decimal(events), events=events)]

    loss = estimated_loss(missing, Reported(events, {CALLS: events}), windows)

    exact = price.unit_amount * missing
    assert abs(loss.money["USD"] - exact) <= Decimal("0.005")


def test_a_window_whose_price_asks_for_more_than_a_quantity_adds_nothing():
    by_event = parse_price({"model": "percentage", "rate_percent": "2", "fixed_amount": "1"})

    loss = estimated_loss(50, Reported(950, {CALLS: 950}), [window(price=by_event), window()])
    unknown = estimated_loss(50, Reported(950, {CALLS: 950}), [window(price=by_event)])

    assert loss.money == {"USD": Decimal("37.50")}  # half of the missing events are of the window without an estimate
    assert unknown.money == {}
