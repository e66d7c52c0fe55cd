"""Business rules of EN 16931 that a document of ours could break, by their identifiers; asked before it is written.

The others hold by construction: dates, codes and texts that are always there. Tests ask all of them, by the rules that
CEN publishes.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from domain.einvoices import DECIMALS_MAX, EInvoice
from domain.errors import Rejection
from domain.money import EXACT, ZERO, exact_sum, rounded_to
from domain.tax_rules import percent_of

#: What BR-S-09 and its like let a tax differ from that of its base.
TOLERANCE: Final = Decimal(1)


class EInvoiceAgainstRules(Rejection):
    """The document would break a business rule of EN 16931."""

    code = "einvoice_against_rules"


def check(invoice: EInvoice) -> None:
    """Raise `EInvoiceAgainstRules` with every rule that is broken."""
    broken = {rule: sentence for ask in _RULES for rule, sentence in ask(invoice)}
    if broken:
        told = "; ".join(f"{rule}: {sentence}" for rule, sentence in broken.items())
        raise EInvoiceAgainstRules(f"{invoice.number} breaks {told}", document=invoice.number, rules=sorted(broken))


_Broken = Iterator[tuple[str, str]]


def _numbers(invoice: EInvoice) -> _Broken:
    """Which numbers of the parties a category of tax asks for."""
    has_seller = invoice.seller.vat_number is not None or invoice.seller.tax_number is not None
    for vat in sorted({each.vat for each in invoice.breakdowns}):
        if vat in {"S", "Z", "E", "AE"} and not has_seller:
            yield f"BR-{vat}-02", "the seller's VAT identifier or tax number is missing"
        if vat in {"K", "G"} and invoice.seller.vat_number is None:
            yield f"BR-{'IC' if vat == 'K' else vat}-02", "the seller's VAT identifier is missing"
        if vat in {"AE", "K"} and invoice.buyer.vat_number is None:
            yield f"BR-{'IC' if vat == 'K' else vat}-02", "the buyer's VAT identifier is missing"


def _scope(invoice: EInvoice) -> _Broken:
    """What is outside the scope of tax stands on a document of its own."""
    categories = {each.vat for each in invoice.breakdowns}
    if "O" in categories and len(categories) > 1:
        yield "BR-O-11", "what is not subject to VAT stands beside what is"


def _reasons(invoice: EInvoice) -> _Broken:
    """Where nothing is asked for, the reason is given; where tax is, none is."""
    for each in invoice.breakdowns:
        is_given = each.exemption_code is not None or each.exemption_reason is not None
        if is_given is (each.vat in {"S", "Z"}):
            name = "IC" if each.vat == "K" else each.vat
            yield f"BR-{name}-10", "a reason for asking no tax is " + ("given" if is_given else "missing")


def _sums(invoice: EInvoice) -> _Broken:
    """The tax of each category and rate is on the lines that have it, and is that of its base."""
    by_base: dict[tuple[str, Decimal], Decimal] = {}
    parts = [(line.vat, line.percent, line.net.amount) for line in invoice.lines]
    parts += [(a.vat, a.percent, a.amount.amount if a.adds else -a.amount.amount) for a in invoice.adjustments]
    for vat, percent, amount in parts:
        by_base[vat, percent] = EXACT.add(by_base.get((vat, percent), ZERO), amount)
    for each in invoice.breakdowns:
        name = "IC" if each.vat == "K" else each.vat
        if by_base.pop((each.vat, each.percent), ZERO) != each.net.amount:
            yield f"BR-{name}-08", f"the lines of {each.vat} {each.percent} do not sum to {each.net.to_text()}"
        due = rounded_to(percent_of(each.net.amount, each.percent), invoice.currency.minor_units)
        if EXACT.abs(EXACT.subtract(due, each.tax.amount)) > TOLERANCE:
            yield "BR-CO-17", f"{each.tax.to_text()} is not {each.percent} % of {each.net.to_text()}"
    for untaxed in by_base:
        yield "BR-CO-18", f"lines of {untaxed[0]} {untaxed[1]} have no tax"


def _totals(invoice: EInvoice) -> _Broken:
    """The tax totals are those of the document; what is asked for is not below nothing, and due on a day."""
    nets = exact_sum(each.net.amount for each in invoice.breakdowns)
    if nets != invoice.net.amount:
        yield "BR-CO-13", f"lines and adjustments come to {invoice.net.to_text()}, and what is taxed to {nets}"
    if invoice.payable.amount > 0 and invoice.due_on is None and invoice.kind == "invoice":
        yield "BR-CO-25", "no day is said on which it is due"


def _decimals(invoice: EInvoice) -> _Broken:
    amounts = [each.net for each in invoice.lines] + [each.amount for each in invoice.adjustments]
    amounts += [amount for each in invoice.breakdowns for amount in (each.net, each.tax)]
    if any(rounded_to(amount.amount, DECIMALS_MAX) != amount.amount for amount in amounts):
        yield "BR-DEC-23", f"amounts in {invoice.currency.code} have more than {DECIMALS_MAX} decimals"


_RULES: Final[tuple[Callable[[EInvoice], _Broken], ...]] = (_numbers, _scope, _reasons, _sums, _totals, _decimals)
