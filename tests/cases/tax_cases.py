"""Published taxes of lines and of invoices by our own tax rules."""

from decimal import Decimal

from case_figures import Calculations, Figures, NotAdopted

from domain.currencies import MINOR_UNITS
from domain.money import EXACT, exact_sum, rounded_to
from domain.tax_rules import (
    StackedRates,
    inclusive_line,
    lines_taxes,
    split_gross,
    with_tax,
    without_tax,
)


def decimals(record: Figures, name: str = "scale") -> int:
    return int(record["params"].get(name, MINOR_UNITS.get(record.get("currency", ""), 2)))


def rates(record: Figures, line: Figures) -> StackedRates:
    """The rates of a line, or of all lines."""
    params = record["params"]
    if params.get("rounding", "half_up") != "half_up":
        raise NotAdopted("tax is rounded half up")
    given = line.get("rates_percent", params.get("rates_percent"))
    if given is None:
        single = line.get("tax_rate_percent", params.get("tax_rate_percent", params.get("rate_percent")))
        given = [] if single is None else [single]
    percents = tuple(map(Decimal, given))
    return StackedRates(percents, bool(params.get("compound")), bool(params.get("round_each_tax")))


def net_of(line: Figures) -> Decimal:
    return EXACT.subtract(Decimal(line["amount"]), Decimal(line.get("discount") or 0))


def line_taxes(record: Figures) -> Figures:
    given = record["input"]
    found = rates(record, given).on(net_of(given), decimals(record))
    return {"tax": found.tax, "taxes": list(found.taxes), "net": found.net, "gross": found.gross}


def invoice_taxes(record: Figures) -> Figures:
    lines, scale = record["input"]["lines"], decimals(record)
    nets = [(net_of(line), rates(record, line)) for line in lines]
    found = lines_taxes(nets, decimals=scale)
    net = rounded_to(exact_sum(amount for amount, _ in nets), scale)
    texts = {Decimal(text): text for line in lines for text in line.get("rates_percent", ())}
    name = {rate.percent: texts.get(rate.percent, str(rate.percent)) for rate in found.rates}
    gross = EXACT.add(net, found.tax)
    return {
        "tax": found.tax,
        "effective_rate_percent": found.effective_percent,
        "per_rate": {name[rate.percent]: rate.tax for rate in found.rates},
        "base_per_rate": {name[rate.percent]: rate.base for rate in found.rates},
        "line_taxes": [each.on(amount, scale).tax for amount, each in nets],
        "net": net,
        "subtotal": net,
        "tax_exclusive": net,
        "gross": gross,
        "total": gross,
    }


def included_tax_line(record: Figures) -> Figures:
    given = record["input"]
    line = inclusive_line(
        Decimal(given["gross_unit_price"]),
        Decimal(given.get("quantity", "1")),
        Decimal(record["params"].get("rate_percent") or 0),
        decimals=decimals(record, "carry_scale"),
        discount_percent=Decimal(given.get("discount_percent") or 0),
    )
    return {"net_unit_price": line.unit_net, "net_sum": line.net_sum, "net_total": line.net_total}


def net_and_back(record: Figures) -> Figures:
    percent, gross = Decimal(record["params"].get("rate_percent") or 0), Decimal(record["input"]["gross"])
    net = without_tax(gross, percent, decimals=decimals(record, "carry_scale"))
    return {"net": net, "gross_again": with_tax(net, percent, decimals=decimals(record))}


def inclusive_split(record: Figures) -> Figures:
    params = record["params"]
    rounds = params.get("round", "net")
    if rounds not in {"net", "tax"}:
        raise NotAdopted(f"rounding the {rounds}")
    percent, gross = Decimal(params.get("rate_percent") or 0), Decimal(record["input"]["gross"])
    net, tax = split_gross(gross, percent, rounds=rounds, decimals=decimals(record))
    return {"net": net, "tax": tax, "gross": gross}


CALCULATIONS: Calculations = {
    "line_taxes": line_taxes,
    "invoice_taxes": invoice_taxes,
    "invoice_effective_rate": invoice_taxes,
    "included_tax_line": included_tax_line,
    "net_and_back": net_and_back,
    "inclusive_split": inclusive_split,
}
