"""What tests of electronic invoices share: documents that are taxed as ours are, and what is known of their parties."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from domain.documents import Adjustment, Document, Line, kind_of
from domain.einvoices import Address, EInvoice, Facts, drawn_up
from domain.money import Currency, Money, total
from domain.periods import Days
from domain.taxation import TaxableLine, TaxRate, TaxTable, taxed
from domain.vat import NOBODY, Registration, TaxParties

MARCH = Days(date(2026, 3, 1), date(2026, 4, 1))
DAY = date(2026, 3, 31)
SINCE = date(2020, 1, 1)
HOME, ABROAD = (Registration(*of, is_checked=True) for of in (("DE", "136695976"), ("FR", "40303265045")))


def rate(category: str, percent: str, vat: str | None = None, reason: str | None = None) -> TaxRate:
    return TaxRate("DE", category, Decimal(percent), SINCE, "law", date.max, vat, None, reason)


TABLE = TaxTable((
    rate("S", "19"), rate("R", "7"), rate("Z", "0", "Z"), rate("E", "0", "E", "insurance"), rate("K", "0", "K"),
    rate("G", "0", "G"), rate("O", "0", "O"), rate("T", "19"),
))  # fmt: skip
BERLIN = Address("Street 1", "2nd floor", "Berlin", "10115", None, "DE")
PARIS = Address("Rue 2", None, "Paris", "75001", "Île-de-France", "FR")
FACTS = Facts(
    number="PONY-000012",
    due_on=date(2026, 5, 1),
    seller=("pony", "Port of Berlin", BERLIN),
    buyer=("af", "Air & <France>", PARIS),
    seller_numbers=("DE136695976", None),
    buyer_number="FR40303265045",
)


def document(
    *lines: tuple[str, str, str],
    beside: Sequence[tuple[str, str]] = (),
    parties: TaxParties = NOBODY,
    currency: str = "EUR",
    includes_tax: bool = False,
) -> Document:
    """A document over lines of March: (category, quantity, what is asked for); beside them (category, net)."""
    money = Currency(currency)
    asked = [*((category, net) for category, _, net in lines), *beside]
    nets = [Money.of(net, money) for _, net in asked]
    found = taxed(
        [
            TaxableLine(net, "DE", category, DAY, parties=parties, includes_tax=includes_tax)
            for (category, _), net in zip(asked, nets, strict=True)
        ],
        TABLE,
        currency=money,
    )
    made = tuple(
        Line(f"calls, line {n}", Decimal(quantity), "call", net, "4000", MARCH, why)
        for n, ((_, quantity, _), net, why) in enumerate(zip(lines, found.nets, found.evidence, strict=False), start=1)
    )
    adjusted = tuple(
        Adjustment("a coupon", net, "4000", MARCH, why)
        for net, why in zip(found.nets[len(lines) :], found.evidence[len(lines) :], strict=True)
    )
    gross = total([*found.nets, *(tax.tax for tax in found.subtotals)], money)
    return Document(kind_of(gross), "pony", "af", money, date(2026, 4, 1), DAY, made, found.subtotals, adjusted)


def einvoice(*lines: tuple[str, str, str], facts: dict[str, Any] | None = None, **how: Any) -> EInvoice:
    return drawn_up(document(*lines, **how), replace(FACTS, **(facts or {})))
