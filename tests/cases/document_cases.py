"""Published invoices by our own totals."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import line_cases
from aggregate_cases import aggregated
from case_figures import Calculations, Figures, NotAdopted, differences
from period_cases import money
from recurrence_cases import instant
from tax_cases import decimals

from domain import einvoice_rules
from domain.document_totals import DocumentTotals, Extra, Item, Levy, TotalsRule, document_totals
from domain.documents import Adjustment, Document, Line, kind_of
from domain.einvoices import Address, EInvoice, Facts, drawn_up
from domain.money import EXACT, Currency, Money, exact_sum, total
from domain.periods import Days
from domain.prices import parse_price
from domain.proration import Proportion
from domain.refunds import progressive_credit, unused_refund
from domain.taxation import TaxableLine, TaxEvidence, TaxTable, taxed
from domain.vat import WITHOUT_REASON


def ruled(record: Figures) -> TotalsRule:
    params = record["params"]
    if params.get("rounding", "half_up") != "half_up" or params.get("vat_rounding", "per_category") != "per_category":
        raise NotAdopted("tax is rounded half up, once per category and rate on the summed net")
    carried = 0 if params.get("line_rounding", record["model"] == "en16931") else 2
    return TotalsRule(decimals(record), carried, params.get("prices_include"))


def number(figures: Figures, *names: str) -> Decimal | None:
    """The first of these figures that is given."""
    return next((Decimal(figures[name]) for name in names if figures.get(name) is not None), None)


def extra(entry: Figures, *, adds: bool, taxes: tuple[Levy, ...] = ()) -> Extra:
    """An allowance or charge; a percentage counts only where no amount is stated."""
    amount = number(entry, "amount")
    percent = None if amount is not None else number(entry, "percent")
    return Extra(adds, amount or Decimal(0), percent, number(entry, "base_amount", "base"), taxes)


def en16931(record: Figures) -> Figures:
    """As our own documents are made: nets of lines, their taxes, the document, and what is said of it as XML.

    A net that is stated and not rounded is on no document of ours: those are worked out as another system's.
    """
    given, items, on_document = record["input"], items_of(record), extras_of(record)
    scale, currency = decimals(record), Currency(record["currency"])
    nets = [Money(item.total(scale), currency) for item in items]
    rounding = number(given, "payable_rounding") or Decimal(0)
    found = document_totals(items, on_document, ruled(record), rounding=rounding)
    prepaid = number(given, "prepaid") or Decimal(0)
    theirs = _figures_of_totals(found, prepaid)
    if currency.minor_units != scale or not all(net.is_rounded for net in nets):
        return theirs
    ours = _figures_of_invoice(published_invoice(record), rounding)
    assert differences(ours, {name: theirs[name] for name in ours}) == {}
    return ours


def _figures_of_totals(found: DocumentTotals, prepaid: Decimal) -> Figures:
    return {
        "line_net_amounts": list(found.lines),
        "line_total": found.line_sum,
        "allowance_total": found.deductions,
        "charge_total": found.charges,
        "tax_exclusive": found.total,
        "tax_total": found.tax,
        "tax_inclusive": found.gross,
        "payable": EXACT.subtract(found.payable, prepaid),
        "vat_breakdown": [
            {
                "category": each.levy.category,
                "rate_percent": each.levy.percent or Decimal(0),
                "taxable": each.base,
                "tax": each.tax,
            }
            for each in found.levies
        ],
    }


def _figures_of_invoice(invoice: EInvoice, rounding: Decimal) -> Figures:
    """What the XML says. A record may be an invoice below zero, which is a credit note of ours, without the sign."""
    sign = -1 if invoice.kind == "credit_note" else 1

    def signed(amount: Money) -> Decimal:
        return amount.times(Decimal(sign)).amount

    return {
        "line_net_amounts": [signed(line.net) for line in invoice.lines],
        "line_total": signed(invoice.line_total),
        "allowance_total": signed(invoice.adjusted(adds=False)),
        "charge_total": signed(invoice.adjusted(adds=True)),
        "tax_exclusive": signed(invoice.net),
        "tax_total": signed(invoice.tax),
        "tax_inclusive": signed(invoice.gross),
        "payable": EXACT.add(signed(invoice.payable), rounding),
        "vat_breakdown": [
            {
                "category": each.vat,
                "rate_percent": each.percent,
                "taxable": signed(each.net),
                "tax": signed(each.tax),
            }
            for each in invoice.breakdowns
        ],
    }


def items_of(record: Figures) -> list[Item]:
    """The lines of a record of EN 16931."""
    return [
        Item(
            Decimal(line["quantity"]),
            Decimal(line["unit_price"]),
            number(line, "base_quantity") or Decimal(1),
            tuple(extra(entry, adds=entry["charge"]) for entry in line.get("allowances_charges", ())),
            (vat(line),),
            number(line, "given_net_amount"),
        )
        for line in record["input"]["lines"]
    ]


def extras_of(record: Figures) -> list[Extra]:
    """What a record of EN 16931 gives or asks beside its lines."""
    entries = record["input"].get("allowances_charges", ())
    return [extra(entry, adds=entry["charge"], taxes=(vat(entry),)) for entry in entries]


def published_invoice(record: Figures) -> EInvoice:
    """The record as an electronic invoice of ours, of which the rules of EN 16931 hold."""
    items, on_document = items_of(record), extras_of(record)
    currency, scale = Currency(record["currency"]), decimals(record)
    nets = [Money(item.total(scale), currency) for item in items]
    line_sum = exact_sum(net.amount for net in nets)
    beside = [each for each in on_document if each.on(line_sum, scale)]
    evidence = [_evidence(levy) for each in (*items, *beside) for levy in each.taxes]
    nets += [Money(each.on(line_sum, scale), currency) for each in beside]
    found = taxed(
        [TaxableLine(net, "", why.category, _DAY, why) for net, why in zip(nets, evidence, strict=True)],
        TaxTable(()),
        currency=currency,
    )
    service, last = Days(_DAY, _DAY + timedelta(days=1)), len(items)
    document = Document(
        kind=kind_of(total([*found.nets, *(tax.tax for tax in found.subtotals)], currency)),
        legal_entity_id="seller",
        account_id="buyer",
        currency=currency,
        invoice_on=_DAY,
        posting_on=_DAY,
        lines=tuple(
            Line(f"item {n}", item.quantity, "", net, "", service, why)
            for n, (item, net, why) in enumerate(zip(items, found.nets, found.evidence, strict=False), start=1)
        ),
        taxes=found.subtotals,
        adjustments=tuple(
            Adjustment("allowance or charge", net, "", service, why)
            for net, why in zip(found.nets[last:], found.evidence[last:], strict=True)
        ),
    )
    prepaid = number(record["input"], "prepaid") or Decimal(0)
    invoice = drawn_up(document, replace(_FACTS, number=record["id"], prepaid=prepaid))
    einvoice_rules.check(invoice)
    return invoice


_DAY: Final = date(2026, 1, 31)
_ADDRESS: Final = Address("Street 1", None, "City", "1000", None, "DE")
_FACTS: Final = Facts(
    number="",
    due_on=_DAY,
    seller=("seller", "Seller", _ADDRESS),
    buyer=("buyer", "Buyer", _ADDRESS),
    seller_numbers=("DE136695976", None),
    buyer_number="FR40303265045",
)


def _evidence(levy: Levy) -> TaxEvidence:
    """What the record says of a tax; why it is none it does not say, and the rules want to know."""
    reason = None if levy.category in WITHOUT_REASON else "as the record says"
    percent = levy.percent or Decimal(0)
    why = TaxEvidence("given", "", levy.category, percent, _DAY, "", vat_category=levy.category)
    return replace(why, exemption_reason=reason)


def vat(entry: Figures) -> Levy:
    return Levy(entry.get("vat_category") or "", number(entry, "vat_rate_percent"))


def levies(entry: Figures) -> tuple[Levy, ...]:
    return tuple(
        Levy(
            tax["category"],
            number(tax, "rate_percent"),
            number(tax, "surcharge_percent", "surcharge_rate_percent", "surcharge"),
            is_retained=bool(tax.get("retained")),
        )
        for tax in entry.get("taxes", ())
    )


def gobl_invoice(record: Figures) -> Figures:
    given = record["input"]
    items = [
        Item(Decimal(line["quantity"]), Decimal(line["unit_price"]), extras=extras(line), taxes=levies(line))
        for line in given["lines"]
    ]
    rounding = number(given, "rounding", "payable_rounding") or Decimal(0)
    found = document_totals(items, extras(given), ruled(record), rounding=rounding)
    due = EXACT.subtract(found.payable, number(given, "advance", "prepaid") or Decimal(0))
    return {
        "line_totals": list(found.lines),
        "sum": found.line_sum,
        "discount": found.deductions,
        "charge": found.charges,
        "tax_included": found.included,
        "total": found.total,
        "tax": found.tax,
        "total_with_tax": found.gross,
        "retained_tax": found.retained,
        "payable": found.payable,
        "due": due,
        "tax_breakdown": breakdown(found),
    }


def extras(entry: Figures) -> tuple[Extra, ...]:
    kinds = (("discounts", False), ("charges", True))
    return tuple(extra(each, adds=adds, taxes=levies(each)) for name, adds in kinds for each in entry.get(name, ()))


def breakdown(found: DocumentTotals) -> list[Figures]:
    return [
        {
            "category": each.levy.category,
            "rate_percent": each.levy.percent,
            "base": each.base,
            "amount": each.tax,
            "retained": each.levy.is_retained,
            "surcharge_percent": each.levy.surcharge,
            "surcharge": each.surcharge,
            "surcharge_amount": each.surcharge,
        }
        for each in found.levies
    ]


def credit_note_unused(record: Figures) -> Figures:
    params, given = record["params"], record["input"]
    unused = Proportion(int(given["unused_days"]), int(given["period_days"]))
    refund = unused_refund(money(given["amount"], record), number(params, *_RATES) or Decimal(0), unused=unused)
    return {"net": refund.net.amount, "tax": refund.tax.amount, "total": refund.total.amount}


_RATES: Final = ("tax_rate_percent", "rate_percent")


def credit_of_progressive(record: Figures) -> Figures:
    given = record["input"]
    fee, usage, billed = (
        money(given.get(name) or "0", record)
        for name in ("subscription_fee", "usage_total", "already_billed_progressively")
    )
    credit = progressive_credit(usage, billed=billed)
    fees = fee + usage
    return {"fees": fees.amount, "credit": credit.amount, "total": (fees - credit).amount}


def usage_window_price(record: Figures) -> Figures:
    """The sum of the events of a period as far as it has passed."""
    given = record["input"]
    until = min((given["period_to"], given.get("as_of") or given["period_to"]), key=instant)
    quantity = aggregated("sum")({**record, "input": {**given, "period_to": until}})["value"]
    price = parse_price({"model": "per_unit", "unit_amount": record["params"]["unit_amount"]})
    return {"quantity": quantity, "amount": price.amount_for(quantity).amount}


def rated_lines(record: Figures) -> Figures:
    """The lines of an invoice, each worked out as the published line of its price is."""
    lines = []
    for line in record["input"]["lines"]:
        rule = line_cases.CALCULATIONS.get(f"line_{line['price']['type']}")
        if rule is None:
            raise NotAdopted(f"a line of the price {line['price']['type']}")
        terms = {name: line[name] for name in _TERMS if name in line}
        lines.append(rule({**record, "params": {**record["params"], **terms}, "input": line}))
    names = ("amount", "charges", "discounts", "total")
    sums = {name: exact_sum(Decimal(line[name]) for line in lines) for name in names}
    # The amount of an invoice is what its lines come to after their discounts and charges.
    return {**sums, "amount": sums["total"], "line_totals": [line["total"] for line in lines]}


_TERMS: Final = ("price", "commitments", "discounts", "unit_config")


CALCULATIONS: Calculations = {
    "en16931": en16931,
    "gobl_invoice": gobl_invoice,
    "credit_note_unused": credit_note_unused,
    "progressive_credit": credit_of_progressive,
    "usage_window_price": usage_window_price,
    "rated_lines": rated_lines,
}
