"""Electronic invoices of every kind by the schemas of UBL 2.1 and the rules that CEN publishes for EN 16931."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from einvoice_bench import ABROAD, HOME, einvoice
from published_rules import published

from domain import einvoice_rules, ubl
from domain.einvoice_rules import EInvoiceAgainstRules
from domain.money import Money
from domain.vat import TaxParties


def every_kind():
    yield from ((f"category {vat}", einvoice((vat, "3", "100.00"))) for vat in ("S", "Z", "E", "K", "G", "O"))
    yield from ((f"credit of {vat}", einvoice((vat, "-3", "-100.00"))) for vat in ("S", "Z", "E", "K", "G", "O"))
    yield "reverse charge", einvoice(("S", "3", "100"), parties=TaxParties((HOME,), (ABROAD,)))
    yield "reverse charge beside what was taxed", einvoice(("Z", "1", "5"), ("R", "2", "7.77"), ("S", "1", "0.01"))
    yield "two categories of one rate", einvoice(("S", "1", "0.03"), ("T", "1", "0.03"))
    yield "a price with its tax", einvoice(("S", "1", "0.03"), ("R", "7", "19.99"), includes_tax=True)
    yield "nothing to pay", einvoice(("S", "1", "0.00"), facts={"due_on": date(2026, 5, 1)})
    yield "fees, free units and a line below zero", einvoice(("S", "0", "250"), ("S", "9", "0"), ("S", "3", "-10"))
    yield "paid ahead", einvoice(("S", "1", "100"), facts={"prepaid": Decimal(119)})
    yield "in yen", einvoice(("S", "1", "105"), currency="JPY")
    yield "whole amounts of three decimals", einvoice(("Z", "1", "1.000"), currency="KWD")
    yield "allowance and charge", einvoice(("S", "1", "100"), beside=[("S", "-10"), ("R", "3")])
    yield "allowance on a credit note", einvoice(("S", "-1", "-100"), beside=[("S", "10"), ("S", "-3")])
    yield "only a minimum", einvoice(beside=[("S", "50")])
    yield "a correction", einvoice(("S", "-1", "-1"), facts={"preceding": (("PONY-000001", date(2026, 3, 1)),)})
    yield "somebody else's usage", einvoice(("S", "1", "1"), facts={"used_by": "Air Corse"})
    yield "without a VAT number", einvoice(("S", "1", "1"), facts={"seller_numbers": (None, "042103594")})


@pytest.mark.parametrize("invoice", [each for _, each in every_kind()], ids=[name for name, _ in every_kind()])
def test_what_we_write_keeps_the_schema_and_every_published_rule(invoice):
    einvoice_rules.check(invoice)

    verdict = published().of(ubl.written(invoice))

    assert (verdict.schema, verdict.broken) == ([], set())
    assert verdict.is_right


def changed(invoice, **of):
    (tax,) = invoice.breakdowns
    return replace(invoice, breakdowns=(replace(tax, **of),))


@pytest.mark.parametrize(
    ("invoice", "rule"),
    [
        (changed(einvoice(("S", "1", "100")), tax=Money.of("30", "EUR")), "BR-S-09"),
        (changed(einvoice(("S", "1", "100")), exemption_reason="none"), "BR-S-10"),
        (changed(einvoice(("S", "1", "100")), net=Money.of("90", "EUR")), "BR-S-08"),
        (changed(einvoice(("E", "1", "100")), exemption_reason=None), "BR-E-10"),
        (einvoice(("K", "1", "100"), facts={"buyer_number": None}), "BR-IC-02"),
        (einvoice(("G", "1", "100"), facts={"seller_numbers": (None, "1")}), "BR-G-02"),
        (einvoice(("O", "1", "100"), ("S", "1", "100")), "BR-O-11"),
        (einvoice(("Z", "1", "1.005"), currency="KWD"), "BR-DEC-23"),
    ],
)
def test_what_our_rules_refuse_the_published_ones_refuse_too(invoice, rule):
    with pytest.raises(EInvoiceAgainstRules):
        einvoice_rules.check(invoice)

    assert rule in published().of(ubl.written(invoice)).broken
