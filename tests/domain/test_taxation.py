import json
from datetime import date
from decimal import Decimal

import pytest
from domain_strategies import currencies, decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.money import CurrenciesMixed, Currency, Money, total
from domain.taxation import (
    RatePart,
    TaxableLine,
    TaxEvidence,
    TaxRate,
    TaxRateAmbiguous,
    TaxRateNotFound,
    TaxTable,
    tax_on,
    taxed,
)
from domain.vat import Exemption, Registration, TaxParties

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


# ----------------------------------------------------------------------------------------------- who pays no tax
GERMAN = Registration("DE", "136695976", is_checked=True)
FRENCH = Registration("FR", "40303265045", is_checked=True)
MUSEUM = Exemption("DE", "S", "E", "VATEX-EU-132-1N", "a museum", "certificate 7", date(2026, 1, 1))
ABROAD = TaxParties((GERMAN,), (FRENCH,))


def sold_to(parties: TaxParties, net: str = "100") -> TaxableLine:
    return TaxableLine(Money.of(net, EUR), "DE", "S", DAY, parties=parties)


def test_reverse_charge_asks_for_nothing_and_says_whose_numbers_decided_it():
    found = taxed([sold_to(ABROAD)], TABLE, currency=EUR)

    (why,) = found.evidence
    assert (why.vat, why.percent, why.because, why.waived_percent) == ("AE", 0, "reverse_charge", 19)
    assert (why.exemption_code, why.exemption_reason) == ("VATEX-EU-AE", "Reverse charge")
    assert (why.seller_number, why.buyer_number) == ("DE136695976", "FR40303265045")
    (subtotal,) = found.subtotals
    assert (subtotal.vat, subtotal.net.to_text(), subtotal.tax.to_text()) == ("AE", "100.00", "0.00")


def test_an_exemption_goes_before_the_reverse_charge_and_names_its_certificate():
    found = taxed([sold_to(TaxParties((GERMAN,), (FRENCH,), (MUSEUM,)))], TABLE, currency=EUR)

    (why,) = found.evidence
    assert (why.vat, why.because, why.certificate) == ("E", "exemption", "certificate 7")
    assert (why.exemption_code, why.exemption_reason, why.buyer_number) == ("VATEX-EU-132-1N", "a museum", None)


def test_who_is_exempt_from_nothing_here_is_asked_for_the_rate():
    elsewhere = Exemption("FR", "S", "E", None, "a museum", "certificate 7", date(2026, 1, 1))

    assert taxed([sold_to(TaxParties(exemptions=(elsewhere,)))], TABLE, currency=EUR).subtotals[0].percent == 19


@pytest.mark.parametrize(
    ("vat_category", "given", "code", "reason"),
    [
        ("Z", (None, None), None, None),
        ("E", ("VATEX-EU-132", "insurance"), "VATEX-EU-132", "insurance"),
        ("G", (None, None), "VATEX-EU-G", "Export outside the EU"),
        ("O", (None, "a deposit"), None, "a deposit"),
        (None, (None, None), None, None),
    ],
)
def test_a_rate_of_nothing_says_why_unless_it_is_the_zero_rate(vat_category, given, code, reason):
    rate = TaxRate("DE", "N", Decimal(0), date(2020, 1, 1), "law", date.max, vat_category, *given)

    why = TaxTable((rate,)).evidence_for("DE", "N", on=DAY, parties=ABROAD)

    assert (why.vat, why.exemption_code, why.exemption_reason) == (vat_category or "Z", code, reason)
    assert why.because == "rate"


def test_all_that_evidence_says_survives_storage():
    parts = TaxRate("DE", "S", Decimal(12), date(2020, 1, 1), "", parts=(RatePart("a", Decimal(12)),), is_compound=True)
    for parties in (ABROAD, TaxParties(exemptions=(MUSEUM,))):
        evidence = TABLE.evidence_for("DE", "S", on=DAY, parties=parties)
        assert TaxEvidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence
    evidence = TaxTable((parts,)).evidence_for("DE", "S", on=DAY)
    assert TaxEvidence.from_json(json.loads(json.dumps(evidence.to_json()))) == evidence


def test_a_correction_of_a_taxed_line_stays_taxed_for_whoever_is_registered_since():
    original = TABLE.evidence_for("DE", "S", on=DAY)
    corrected = TaxableLine(Money.of("-10", EUR), "DE", "S", DAY, original, ABROAD)

    found = taxed([corrected, sold_to(ABROAD)], TABLE, currency=EUR)

    assert [(s.vat, s.percent, s.tax.to_text()) for s in found.subtotals] == [("AE", 0, "0.00"), ("S", 19, "-1.90")]


# ----------------------------------------------------------------------------------------------- several categories
def test_categories_that_share_a_vat_category_and_rate_are_rounded_together():
    calls = TaxRate("DE", "calls", Decimal(19), date(2021, 1, 1), "UStG 12")
    data = TaxRate("DE", "data", Decimal(19), date(2021, 1, 1), "UStG 12")

    found = taxed([line("0.03", "calls"), line("0.03", "data")], TaxTable((calls, data)), currency=EUR)

    # 19 % of 0.03 is 0.0057, rounded 0.01; of 0.06 it is 0.0114, rounded 0.01: the cent goes to the earlier name.
    assert [(s.category, s.tax.to_text()) for s in found.subtotals] == [("calls", "0.01"), ("data", "0.00")]


def test_reasons_of_one_category_stand_together_and_a_code_only_if_it_is_of_all():
    museum = TABLE.evidence_for("DE", "S", on=DAY, parties=TaxParties(exemptions=(MUSEUM,)))
    school = Exemption("DE", "S", "E", "VATEX-EU-132-1I", "a school", "certificate 8", date(2026, 1, 1))
    lines = [TaxableLine(Money.of("1", EUR), "DE", "S", DAY, museum), sold_to(TaxParties(exemptions=(school,)))]

    (subtotal,) = taxed(lines, TABLE, currency=EUR).subtotals

    assert (subtotal.exemption_reason, subtotal.exemption_code) == ("a museum; a school", None)


# ----------------------------------------------------------------------------------------------- several taxes
#: As Quebec did until 2012: its tax of 7.5 % was on the price and the federal tax of 5 %.
QUEBEC = TaxRate(
    "CA-QC", "S", Decimal("12.875"), date(2010, 1, 1), "Revenu Quebec", date(2011, 1, 1),
    parts=(RatePart("GST", Decimal(5)), RatePart("QST", Decimal("7.5"))), is_compound=True,
)  # fmt: skip


def test_of_a_compound_rate_each_part_is_told_and_they_sum_to_the_tax():
    line = TaxableLine(Money.of("100", "CAD"), "CA-QC", "S", date(2010, 6, 1))

    (subtotal,) = taxed([line], TaxTable((QUEBEC,)), currency=Currency("CAD")).subtotals

    # 5 % of 100 is 5; 7.5 % of 105 is 7.875; together 12.875, rounded 12.88
    assert (subtotal.tax.to_text(), [(name, part.to_text()) for name, part in subtotal.parts]) == (
        "12.88", [("GST", "5.00"), ("QST", "7.88")],
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------- prices with their tax
def asked(amount: str, category: str = "S") -> TaxableLine:
    return TaxableLine(Money.of(amount, EUR), "DE", category, DAY, includes_tax=True)


def test_a_price_that_includes_its_tax_comes_to_what_was_asked_for():
    found = taxed([asked("11.90")], TABLE, currency=EUR)

    assert [net.to_text() for net in found.nets] == ["10.00"]
    assert found.subtotals[0].tax.to_text() == "1.90"


def test_an_amount_that_no_net_and_rounded_tax_come_to_is_asked_for_all_the_same():
    # 19 % of 0.02 is 0.00 and of 0.03 is 0.01, so by net and tax 0.03 cannot be; 0.03 x 19 / 119 = 0.00479 is the tax.
    found = taxed([asked("0.03")], TABLE, currency=EUR)

    assert (found.nets[0].to_text(), found.subtotals[0].tax.to_text()) == ("0.03", "0.00")


def test_lines_with_and_without_their_tax_are_rounded_together():
    found = taxed([asked("0.09"), line("0.05")], TABLE, currency=EUR)

    # 0.09 x 19 / 119 = 0.01437 is taken out of the one as 0.01; with 0.05 x 0.19 = 0.0095 it is 0.02387: 0.02.
    assert [net.to_text() for net in found.nets] == ["0.08", "0.05"]
    assert (found.subtotals[0].net.to_text(), found.subtotals[0].tax.to_text()) == ("0.13", "0.02")


@given(st.lists(decimals(lowest="-1000", highest="1000", places=2), min_size=1, max_size=9), currencies())
def test_prices_that_include_their_tax_always_come_to_what_was_asked_for(amounts, currency):
    lines = [
        TaxableLine(Money(amount, currency).rounded(), "DE", "SR"[place % 2], DAY, includes_tax=True)
        for place, amount in enumerate(amounts)
    ]

    found = taxed(lines, TABLE, currency=currency)

    nets, taxes = (total(each, currency) for each in (found.nets, (s.tax for s in found.subtotals)))
    assert nets + taxes == total((each.net for each in lines), currency)
    assert total((s.net for s in found.subtotals), currency) == nets
    assert all(net.is_rounded for net in found.nets)
