from decimal import Decimal

import pytest
from domain_strategies import decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.money import EXACT, QUOTIENT
from domain.tax_rules import (
    StackedRates,
    included_taxes,
    inclusive_line,
    lines_taxes,
    percent_of,
    split_gross,
    tax_on_both,
    with_tax,
    without_tax,
)

pytestmark = pytest.mark.fast


def rates(*percents: str, **choices: bool) -> StackedRates:
    return StackedRates(tuple(map(Decimal, percents)), **choices)


def percents() -> st.SearchStrategy[Decimal]:
    return decimals(highest="40", places=3)


def amounts() -> st.SearchStrategy[Decimal]:
    return decimals(lowest="-100000", highest="100000", places=4)


@pytest.mark.parametrize(
    ("stack", "net", "scale", "taxes", "tax"),
    [
        (rates("5"), "9.00", 2, ["0.45"], "0.45"),
        (rates("8", "2"), "1000", 0, ["80", "20"], "100"),
        (rates("10.5"), "999", 0, ["105"], "105"),
        # Meteroid: Quebec's sales tax on the price and the federal tax
        (rates("5", "9.975", compound=True), "100", 5, ["5", "10.47375"], "15.47375"),
        (rates("5", "9.975"), "100", 5, ["5", "9.975"], "14.975"),
        # half a cent each: rounded before or after they are summed
        (rates("0.5", "0.5"), "1", 2, ["0.01", "0.01"], "0.01"),
        (rates("0.5", "0.5", each_rounded=True), "1", 2, ["0.01", "0.01"], "0.02"),
        (rates("50", "100", compound=True, each_rounded=True), "0.01", 2, ["0.01", "0.02"], "0.03"),
        (rates(), "1", 2, [], "0"),
        (rates("20"), "-99.99", 2, ["-20.00"], "-20.00"),
        (rates("5"), "1.234", 3, ["0.062"], "0.062"),
    ],
)
def test_the_taxes_of_a_line_are_summed_as_its_rule_says(stack, net, scale, taxes, tax):
    found = stack.on(Decimal(net), scale)

    assert list(found.taxes) == list(map(Decimal, taxes))
    assert found.tax == Decimal(tax)
    assert found.gross == Decimal(net) + Decimal(tax)


@given(st.lists(percents(), max_size=4).map(tuple), amounts(), st.integers(0, 4))
def test_taxes_side_by_side_are_one_tax_of_the_summed_rate(percents_given, net, scale):
    together = StackedRates((sum(percents_given, Decimal(0)),)).on(net, scale)

    assert StackedRates(percents_given).on(net, scale).tax == together.tax


@given(percents(), percents(), amounts())
def test_compound_taxes_come_to_the_product_of_what_each_leaves(first, second, net):
    found = StackedRates((first, second), compound=True).on(net, 20)

    leaves = EXACT.multiply((100 + first) / 100, (100 + second) / 100)
    assert EXACT.add(net, found.tax) == EXACT.multiply(net, leaves)


def test_the_taxes_of_an_invoice_are_rounded_once():
    # Lago: a coupon of 10.00 over lines of 10.00 and 20.00
    lines = [
        (Decimal("6.6666666666666667"), rates("10")),
        (Decimal("13.3333333333333333"), rates("10", "12")),
    ]

    found = lines_taxes(lines, decimals=2)

    assert (found.tax, found.effective_percent) == (Decimal("3.60"), 18)
    assert [(each.percent, each.base, each.tax) for each in found.rates] == [
        (10, Decimal("20.00"), Decimal("2.00")),
        (12, Decimal("13.33"), Decimal("1.60")),
    ]


def test_three_lines_lose_no_cent_to_rounding():
    lines = [(Decimal("0.33"), rates("10"))] * 3

    assert lines_taxes(lines, decimals=2).tax == Decimal("0.10")
    assert sum(each.on(net, 2).tax for net, each in lines) == Decimal("0.09")


def test_the_average_rate_of_nothing_is_over_the_lines():
    lines = [(Decimal(0), rates("10")), (Decimal(0), rates("20", "5")), (Decimal(0), rates())]

    assert lines_taxes(lines, decimals=2).effective_percent == Decimal("11.66667")
    assert lines_taxes([], decimals=2).effective_percent == 0


@given(decimals(lowest="0.01", highest="100000", places=2), percents())
def test_a_gross_amount_is_split_into_net_and_tax_that_sum_to_it(gross, percent):
    splits = [split_gross(gross, percent, rounds=rounds, decimals=2) for rounds in ("net", "tax")]

    assert all(net + tax == gross for net, tax in splits)
    assert abs(splits[0][0] - splits[1][0]) <= Decimal("0.01")


def test_at_a_tie_the_rule_decides_who_has_the_cent():
    # Zuora: 2.99 with 4 % is exactly 2.875 and 0.115
    assert split_gross(Decimal("2.99"), Decimal(4), rounds="net", decimals=2) == (Decimal("2.88"), Decimal("0.11"))
    assert split_gross(Decimal("2.99"), Decimal(4), rounds="tax", decimals=2) == (Decimal("2.87"), Decimal("0.12"))


def test_two_carried_decimals_lose_a_cent_on_the_way_back_and_four_do_not():
    nets = [without_tax(Decimal("10.00"), Decimal(21), decimals=carried) for carried in (2, 4)]

    assert nets == [Decimal("8.26"), Decimal("8.2645")]
    assert [with_tax(net, Decimal(21), decimals=2) for net in nets] == [Decimal("9.99"), Decimal("10.00")]


@given(decimals(lowest="0.01", highest="10000", places=2), percents())
def test_carried_far_enough_the_gross_comes_back(gross, percent):
    assert with_tax(without_tax(gross, percent, decimals=10), percent, decimals=2) == gross


@pytest.mark.parametrize(
    ("unit_gross", "quantity", "percent", "discount", "expected"),
    [
        ("43.20", "1", "6", "0", ("40.7547", "40.7547", "40.7547")),
        ("10.00", "12", "13", "0", ("8.8496", "106.1952", "106.1952")),
        ("10.00", "12", "13", "10", ("8.8496", "106.1952", "95.5757")),
        ("10.00", "1", "0", "0", ("10", "10", "10")),
    ],
)
def test_a_unit_price_that_included_its_tax_is_rounded_before_it_is_multiplied(
    unit_gross, quantity, percent, discount, expected
):
    line = inclusive_line(
        Decimal(unit_gross), Decimal(quantity), Decimal(percent), decimals=4, discount_percent=Decimal(discount)
    )

    assert (line.unit_net, line.net_sum, line.net_total) == tuple(map(Decimal, expected))


def test_a_percentage_is_exact():
    assert percent_of(Decimal("7999999.99"), Decimal("9.975")) == Decimal("797999.9990025")


@pytest.mark.parametrize(
    ("stack", "percent"),
    [(rates("5", "9.975"), "14.975"), (rates("5", "9.975", compound=True), "15.47375"), (rates(), "0")],
)
def test_several_rates_come_to_one(stack, percent):
    assert stack.percent == Decimal(percent)


def test_taxes_within_amounts_sum_to_the_tax_within_their_sum():
    # 0.99 x 19 / 119 = 0.158; 1.98 -> 0.316; 2.97 -> 0.474
    thirds = included_taxes([Decimal("0.99")] * 3, Decimal(19), 2)

    assert thirds == [Decimal("0.16"), Decimal("0.16"), Decimal("0.15")]


@given(amounts(), amounts(), percents())
def test_tax_on_a_net_and_within_a_gross_is_rounded_once(net, gross, percent):
    found = tax_on_both(net, gross, percent, decimals=2)

    within = QUOTIENT.divide(EXACT.multiply(gross, percent), EXACT.add(Decimal(100), percent))
    exact = EXACT.add(percent_of(net, percent), within)
    assert EXACT.abs(EXACT.subtract(found, exact)) <= Decimal("0.005000001")
