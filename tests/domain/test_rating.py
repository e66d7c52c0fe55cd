from decimal import Decimal

import pytest
from domain_strategies import all_prices, currencies, usages
from hypothesis import given
from hypothesis import strategies as st

from domain.money import CurrenciesMixed, Currency, Money, total
from domain.prices import parse_price
from domain.rating import AmountNotRounded, correction, rate, rated_line

pytestmark = pytest.mark.fast

EUR = Currency("EUR")


def test_an_amount_stays_unrounded_until_its_line():
    rated = rate(Decimal(3), parse_price({"model": "per_unit", "unit_amount": "0.0033"}), currency=EUR)

    assert rated.amount == Money.of("0.0099", EUR)
    assert rated_line(rated, billed=Money.zero(EUR)).net == Money.of("0.01", EUR)


@given(all_prices(), st.lists(usages(), min_size=1, max_size=6), currencies())
def test_however_often_it_is_corrected_the_lines_sum_to_the_rounded_total(price, history, currency):
    billed = Money.zero(currency)
    lines = []

    for usage in history:
        line = rated_line(rate(usage, price, currency=currency), billed=billed)
        lines.append(line.net)
        billed = total(lines, currency)

    assert billed == rate(history[-1], price, currency=currency).amount.rounded()
    assert all(line.is_rounded for line in lines)


@given(all_prices(), usages(), currencies())
def test_rating_again_changes_nothing(price, usage, currency):
    rated = rate(usage, price, currency=currency)
    first = rated_line(rated, billed=Money.zero(currency))

    assert rated_line(rated, billed=first.net).net.is_zero


@given(all_prices(), usages(), usages(), currencies())
def test_the_steps_of_a_line_sum_to_its_net(price, usage, before, currency):
    billed = rate(before, price, currency=currency).amount.rounded()

    line = rated_line(rate(usage, price, currency=currency), billed=billed)

    assert total((Money(step.amount, currency) for step in line.steps), currency) == line.net


def test_a_late_reading_yields_exactly_the_difference():
    ladder = parse_price(
        {
            "model": "graduated",
            "tiers": [{"up_to": "300", "unit_amount": "5"}, {"up_to": None, "unit_amount": "4"}],
        }
    )
    first = rated_line(rate(Decimal(324), ladder, currency=EUR), billed=Money.zero(EUR))

    late = rated_line(rate(Decimal(360), ladder, currency=EUR), billed=first.net)

    assert (first.net.to_text(), late.net.to_text()) == ("1596.00", "144.00")
    assert [step.rule for step in late.steps] == ["tier", "tier", "already_billed"]


def test_what_was_billed_is_in_minor_units_and_in_the_same_currency():
    with pytest.raises(AmountNotRounded):
        correction(Money.of("1", EUR), billed=Money.of("0.001", EUR))
    with pytest.raises(CurrenciesMixed):
        correction(Money.of("1", EUR), billed=Money.of("1", "USD"))
