from datetime import date
from decimal import Decimal

import pytest
from domain_strategies import decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.document_totals import DocumentTotals, Extra, Item, Levy, TotalsRule, document_totals
from domain.money import Currency, Money, rounded_to
from domain.taxation import TaxableLine, TaxEvidence, TaxTable, taxed

pytestmark = pytest.mark.fast

VAT_21, VAT_6, EXEMPT = Levy("VAT", Decimal(21)), Levy("VAT", Decimal(6)), Levy("VAT", None)
ROUNDED, CARRIED = TotalsRule(2), TotalsRule(2, 2)


def item(quantity: str, unit_price: str, *taxes: Levy, extras: tuple[Extra, ...] = ()) -> Item:
    return Item(Decimal(quantity), Decimal(unit_price), extras=extras, taxes=taxes)


def figures(found: DocumentTotals) -> tuple[str, ...]:
    return tuple(str(each) for each in (found.line_sum, found.total, found.tax, found.gross))


def test_rounded_lines_sum_and_carried_ones_are_summed_before_they_are_shown():
    thirds = [item("1", "3.333", VAT_21)] * 3

    assert figures(document_totals(thirds, (), ROUNDED)) == ("9.99", "9.99", "2.10", "12.09")
    assert figures(document_totals(thirds, (), CARRIED)) == ("10.00", "10.00", "2.10", "12.10")
    assert document_totals(thirds, (), CARRIED).lines == (Decimal("3.33"),) * 3


def test_a_price_of_more_decimals_is_carried_with_them():
    found = document_totals([item("3", "0.000003", VAT_21)] * 1_000, (), CARRIED)

    assert found.line_sum == Decimal("0.01")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # GOBL, a Belgian invoice: 1620.00 with 21 % and 10.00 with 6 %
        (TotalsRule(2, 2, "VAT"), ("1630.00", "1348.28", "281.72", "1630.00")),
        (TotalsRule(2, 0, "VAT"), ("1630.00", "1348.27", "281.73", "1630.00")),
    ],
)
def test_prices_that_include_a_tax_give_it_up(rule, expected):
    items = [
        item("20", "90.00", VAT_21, extras=(Extra(adds=False, percent=Decimal(10)),)),
        item("1", "10.00", VAT_6),
    ]

    found = document_totals(items, (), rule)

    assert figures(found) == expected
    assert [levy.levy.percent for levy in found.levies] == [6, 21]
    assert found.included == found.tax


def test_an_exempt_line_stands_first_in_its_category_and_keeps_its_price():
    found = document_totals([item("1", "12.10", VAT_21), item("1", "5.00", EXEMPT)], (), TotalsRule(2, 0, "VAT"))

    assert [(each.levy, each.base, each.tax) for each in found.levies] == [
        (EXEMPT, Decimal("5.00"), 0),
        (VAT_21, Decimal("10.00"), Decimal("2.10")),
    ]


def test_what_the_payer_keeps_back_is_not_payable():
    income_tax = Levy("IRPEF", Decimal(20), is_retained=True)
    fund = Extra(adds=True, percent=Decimal(4), taxes=(Levy("VAT", Decimal(22)), income_tax))

    found = document_totals([item("1", "1600.00", Levy("VAT", Decimal(22)), income_tax)], [fund], CARRIED)

    assert (found.charges, found.total, found.gross) == (Decimal(64), Decimal(1664), Decimal("2030.08"))
    assert (found.retained, found.payable) == (Decimal("332.80"), Decimal("1697.28"))


def test_a_surcharge_is_on_the_same_base_as_its_tax():
    # Spain's recargo de equivalencia: 5.2 % on top of 21 %
    found = document_totals([item("10", "10.00", Levy("VAT", Decimal(21), Decimal("5.2")))], (), CARRIED)

    assert (found.levies[0].tax, found.levies[0].surcharge, found.tax) == (Decimal(21), Decimal("5.2"), Decimal("26.2"))


def test_deductions_of_a_document_lower_the_base_of_their_tax():
    extras = [
        Extra(adds=False, percent=Decimal(10), taxes=(VAT_21,)),
        Extra(adds=False, percent=Decimal(10), base=Decimal(50), taxes=(VAT_21,)),
        Extra(adds=True, amount=Decimal(3), taxes=(VAT_21,)),
        Extra(adds=True, amount=Decimal(1)),
    ]

    found = document_totals([item("1", "100.00", VAT_21)], extras, ROUNDED, rounding=Decimal("0.02"))

    assert (found.deductions, found.charges, found.total) == (Decimal(15), Decimal(4), Decimal(89))
    assert found.levies[0].base == Decimal(88)
    assert (found.tax, found.gross, found.payable) == (Decimal("18.48"), Decimal("107.48"), Decimal("107.50"))


def test_a_price_may_be_for_many_units_and_a_net_may_be_given():
    per_hundred = Item(Decimal(30), Decimal("7.99"), Decimal(100), taxes=(VAT_21,))
    given_net = Item(Decimal(2), Decimal("1273.00"), given_net=Decimal("1273.00"), taxes=(VAT_21,))

    assert document_totals([per_hundred, given_net], (), ROUNDED).lines == (Decimal("2.40"), Decimal("1273.00"))


def test_a_price_is_for_some_units():
    with pytest.raises(AssertionError):
        Item(Decimal(1), Decimal(1), Decimal(0))


@pytest.mark.parametrize(("minor_units", "gross"), [(0, "121"), (3, "120.879")])
def test_the_currency_says_what_is_rounded_to(minor_units, gross):
    assert document_totals([item("9", "11.1", VAT_21)], (), TotalsRule(minor_units)).gross == Decimal(gross)


def test_a_document_without_lines_comes_to_nothing():
    assert figures(document_totals((), (), CARRIED)) == ("0.00", "0.00", "0.00", "0.00")


def items(*, places: int) -> st.SearchStrategy[list[Item]]:
    amounts = decimals(lowest="-10000", highest="10000", places=places)
    levies = [VAT_21, VAT_6, Levy("VAT", Decimal("7.7")), Levy("GST", Decimal(5))]
    taxes = st.sampled_from([(levy,) for levy in levies])
    return st.lists(st.builds(Item, decimals(highest="500", places=places), amounts, taxes=taxes), max_size=6)


@given(items(places=2), st.sampled_from(["EUR", "JPY", "KWD"]).map(Currency))
def test_with_rounded_lines_it_is_the_rule_of_our_own_documents(lines, currency):
    found = document_totals(lines, (), TotalsRule(currency.minor_units))

    day = date(2026, 1, 31)
    own = [
        TaxableLine(
            Money(net, currency),
            "",
            tax.category,
            day,
            TaxEvidence("given", "", tax.category, tax.percent, day, ""),
        )
        for net, (tax,) in zip(found.lines, (line.taxes for line in lines), strict=True)
    ]
    subtotals = taxed(own, TaxTable(()), currency=currency).subtotals
    assert [(tax.net.amount, tax.tax.amount) for tax in subtotals] == [(each.base, each.tax) for each in found.levies]
    assert found.tax == sum(tax.tax.amount for tax in subtotals)
    assert found.total == sum(found.lines)
    assert found.gross == found.total + found.tax


@given(items(places=2))
def test_with_rounded_lines_net_and_included_tax_sum_to_the_prices(lines):
    lines = [line for line in lines if line.taxes[0].category == "VAT"]

    found = document_totals(lines, (), TotalsRule(2, 0, "VAT"))

    assert found.gross == found.line_sum == sum(found.lines)
    assert found.total == sum(each.base for each in found.levies)


@given(items(places=4))
def test_carried_and_rounded_lines_differ_by_less_than_a_minor_unit_each(lines):
    carried, rounded = (document_totals(lines, (), rule) for rule in (CARRIED, ROUNDED))

    assert abs(carried.line_sum - rounded.line_sum) <= rounded_to(Decimal("0.006") * len(lines), 2) + Decimal("0.01")
