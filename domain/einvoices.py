"""Electronic invoices: a document in the terms of EN 16931 (BT and BG numbers), as a buyer's system reads it.

Amounts have the sign of the document: those of a credit note are turned, so that what is credited is positive.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final

from domain import documents
from domain.canonical import decimal_text
from domain.documents import Document, DocumentKind, Line
from domain.errors import Rejection
from domain.money import ZERO, Currency, Money, total
from domain.periods import Days
from domain.vat import VatCategory

#: UNTDID 1001 (BT-3): commercial invoice, credit note.
TYPE_CODES: Final[dict[DocumentKind, str]] = {"invoice": "380", "credit_note": "381"}
#: UN/ECE Recommendation 20 (BT-130) for the units that meters commonly have; of any other is said how many there are.
UNIT_CODES: Final = {
    "second": "SEC", "minute": "MIN", "hour": "HUR", "day": "DAY", "month": "MON", "year": "ANN",
    "kWh": "KWH", "MWh": "MWH", "byte": "AD", "kilobyte": "2P", "megabyte": "4L", "gigabyte": "E34", "GB": "E34",
    "terabyte": "E35", "TB": "E35", "metre": "MTR", "kilometre": "KMT", "km": "KMT", "mile": "SMI", "litre": "LTR",
    "kilogram": "KGM", "kg": "KGM", "tonne": "TNE", "m3": "MTQ",
}  # fmt: skip
ONE: Final = "C62"
#: BR-DEC-*: amounts have two decimals at most, whatever the currency.
DECIMALS_MAX: Final = 2
#: Documents that one names as those it follows (BG-3).
PRECEDING_MAX: Final = 50


class EInvoiceIncomplete(Rejection):
    """Master data do not hold what an electronic invoice has to say."""

    code = "einvoice_incomplete"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a party is: BG-5 of the seller, BG-8 of the buyer."""

    line1: str | None
    line2: str | None
    city: str | None
    postal_code: str | None
    subdivision: str | None
    country: str


@dataclass(frozen=True, slots=True)
class Party:
    """The seller (BG-4) or the buyer (BG-7): identifier, name, address, VAT identifier, other number for taxes."""

    identifier: str
    name: str
    address: Address
    vat_number: str | None = None
    tax_number: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a document does not say itself: number and due date, its parties, what it follows, what was paid ahead.

    An address that is None is not loaded; `used_by` is the account whose usage it bills, where that is not the buyer.
    """

    number: str
    due_on: date | None
    seller: tuple[str, str, Address | None]
    buyer: tuple[str, str, Address | None]
    seller_numbers: tuple[str | None, str | None]
    buyer_number: str | None
    used_by: str | None = None
    preceding: tuple[tuple[str, date], ...] = ()
    prepaid: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Adjustment:
    """An allowance (BG-20), or a charge (BG-21) if it `adds`, of the whole document; its amount is above zero."""

    adds: bool
    amount: Money
    reason: str
    vat: VatCategory
    percent: Decimal


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """A line (BG-25). `price` (BT-146) is that of `base_quantity` units (BT-149), so that both come to its net.

    Where usage has no price that says so, such as a flat fee or a correction downwards, it is one of something, and the
    note says how much was used.
    """

    identifier: str
    name: str
    note: str | None
    quantity: Decimal
    unit_code: str
    net: Money
    price: Decimal
    base_quantity: Decimal
    service: Days
    vat: VatCategory
    percent: Decimal


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The tax of one VAT category and rate (BG-23), with the reason where there is none."""

    vat: VatCategory
    percent: Decimal
    net: Money
    tax: Money
    exemption_code: str | None
    exemption_reason: str | None


@dataclass(frozen=True, slots=True)
class EInvoice:
    """A document in the terms of the standard; totals (BG-22) are sums of what it holds."""

    number: str
    kind: DocumentKind
    issued_on: date
    due_on: date | None
    currency: Currency
    seller: Party
    buyer: Party
    used_by: str | None
    preceding: tuple[tuple[str, date], ...]
    lines: tuple[InvoiceLine, ...]
    adjustments: tuple[Adjustment, ...]
    breakdowns: tuple[Breakdown, ...]
    prepaid: Money
    service: Days = field(init=False)

    def __post_init__(self) -> None:
        first, end = min(line.service.first_on for line in self.lines), max(line.service.end_on for line in self.lines)
        object.__setattr__(self, "service", Days(first, end))

    @property
    def line_total(self) -> Money:
        """BT-106: the sum of the lines."""
        return total((line.net for line in self.lines), self.currency)

    def adjusted(self, *, adds: bool) -> Money:
        """BT-107 or BT-108: the sum of the allowances, or of the charges if they add."""
        return total((each.amount for each in self.adjustments if each.adds is adds), self.currency)

    @property
    def net(self) -> Money:
        """BT-109: the total without tax."""
        return self.line_total - self.adjusted(adds=False) + self.adjusted(adds=True)

    @property
    def tax(self) -> Money:
        """BT-110: the sum of the taxes."""
        return total((each.tax for each in self.breakdowns), self.currency)

    @property
    def gross(self) -> Money:
        """BT-112: the total with tax."""
        return self.net + self.tax

    @property
    def payable(self) -> Money:
        """BT-115: what is left to pay."""
        return self.gross - self.prepaid


def drawn_up(document: Document, facts: Facts) -> EInvoice:
    """The document as an electronic invoice. Raises `EInvoiceIncomplete` with all that has to be loaded for it."""
    sign = -1 if document.kind == "credit_note" else 1
    missing = list(_missing(document, facts))
    if missing:
        raise EInvoiceIncomplete(
            f"{facts.number} cannot be an electronic invoice without {' and '.join(missing)}",
            document=facts.number, missing=missing, fix=f"load {' and '.join(missing)} with `tallyline master load`",
        )  # fmt: skip
    vat_number, tax_number = facts.seller_numbers
    is_out_of_scope = any(tax.vat == "O" for tax in document.taxes)  # BR-O-02: such a document names no VAT number
    seller = _party(facts.seller, None if is_out_of_scope else vat_number, tax_number)
    buyer = _party(facts.buyer, None if is_out_of_scope else facts.buyer_number, None)
    return EInvoice(
        facts.number, document.kind, document.invoice_on, facts.due_on, document.currency, seller, buyer,
        facts.used_by, facts.preceding,
        tuple(_line(n, line, sign) for n, line in enumerate(document.lines or _as_lines(document), start=1)),
        tuple(_adjustment(each, sign) for each in document.adjustments) if document.lines else (),
        tuple(_breakdowns(document, sign)),
        Money(facts.prepaid, document.currency),
    )  # fmt: skip


def _missing(document: Document, facts: Facts) -> Iterator[str]:
    """What has to be loaded, by its place in a master data file."""
    if facts.seller[2] is None:
        yield f"legal_entities.{facts.seller[0]}.addresses"
    if facts.buyer[2] is None:
        yield f"accounts.{facts.buyer[0]}.addresses"
    if facts.due_on is None and document.kind == "invoice":
        yield f"payment_days of the contract or of legal_entities.{facts.seller[0]}"
    if facts.seller_numbers == (None, None) and any(tax.vat != "O" for tax in document.taxes):
        yield f"legal_entities.{facts.seller[0]}.tax_registrations"


def _party(said: tuple[str, str, Address | None], vat_number: str | None, tax_number: str | None) -> Party:
    identifier, name, address = said
    assert address is not None, identifier
    return Party(identifier, name, address, vat_number, tax_number)


def _as_lines(document: Document) -> tuple[Line, ...]:
    """What is asked beside the lines of a document that has none: an electronic invoice has one at least (BR-16)."""
    return tuple(
        Line(each.description, ZERO, "", each.net, each.revenue_account, each.service, each.evidence)
        for each in document.adjustments
    )


def _adjustment(said: documents.Adjustment, sign: int) -> Adjustment:
    adds = said.net.is_negative is (sign < 0)
    return Adjustment(adds, abs(said.net), said.description, said.evidence.vat, said.evidence.percent)


def _line(number: int, line: Line, sign: int) -> InvoiceLine:
    net = line.net if sign > 0 else -line.net
    used = line.quantity * sign
    if used and (net.is_zero or (used > 0) is not net.is_negative):
        quantity, unit_code, base, note = used, UNIT_CODES.get(line.unit, ONE), abs(used), None
    else:
        quantity, unit_code, base = Decimal(-1 if net.is_negative else 1), ONE, Decimal(1)
        note = f"{decimal_text(line.quantity)} {line.unit}" if line.unit else None
    return InvoiceLine(
        str(number), line.description, note, quantity, unit_code, net, abs(net).amount, base, line.service,
        line.evidence.vat, line.evidence.percent,
    )  # fmt: skip


def _breakdowns(document: Document, sign: int) -> Iterator[Breakdown]:
    """The document's taxes by VAT category and rate, also where several categories of ours share them."""
    found: dict[tuple[VatCategory, Decimal], list[int]] = {}
    for place, tax in enumerate(document.taxes):
        found.setdefault((tax.vat, tax.percent), []).append(place)
    for (vat, percent), places in sorted(found.items()):
        taxes = [document.taxes[place] for place in places]
        net, tax_sum = (
            total(amounts, document.currency) for amounts in zip(*((t.net, t.tax) for t in taxes), strict=True)
        )
        codes = {each.exemption_code for each in taxes}
        reasons = _joined([each.exemption_reason for each in taxes])
        code = codes.pop() if len(codes) == 1 else None
        yield Breakdown(vat, percent, net if sign > 0 else -net, tax_sum if sign > 0 else -tax_sum, code, reasons)


def _joined(reasons: Sequence[str | None]) -> str | None:
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason)) or None
