"""Published invoices by our own totals."""

from datetime import date
from decimal import Decimal
from typing import Final

import line_cases
from aggregate_cases import aggregated
from case_figures import Calculations, Figures, NotAdopted
from period_cases import money
from recurrence_cases import instant
from tax_cases import decimals

from domain.document_totals import DocumentTotals, Extra, Item, Levy, TotalsRule, document_totals
from domain.documents import Document, Line, kind_of
from domain.money import EXACT, Currency, Money, exact_sum, total
from domain.periods import Days
from domain.prices import parse_price
from domain.proration import Proportion
from domain.refunds import progressive_credit, unused_refund
from domain.taxation import TaxableLine, TaxEvidence, TaxTable, taxed


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
    given = record["input"]
    on_document = [
        extra(entry, adds=entry["charge"], taxes=(vat(entry),)) for entry in given.get("allowances_charges", ())
    ]
    items = [
        Item(
            Decimal(line["quantity"]),
            Decimal(line["unit_price"]),
            number(line, "base_quantity") or Decimal(1),
            tuple(extra(entry, adds=entry["charge"]) for entry in line.get("allowances_charges", ())),
            (vat(line),),
            number(line, "given_net_amount"),
        )
        for line in given["lines"]
    ]
    rounding = number(given, "payable_rounding") or Decimal(0)
    found = document_totals(items, on_document, ruled(record), rounding=rounding)
    agrees_with_ours(found, [vat(entry) for entry in (*given["lines"], *given.get("allowances_charges", ()))], record)
    return {
        "line_net_amounts": list(found.lines),
        "line_total": found.line_sum,
        "allowance_total": found.deductions,
        "charge_total": found.charges,
        "tax_exclusive": found.total,
        "tax_total": found.tax,
        "tax_inclusive": found.gross,
        "payable": EXACT.subtract(found.payable, number(given, "prepaid") or Decimal(0)),
        "vat_breakdown": [
            {
                "category": each.levy.category,
                "rate_percent": each.levy.percent,
                "taxable": each.base,
                "tax": each.tax,
            }
            for each in found.levies
        ],
    }


def agrees_with_ours(found: DocumentTotals, vats: list[Levy], record: Figures) -> None:
    """A document of ours over the same nets has the same totals, if its currency has the record's decimals."""
    currency, day, scale = Currency(record["currency"]), date(2026, 1, 31), decimals(record)
    extras = [extra(entry, adds=entry["charge"]) for entry in record["input"].get("allowances_charges", ())]
    nets = [Money(net, currency) for net in (*found.lines, *(each.on(found.line_sum, scale) for each in extras))]
    if currency.minor_units != scale or not nets or not all(net.is_rounded for net in nets):
        return
    if found.line_sum != exact_sum(found.lines):  # a given net that is not rounded, which no line of ours is
        return
    evidence = [TaxEvidence("given", "", each.category, each.percent or Decimal(0), day, "") for each in vats]
    lines = [TaxableLine(net, "", why.category, day, why) for net, why in zip(nets, evidence, strict=True)]
    taxes = taxed(lines, TaxTable(()), currency=currency).subtotals
    ours = Document(
        kind=kind_of(total(nets + [tax.tax for tax in taxes], currency)),
        legal_entity_id="seller",
        account_id="buyer",
        currency=currency,
        invoice_on=day,
        posting_on=day,
        lines=tuple(
            Line("", Decimal(1), "", line.net, "", Days(day, date(2026, 2, 1)), why)
            for line, why in zip(lines, evidence, strict=True)
        ),
        taxes=taxes,
    )
    assert (ours.net.amount, ours.tax.amount, ours.gross.amount) == (found.total, found.tax, found.gross)


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
