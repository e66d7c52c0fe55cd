import json
from datetime import date
from decimal import Decimal

import pytest
from domain_strategies import currencies, decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.money import CurrenciesMixed, Currency, Money, total
from domain.taxation import (
    TaxableLine,
    TaxEvidence,
    TaxRate,
    TaxRateAmbiguous,
    TaxRateNotFound,
    TaxTable,
    tax_on,
    taxed,
)

pytestmark = pytest.mark.fast

EUR = Currency("EUR")
DAY = date(2026, 1, 31)
OLD = TaxRate("DE", "S", Decimal(16), date(2020, 7, 1), "JStG 2020", date(2021, 1, 1))
NEW = TaxRate("DE", "S", Decimal(19), date(2021, 1, 1), "UStG 12")
REDUCED = TaxRate("DE", "R", Decimal(7), date(1983, 7, 1), "UStG 12")
TABLE = TaxTable((OLD, NEW, REDUCED))


def line(net: str, category: str = "S", on: date = DAY) -> TaxableLine:
    return TaxableLine(Money.of(net, EUR), "DE", category, on)


def test_tax_is_rounded_once_on_the_sum_of_a_category_and_rate():
    # Three lines of 0.03: 19 % of each is 0.0057, rounded 0.01; of their sum it is 0.0171, rounded 0.02.
    found = taxed([line("0.03")] * 3, TABLE, currency=EUR)

    assert [subtotal.tax.to_text() for subtotal in found.subtotals] == ["0.02"]


def test_each_category_and_rate_has_its_own_subtotal_in_order():
    found = taxed([line("100"), line("50", "R"), line("100", on=date(2020, 12, 31))], TABLE, currency=EUR)

    assert [(s.category, s.percent, s.net.to_text(), s.tax.to_text()) for s in found.subtotals] == [
        ("R", 7, "50.00", "3.50"),
        ("S", 16, "100.00", "16.00"),
        ("S", 19, "100.00", "19.00"),
    ]


def test_a_rate_is_in_force_from_its_first_day_until_before_its_end():
    percents = [
        TABLE.evidence_for("DE", "S", on=date(year, month, day)).percent
        for year, month, day in ((2020, 12, 31), (2021, 1, 1))
    ]

    assert percents == [16, 19]


def test_a_correction_keeps_the_tax_point_and_rate_of_its_original():
    original = TABLE.evidence_for("DE", "S", on=date(2020, 12, 31))
    corrected = TaxableLine(Money.of("-100", EUR), "DE", "S", DAY, original)

    found = taxed([corrected], TABLE, currency=EUR)

    assert found.evidence == (original,)
    assert found.subtotals[0].tax == Money.of("-16", EUR)


def test_evidence_survives_storage():
    evidence = TABLE.evidence_for("DE", "S", on=DAY)

    assert TaxEvidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


@pytest.mark.parametrize(
    ("jurisdiction", "category", "on"), [("FR", "S", DAY), ("DE", "X", DAY), ("DE", "S", date(2020, 6, 30))]
)
def test_a_rate_that_is_not_there_is_refused_by_name(jurisdiction, category, on):
    with pytest.raises(TaxRateNotFound) as refused:
        TABLE.evidence_for(jurisdiction, category, on=on)

    assert refused.value.facts == {"jurisdiction": jurisdiction, "category": category, "tax_point_on": on.isoformat()}


def test_two_rates_in_force_at_once_are_refused_by_name():
    with pytest.raises(TaxRateAmbiguous):
        TaxTable((NEW, OLD, NEW)).evidence_for("DE", "S", on=DAY)


def test_a_line_in_another_currency_is_refused():
    with pytest.raises(CurrenciesMixed):
        taxed([TaxableLine(Money.of("1", "USD"), "DE", "S", DAY)], TABLE, currency=EUR)


@given(st.lists(decimals(lowest="-1000", highest="1000", places=2), min_size=1, max_size=9), currencies(), st.randoms())
def test_the_order_of_lines_never_changes_a_tax(amounts, currency, random):
    lines = [
        TaxableLine(Money(amount, currency).rounded(), "DE", "SR"[place % 2], DAY)
        for place, amount in enumerate(amounts)
    ]

    subtotals = taxed(lines, TABLE, currency=currency).subtotals

    assert taxed(random.sample(lines, len(lines)), TABLE, currency=currency).subtotals == subtotals
    assert total((s.net for s in subtotals), currency) == total((taxable.net for taxable in lines), currency)
    assert all(s.tax == tax_on(s.net, s.percent) and s.tax.is_rounded for s in subtotals)
