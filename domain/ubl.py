"""UBL 2.1: an electronic invoice as the XML that EN 16931-3-2 binds its terms to; the same invoice, the same bytes."""

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Final
from xml.etree import ElementTree as ET

from domain.canonical import decimal_text
from domain.einvoices import DECIMALS_MAX, TYPE_CODES, Adjustment, Breakdown, EInvoice, InvoiceLine, Party
from domain.money import Money, rounded_to
from domain.periods import Days

_URN: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
#: BT-24: the standard itself, without the additions of a country or a network.
SPECIFICATION: Final = "urn:cen.eu:en16931:2017"
#: What XML 1.0 cannot hold; descriptions and names come from other systems.
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DAY: Final = timedelta(days=1)


def written(invoice: EInvoice) -> bytes:
    """The document as UBL `Invoice` or `CreditNote`, in UTF-8."""
    name = "CreditNote" if invoice.kind == "credit_note" else "Invoice"
    root = ET.Element(name, {
        "xmlns": f"{_URN}{name}-2",
        "xmlns:cac": f"{_URN}CommonAggregateComponents-2",
        "xmlns:cbc": f"{_URN}CommonBasicComponents-2",
    })  # fmt: skip
    _head(root, invoice, name)
    _parties(root, invoice)
    _payment(root, invoice)
    for adjustment in invoice.adjustments:
        _adjustment(root, adjustment)
    _taxes(root, invoice)
    _totals(root, invoice)
    for line in invoice.lines:
        _line(root, line, name)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="UTF-8", xml_declaration=True)) + b"\n"


def _group(parent: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(parent, f"cac:{name}")


def _say(parent: ET.Element, name: str, value: str | date | None, **attributes: str) -> None:
    """A basic component, if there is something to say."""
    if value is not None:
        text = value.isoformat() if isinstance(value, date) else _NO_XML.sub("\ufffd", value)
        ET.SubElement(parent, f"cbc:{name}", attributes).text = text


def _amount(parent: ET.Element, name: str, amount: Money) -> None:
    """With the currency's decimals, but no more than the standard has where that says all of it (BR-DEC-*)."""
    fewer = rounded_to(amount.amount, min(amount.currency.minor_units, DECIMALS_MAX))
    text = format(fewer, "f") if fewer == amount.amount else amount.to_text()
    _say(parent, name, text, currencyID=amount.currency.code)


def _head(root: ET.Element, invoice: EInvoice, name: str) -> None:
    _say(root, "CustomizationID", SPECIFICATION)
    _say(root, "ID", invoice.number)
    _say(root, "IssueDate", invoice.issued_on)
    if name == "Invoice":
        _say(root, "DueDate", invoice.due_on)
    _say(root, f"{name}TypeCode", TYPE_CODES[invoice.kind])
    _say(root, "DocumentCurrencyCode", invoice.currency.code)
    _period(root, invoice.service)
    for number, issued_on in invoice.preceding:
        reference = _group(_group(root, "BillingReference"), "InvoiceDocumentReference")
        _say(reference, "ID", number)
        _say(reference, "IssueDate", issued_on)


def _period(parent: ET.Element, service: Days) -> None:
    """Its last day is a day of the period, as people say it."""
    period = _group(parent, "InvoicePeriod")
    _say(period, "StartDate", service.first_on)
    _say(period, "EndDate", service.end_on - _DAY)


def _parties(root: ET.Element, invoice: EInvoice) -> None:
    _party(_group(root, "AccountingSupplierParty"), invoice.seller)
    _party(_group(root, "AccountingCustomerParty"), invoice.buyer)
    is_supply = any(each.vat == "K" for each in invoice.breakdowns)
    if not is_supply and invoice.used_by is None:
        return
    delivery = _group(root, "Delivery")
    if is_supply:  # BR-IC-12: the country that it was delivered to
        address = _group(_group(delivery, "DeliveryLocation"), "Address")
        _say(_group(address, "Country"), "IdentificationCode", invoice.buyer.address.country)
    if invoice.used_by is not None:
        _say(_group(_group(delivery, "DeliveryParty"), "PartyName"), "Name", invoice.used_by)


def _party(role: ET.Element, party: Party) -> None:
    told = _group(role, "Party")
    _say(_group(told, "PartyIdentification"), "ID", party.identifier)
    address, place = _group(told, "PostalAddress"), party.address
    _say(address, "StreetName", place.line1)
    _say(address, "AdditionalStreetName", place.line2)
    _say(address, "CityName", place.city)
    _say(address, "PostalZone", place.postal_code)
    _say(address, "CountrySubentity", place.subdivision)
    _say(_group(address, "Country"), "IdentificationCode", place.country)
    for number, scheme in ((party.vat_number, "VAT"), (party.tax_number, "TAX")):
        if number is not None:
            registered = _group(told, "PartyTaxScheme")
            _say(registered, "CompanyID", number)
            _say(_group(registered, "TaxScheme"), "ID", scheme)
    _say(_group(told, "PartyLegalEntity"), "RegistrationName", party.name)


def _payment(root: ET.Element, invoice: EInvoice) -> None:
    terms = "The amount is credited; no payment is due."
    if invoice.kind == "invoice" and invoice.due_on is not None:
        days = (invoice.due_on - invoice.issued_on).days
        terms = f"Payment is due {days} days after the invoice date, by {invoice.due_on.isoformat()}."
    _say(_group(root, "PaymentTerms"), "Note", terms)


def _adjustment(root: ET.Element, adjustment: Adjustment) -> None:
    told = _group(root, "AllowanceCharge")
    _say(told, "ChargeIndicator", "true" if adjustment.adds else "false")
    _say(told, "AllowanceChargeReason", adjustment.reason)
    _amount(told, "Amount", adjustment.amount)
    _category(_group(told, "TaxCategory"), adjustment.vat, adjustment.percent)


def _category(parent: ET.Element, vat: str, percent: Decimal, reason: Breakdown | None = None) -> None:
    """A category of tax; what is outside its scope has no rate (BR-O-05)."""
    _say(parent, "ID", vat)
    if vat != "O":
        _say(parent, "Percent", decimal_text(percent))
    if reason is not None:
        _say(parent, "TaxExemptionReasonCode", reason.exemption_code)
        _say(parent, "TaxExemptionReason", reason.exemption_reason)
    _say(_group(parent, "TaxScheme"), "ID", "VAT")


def _taxes(root: ET.Element, invoice: EInvoice) -> None:
    taxes = _group(root, "TaxTotal")
    _amount(taxes, "TaxAmount", invoice.tax)
    for each in invoice.breakdowns:
        told = _group(taxes, "TaxSubtotal")
        _amount(told, "TaxableAmount", each.net)
        _amount(told, "TaxAmount", each.tax)
        _category(_group(told, "TaxCategory"), each.vat, each.percent, reason=each)


def _totals(root: ET.Element, invoice: EInvoice) -> None:
    told = _group(root, "LegalMonetaryTotal")
    _amount(told, "LineExtensionAmount", invoice.line_total)
    _amount(told, "TaxExclusiveAmount", invoice.net)
    _amount(told, "TaxInclusiveAmount", invoice.gross)
    for name, adds in (("AllowanceTotalAmount", False), ("ChargeTotalAmount", True)):
        if any(each.adds is adds for each in invoice.adjustments):
            _amount(told, name, invoice.adjusted(adds=adds))
    if not invoice.prepaid.is_zero:
        _amount(told, "PrepaidAmount", invoice.prepaid)
    _amount(told, "PayableAmount", invoice.payable)


def _line(root: ET.Element, line: InvoiceLine, name: str) -> None:
    told = _group(root, f"{name}Line")
    _say(told, "ID", line.identifier)
    _say(told, "Note", line.note)
    quantity = "CreditedQuantity" if name == "CreditNote" else "InvoicedQuantity"
    _say(told, quantity, decimal_text(line.quantity), unitCode=line.unit_code)
    _amount(told, "LineExtensionAmount", line.net)
    _period(told, line.service)
    item = _group(told, "Item")
    _say(item, "Name", line.name)
    _category(_group(item, "ClassifiedTaxCategory"), line.vat, line.percent)
    price = _group(told, "Price")
    _say(price, "PriceAmount", decimal_text(line.price), currencyID=line.net.currency.code)
    _say(price, "BaseQuantity", decimal_text(line.base_quantity), unitCode=line.unit_code)
