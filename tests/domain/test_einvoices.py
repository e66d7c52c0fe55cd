from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from einvoice_bench import ABROAD, FACTS, HOME, document, einvoice

from domain import einvoice_rules
from domain.einvoice_rules import EInvoiceAgainstRules
from domain.einvoices import EInvoiceIncomplete, drawn_up
from domain.money import Money
from domain.vat import TaxParties

pytestmark = pytest.mark.fast


def figures(invoice):
    return tuple(
        each.to_text() for each in (invoice.line_total, invoice.net, invoice.tax, invoice.gross, invoice.payable)
    )


def test_totals_are_sums_of_rounded_parts():
    invoice = einvoice(("S", "3", "663.70"), ("S", "0", "250.00"), ("R", "5", "10.05"))

    # 19 % of 913.70 = 173.603; 7 % of 10.05 = 0.7035
    assert figures(invoice) == ("923.75", "923.75", "174.30", "1098.05", "1098.05")
    assert [(b.vat, b.percent, b.net.to_text(), b.tax.to_text()) for b in invoice.breakdowns] == [
        ("S", 7, "10.05", "0.70"), ("S", 19, "913.70", "173.60"),
    ]  # fmt: skip


def test_categories_of_ours_that_share_a_vat_category_and_rate_are_one_tax():
    (breakdown,) = einvoice(("S", "1", "0.03"), ("T", "1", "0.03")).breakdowns

    assert (breakdown.net.to_text(), breakdown.tax.to_text()) == ("0.06", "0.01")


def test_a_credit_note_shows_what_it_credits_without_a_sign():
    invoice = einvoice(("S", "-2", "-100.00"), ("S", "1", "10.00"))

    assert invoice.kind == "credit_note"
    assert figures(invoice)[1:4] == ("90.00", "17.10", "107.10")
    assert [(line.quantity, line.net.to_text()) for line in invoice.lines] == [(2, "100.00"), (-1, "-10.00")]


@pytest.mark.parametrize(
    ("quantity", "net", "shown", "note"),
    [
        ("3", "10.00", ("3", "10", "3"), None),
        ("3", "0.00", ("3", "0", "3"), None),
        ("-3", "-10.00", ("-3", "10", "3"), None),
        ("0", "10.00", ("1", "10", "1"), "0 call"),
        ("3", "-10.00", ("-1", "10", "1"), "3 call"),
        ("-3.50", "10.00", ("1", "10", "1"), "-3.5 call"),
    ],
)
def test_quantity_and_price_come_to_the_net_of_a_line(quantity, net, shown, note):
    line = einvoice(("S", quantity, net), ("S", "1", "1000")).lines[0]

    assert (line.quantity, line.price, line.base_quantity) == tuple(map(Decimal, shown))
    assert line.note == note
    assert line.quantity * line.price / line.base_quantity == line.net.amount


def test_the_period_of_an_invoice_holds_those_of_its_lines():
    made = document(("S", "1", "1"), ("S", "1", "1"))
    late = replace(made.lines[0], service=replace(made.lines[0].service, first_on=date(2026, 1, 1)))

    invoice = drawn_up(replace(made, lines=(late, made.lines[1])), FACTS)

    assert (invoice.service.first_on, invoice.service.end_on) == (date(2026, 1, 1), date(2026, 4, 1))


def test_what_was_paid_ahead_is_taken_off_what_is_left_to_pay():
    assert figures(einvoice(("S", "1", "100"), facts={"prepaid": Decimal("19.00")}))[3:] == ("119.00", "100.00")


def test_what_a_document_gives_or_asks_beside_its_lines_is_an_allowance_or_a_charge():
    invoice = einvoice(("S", "1", "100"), beside=[("S", "-10"), ("R", "3")])

    assert [(each.adds, each.amount.to_text(), each.percent) for each in invoice.adjustments] == [
        (False, "10.00", 19), (True, "3.00", 7),
    ]  # fmt: skip
    assert (invoice.line_total.to_text(), invoice.net.to_text()) == ("100.00", "93.00")
    einvoice_rules.check(invoice)


def test_on_a_credit_note_what_is_given_less_is_a_charge_and_the_rest_an_allowance():
    invoice = einvoice(("S", "-1", "-100"), beside=[("S", "10"), ("S", "-3")])

    assert [(each.adds, each.amount.to_text()) for each in invoice.adjustments] == [(False, "10.00"), (True, "3.00")]
    assert invoice.net.to_text() == "93.00"


def test_a_document_without_lines_shows_what_it_asks_beside_them_as_lines():
    invoice = einvoice(beside=[("S", "50"), ("S", "-10")])

    assert [(line.name, line.quantity, line.net.to_text(), line.note) for line in invoice.lines] == [
        ("a coupon", 1, "50.00", None), ("a coupon", -1, "-10.00", None),
    ]  # fmt: skip
    assert (invoice.adjustments, invoice.net.to_text()) == ((), "40.00")


# ----------------------------------------------------------------------------------------------- what is missing
@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        ({"seller": ("pony", "Port", None)}, ["legal_entities.pony.addresses"]),
        ({"buyer": ("af", "Air", None)}, ["accounts.af.addresses"]),
        ({"due_on": None}, ["payment_days of the contract or of legal_entities.pony"]),
        ({"seller_numbers": (None, None)}, ["legal_entities.pony.tax_registrations"]),
        (
            {"buyer": ("af", "Air", None), "seller_numbers": (None, None)},
            ["accounts.af.addresses", "legal_entities.pony.tax_registrations"],
        ),
    ],
)
def test_all_that_has_to_be_loaded_is_named(facts, missing):
    with pytest.raises(EInvoiceIncomplete) as refused:
        einvoice(("S", "1", "100"), facts=facts)

    assert refused.value.facts["missing"] == missing
    assert "tallyline master load" in str(refused.value.facts["fix"])


def test_a_credit_note_needs_no_day_on_which_it_is_due():
    assert einvoice(("S", "-1", "-100"), facts={"due_on": None}).due_on is None


def test_what_is_outside_the_scope_of_tax_names_no_vat_number():
    invoice = einvoice(("O", "1", "100"), facts={"seller_numbers": (None, None)})
    named = einvoice(("O", "1", "100"))

    assert (invoice.seller.vat_number, named.seller.vat_number, named.buyer.vat_number) == (None, None, None)


# ----------------------------------------------------------------------------------------------- rules
def broken(invoice):
    with pytest.raises(EInvoiceAgainstRules) as refused:
        einvoice_rules.check(invoice)
    return refused.value.facts["rules"]


def changed(**of):
    """An invoice whose tax is not what it was computed as."""
    invoice = einvoice(("S", "1", "100"))
    return replace(invoice, breakdowns=(replace(invoice.breakdowns[0], **of),))


@pytest.mark.parametrize("category", ["S", "Z", "E", "K", "G", "O"])
def test_a_document_of_ours_keeps_the_rules(category):
    einvoice_rules.check(einvoice((category, "1", "100")))


@pytest.mark.parametrize("net", ["100", "-100"])
def test_a_reverse_charged_document_keeps_the_rules(net):
    einvoice_rules.check(einvoice(("S", "1", net), parties=TaxParties((HOME,), (ABROAD,))))


@pytest.mark.parametrize(
    ("category", "facts", "rule"),
    [
        ("K", {"buyer_number": None}, "BR-IC-02"),
        ("K", {"seller_numbers": (None, "1")}, "BR-IC-02"),
        ("G", {"seller_numbers": (None, "1")}, "BR-G-02"),
    ],
)
def test_a_category_that_needs_a_number_of_a_party_is_refused_without_it(category, facts, rule):
    assert broken(einvoice((category, "1", "100"), facts=facts)) == [rule]


def test_a_taxed_document_names_a_number_of_its_seller():
    invoice = einvoice(("S", "1", "100"))

    assert broken(replace(invoice, seller=replace(invoice.seller, vat_number=None))) == ["BR-S-02"]


def test_what_is_outside_the_scope_of_tax_stands_alone():
    assert "BR-O-11" in broken(einvoice(("O", "1", "100"), ("S", "1", "100")))


@pytest.mark.parametrize(
    ("of", "rule"),
    [
        ({"tax": Money.of("20.01", "EUR")}, "BR-CO-17"),
        ({"exemption_reason": "none"}, "BR-S-10"),
        ({"vat": "E", "percent": Decimal(0), "tax": Money.of("0", "EUR")}, "BR-E-10"),
        ({"net": Money.of("99", "EUR")}, "BR-S-08"),
        ({"net": Money.of("99", "EUR")}, "BR-CO-13"),
        ({"percent": Decimal(18)}, "BR-CO-18"),
    ],
)
def test_a_tax_that_contradicts_the_lines_is_refused(of, rule):
    assert rule in broken(changed(**of))


def test_a_tax_may_be_one_unit_from_that_of_its_base_where_prices_include_it():
    invoice = einvoice(("S", "1", "0.03"), includes_tax=True)

    einvoice_rules.check(invoice)
    assert (invoice.net.to_text(), invoice.tax.to_text()) == ("0.03", "0.00")


def test_an_invoice_with_something_to_pay_says_until_when():
    assert broken(replace(einvoice(("S", "1", "100")), due_on=None)) == ["BR-CO-25"]


def test_amounts_with_three_decimals_cannot_be_said():
    assert broken(einvoice(("Z", "1", "1.005"), currency="KWD")) == ["BR-DEC-23"]
    einvoice_rules.check(einvoice(("Z", "1", "1.000"), currency="KWD"))
