from dataclasses import replace
from datetime import date
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from einvoice_bench import FACTS, document, einvoice

from domain.ubl import written

pytestmark = pytest.mark.fast

CAC, CBC = (
    f"{{urn:oasis:names:specification:ubl:schema:xsd:Common{name}Components-2}}" for name in ("Aggregate", "Basic")
)


def said(content, path):
    """The texts at a path such as `AccountingSupplierParty/Party/=CompanyID`, where `=` marks a basic component."""
    parts = [f"{CBC}{each[1:]}" if each.startswith("=") else f"{CAC}{each}" for each in path.split("/")]
    return [each.text for each in ET.fromstring(content).findall("/".join(parts))]


def test_the_same_invoice_is_the_same_bytes():
    assert written(einvoice(("S", "1", "100"))) == written(einvoice(("S", "1", "100")))


def test_an_invoice_says_its_type_its_dates_and_its_period():
    content = written(einvoice(("S", "1", "100")))

    assert ET.fromstring(content).tag == "{urn:oasis:names:specification:ubl:schema:xsd:Invoice-2}Invoice"
    assert [said(content, f"={name}") for name in ("ID", "IssueDate", "DueDate", "InvoiceTypeCode")] == [
        ["PONY-000012"], ["2026-04-01"], ["2026-05-01"], ["380"],
    ]  # fmt: skip
    assert said(content, "InvoicePeriod/=StartDate") + said(content, "InvoicePeriod/=EndDate") == [
        "2026-03-01", "2026-03-31",
    ]  # fmt: skip
    assert said(content, "PaymentTerms/=Note") == ["Payment is due 30 days after the invoice date, by 2026-05-01."]


def test_a_credit_note_has_its_own_type_and_names_what_it_corrects():
    content = written(einvoice(("S", "-1", "-100"), facts={"preceding": (("PONY-000001", date(2026, 3, 1)),)}))

    assert ET.fromstring(content).tag == "{urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2}CreditNote"
    assert said(content, "=CreditNoteTypeCode") == ["381"]
    assert said(content, "=DueDate") == []
    assert said(content, "BillingReference/InvoiceDocumentReference/=ID") == ["PONY-000001"]
    assert said(content, "CreditNoteLine/=CreditedQuantity") == ["1"]


def test_decimals_are_exact_and_never_an_exponent():
    content = written(einvoice(("S", "1234567890.000000001", "0.10"), ("S", "1", "12345678901234567.89")))

    assert said(content, "InvoiceLine/=InvoicedQuantity") == ["1234567890.000000001", "1"]
    assert said(content, "InvoiceLine/=LineExtensionAmount") == ["0.10", "12345678901234567.89"]
    assert said(content, "InvoiceLine/Price/=BaseQuantity")[0] == "1234567890.000000001"


def test_parties_are_told_with_their_numbers_and_addresses():
    content = written(einvoice(("S", "1", "100")))

    buyer = "AccountingCustomerParty/Party"
    assert said(content, f"{buyer}/PartyLegalEntity/=RegistrationName") == ["Air & <France>"]
    assert said(content, f"{buyer}/PartyTaxScheme/=CompanyID") == ["FR40303265045"]
    assert said(content, f"{buyer}/PostalAddress/=CountrySubentity") == ["Île-de-France"]
    assert said(content, "AccountingSupplierParty/Party/PostalAddress/Country/=IdentificationCode") == ["DE"]
    assert said(content, "Delivery/DeliveryParty/PartyName/=Name") == []


def test_whose_usage_it_is_stands_beside_who_receives_it():
    content = written(einvoice(("S", "1", "100"), facts={"used_by": "Air Corse"}))

    assert said(content, "Delivery/DeliveryParty/PartyName/=Name") == ["Air Corse"]


def test_a_number_for_taxes_that_is_no_vat_identifier_is_said_as_such():
    content = written(einvoice(("S", "1", "100"), facts={"seller_numbers": (None, "042103594")}))

    assert said(content, "AccountingSupplierParty/Party/PartyTaxScheme/TaxScheme/=ID") == ["TAX"]


def test_why_no_tax_is_asked_for_stands_with_the_tax():
    content = written(einvoice(("E", "1", "100")))

    category = "TaxTotal/TaxSubtotal/TaxCategory"
    assert said(content, f"{category}/=ID") + said(content, f"{category}/=TaxExemptionReason") == ["E", "insurance"]


def test_an_intra_community_supply_says_where_it_went():
    content = written(einvoice(("K", "1", "100")))

    assert said(content, "Delivery/DeliveryLocation/Address/Country/=IdentificationCode") == ["FR"]


def test_what_is_outside_the_scope_of_tax_has_no_rate():
    content = written(einvoice(("O", "1", "100")))

    assert said(content, "InvoiceLine/Item/ClassifiedTaxCategory/=Percent") == []


def test_allowances_charges_and_what_was_paid_stand_in_the_totals():
    content = written(einvoice(("S", "1", "100"), beside=[("S", "-10"), ("S", "3")], facts={"prepaid": Decimal(1)}))

    totals = [f"LegalMonetaryTotal/={name}Amount" for name in ("AllowanceTotal", "ChargeTotal", "Prepaid")]
    assert [said(content, path) for path in totals] == [["10.00"], ["3.00"], ["1.00"]]
    assert said(content, "AllowanceCharge/=ChargeIndicator") == ["false", "true"]


def test_what_xml_cannot_hold_is_replaced():
    made = document(("S", "1", "100"))
    odd = replace(made.lines[0], description="a\x00b\x1b\ud800\ufffe c")

    from domain.einvoices import drawn_up

    assert said(written(drawn_up(replace(made, lines=(odd,)), FACTS)), "InvoiceLine/Item/=Name") == [
        "a\ufffdb\ufffd\ufffd\ufffd c"
    ]
