from decimal import Decimal

import pytest
from domain_strategies import decimals
from hypothesis import given

from domain.money import CurrenciesMixed, Currency, Money
from domain.proration import Proportion
from domain.refunds import progressive_credit, unused_refund

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("amount", "percent", "unused", "given_back"),
    [
        # Lago: the total is the sum of the rounded parts, not the rounded sum
        ("160.00 EUR", "25", Proportion(29, 30), "154.67 38.67 193.34"),
        ("100.00 EUR", "20", Proportion(20, 28), "71.43 14.29 85.72"),
        ("1000 JPY", "10", Proportion(1, 3), "333 33 366"),
        ("10 KWD", "5", Proportion(1, 3), "3.333 0.167 3.500"),
        ("10 EUR", "0", Proportion(0, 30), "0 0 0"),
    ],
)
def test_the_unused_part_of_net_and_tax_is_given_back(amount, percent, unused, given_back):
    refund = unused_refund(Money.of(*amount.split()), Decimal(percent), unused=unused)

    assert (refund.net.amount, refund.tax.amount, refund.total.amount) == tuple(map(Decimal, given_back.split()))


def test_usage_that_was_billed_within_its_period_is_taken_off_once():
    usage, billed = Money.of("200", "EUR"), Money.of("150", "EUR")

    assert progressive_credit(usage, billed=billed) == billed
    assert progressive_credit(billed, billed=usage) == billed


@given(decimals(places=2), decimals(places=2))
def test_a_progressive_credit_is_never_more_than_the_usage(usage, billed):
    euro = Currency("EUR")

    credit = progressive_credit(Money(usage, euro), billed=Money(billed, euro))

    assert credit.amount <= usage


def test_a_credit_in_another_currency_is_refused():
    with pytest.raises(CurrenciesMixed):
        progressive_credit(Money.of("1", "EUR"), billed=Money.of("1", "USD"))
