"""Published taxes and invoices by our own documents."""

from datetime import date
from decimal import Decimal

from case_figures import Calculations, Figures, NotAdopted

from domain.documents import Document, Line, kind_of
from domain.money import Currency, Money, proportion, total
from domain.periods import Days
from domain.taxation import TaxableLine, TaxEvidence, TaxTable, tax_on, taxed


def line_taxes(record: Figures) -> Figures:
    if "currency" not in record:
        raise NotAdopted("a tax on other taxes")
    currency = Currency(record["currency"])
    net = Money.of(record["input"]["amount"], currency) - Money.of(record["input"]["discount"], currency)
    taxes = [tax_on(net, Decimal(percent)) for percent in record["params"]["rates_percent"]]
    tax = total(taxes, currency)
    return {"tax": tax.amount, "taxes": [each.amount for each in taxes], "gross": (net + tax).amount}


def en16931(record: Figures) -> Figures:
    currency, given = Currency(record["currency"]), record["input"]
    nets = [_line_net(line, currency) for line in given["lines"]]
    on_document = [_signed(entry, currency) for entry in given["allowances_charges"]]
    day = date(2026, 1, 31)
    evidence = [
        TaxEvidence("given", "", entry["vat_category"], Decimal(entry["vat_rate_percent"]), day, record["source"])
        for entry in (*given["lines"], *given["allowances_charges"])
    ]
    lines = [
        TaxableLine(net, why.jurisdiction, why.category, day, why)
        for net, why in zip((*nets, *on_document), evidence, strict=True)
    ]
    taxes = taxed(lines, TaxTable(()), currency=currency)
    service = Days(day, date(2026, 2, 1))
    document = Document(
        kind=kind_of(total([line.net for line in lines] + [tax.tax for tax in taxes.subtotals], currency)),
        legal_entity_id="seller",
        account_id="buyer",
        currency=currency,
        invoice_on=day,
        posting_on=day,
        lines=tuple(
            Line("", Decimal(1), "", line.net, "", service, why)
            for line, why in zip(lines, taxes.evidence, strict=True)
        ),
        taxes=taxes.subtotals,
    )
    payable = document.gross - Money.of(given["prepaid"], currency) + Money.of(given["payable_rounding"], currency)
    allowances = [
        amount for amount, entry in zip(on_document, given["allowances_charges"], strict=True) if not entry["charge"]
    ]
    charges = [
        amount for amount, entry in zip(on_document, given["allowances_charges"], strict=True) if entry["charge"]
    ]
    breakdown = [
        {"category": tax.category, "rate_percent": tax.percent, "taxable": tax.net.amount, "tax": tax.tax.amount}
        for tax in document.taxes
    ]
    return {
        "line_net_amounts": [net.amount for net in nets],
        "line_total": total(nets, currency).amount,
        "allowance_total": -total(allowances, currency).amount,
        "charge_total": total(charges, currency).amount,
        "tax_exclusive": document.net.amount,
        "tax_total": document.tax.amount,
        "tax_inclusive": document.gross.amount,
        "payable": payable.amount,
        "vat_breakdown": breakdown,
    }


def _line_net(line: Figures, currency: Currency) -> Money:
    if "given_net_amount" in line:
        return Money.of(line["given_net_amount"], currency)
    gross = Money.of(line["unit_price"], currency).times(Decimal(line["quantity"]))
    net = proportion(gross, part=1, whole=int(line["base_quantity"])).rounded()
    return total([net, *(_signed(entry, currency) for entry in line["allowances_charges"])], currency)


def _signed(entry: Figures, currency: Currency) -> Money:
    amount = Money.of(entry["amount"], currency)
    return amount if entry["charge"] else -amount


CALCULATIONS: Calculations = {
    "line_taxes": line_taxes,
    "en16931": en16931,
}
