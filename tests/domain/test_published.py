"""Figures that other billing systems publish, worked out by our rules; each record names its source."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.documents import Document, Line, kind_of
from domain.events import parse_instant
from domain.metrics import Kept, Metric
from domain.metrics.count import Count
from domain.metrics.sum import Sum
from domain.metrics.unique_count import UniqueCount
from domain.money import Currency, Money, allocate, proportion, rounded_to, total
from domain.periods import Days, MonthlyCycle, Window, days_between, prorated, prorated_by_time
from domain.prices import effective_unit_amount, parse_price
from domain.taxation import TaxableLine, TaxEvidence, TaxTable, tax_on, taxed

pytestmark = pytest.mark.fast

RECORDS = [
    json.loads(line) for line in Path(__file__).with_name("published.jsonl").read_text(encoding="utf-8").splitlines()
]
Figures = dict[str, Any]


def per_unit(record: Figures) -> Figures:
    params, quantity = record["params"], Decimal(record["input"]["quantity"])
    negative = params.get("negative_quantity", "refuse")
    terms = {"model": "per_unit", "unit_amount": params["unit_amount"], "negative_quantity": negative}
    amount = parse_price(terms).amount_for(quantity).amount
    if "round_amount_to" in params:
        amount = rounded_to(amount, int(params["round_amount_to"]))
    units = Decimal(record["input"].get("full_units", quantity))
    return {"amount": amount, "effective_unit_amount": effective_unit_amount(amount, units)}


def graduated(record: Figures) -> Figures:
    params, quantity = record["params"], Decimal(record["input"]["quantity"])
    terms = {"model": "graduated", "tiers": params["tiers"], "zero_usage": params["zero_usage"]}
    priced = parse_price(terms).amount_for(quantity)
    tiers: dict[str | None, Figures] = {}
    for step in priced.steps:
        tier = tiers.setdefault(step.fact("tier"), {"quantity": Decimal(0), "flat": Decimal(0), "usage": Decimal(0)})
        if step.rule == "tier":
            tier |= {"quantity": Decimal(step.fact("quantity") or 0), "usage": step.amount}
        else:
            tier["flat"] += step.amount
    tax = rounded_to(priced.amount * Decimal(params.get("tax_rate_percent", "0")) / 100, 2)
    return {
        "amount": priced.amount,
        "effective_unit_amount": effective_unit_amount(priced.amount, quantity),
        "tiers": list(tiers.values()),
        "total_with_tax": priced.amount + tax,
    }


def volume(record: Figures) -> Figures:
    params, quantity = record["params"], Decimal(record["input"]["quantity"])
    terms = {"model": "volume", "tiers": params["tiers"], "zero_usage": params["zero_usage"]}
    amount = parse_price(terms).amount_for(quantity).amount
    return {"amount": amount, "effective_unit_amount": effective_unit_amount(amount, quantity)}


def package(record: Figures) -> Figures:
    params, quantity = record["params"], Decimal(record["input"]["quantity"])
    assert params["rounding"] == "ceil"
    sizes = {"package_size": params["package_size"], "package_amount": params["unit_amount"]}
    priced = parse_price({"model": "package", **sizes, "free_units": params["free_units"]}).amount_for(quantity)
    step = priced.steps[-1]
    over_paid = params.get("effective_unit_over") == "paid_units"
    units = Decimal(step.fact("quantity") or 0) if over_paid else quantity
    effective = effective_unit_amount(priced.amount, units)
    return {
        "amount": priced.amount,
        "packages": Decimal(step.fact("packages") or 0),
        "effective_unit_amount": effective,
    }


def time_ratio(record: Figures) -> Figures:
    params, given = record["params"], record["input"]
    amount = Money.of(params["amount"], record["currency"])
    if params["unit"] == "second":
        used, full = (
            Window(parse_instant(given[f"{name}_from"]), parse_instant(given[f"{name}_to"]))
            for name in ("service", "period")
        )
        share = prorated_by_time(amount, used=used, full=full)
    else:
        days = [
            Days(date.fromisoformat(given[f"{name}_from"]), date.fromisoformat(given[f"{name}_to"]))
            for name in ("service", "period")
        ]
        # One source bills days that lie partly outside its period; the ratio is the same rule without our check.
        within = days[1].holds(days[0])
        share = (
            prorated(amount, used=days[0], full=days[1])
            if within
            else proportion(amount, part=days[0].count, whole=days[1].count)
        )
    return {"amount": share.rounded().amount, "precise_amount": share.amount}


def local_days_between(record: Figures) -> Figures:
    starts_at, ends_at = (parse_instant(record["input"][name]) for name in ("from", "to"))
    return {"days": Decimal(days_between(starts_at, ends_at, record["params"]["timezone"]))}


def anchored_sequence(record: Figures) -> Figures:
    given = record["input"]
    cycle = MonthlyCycle("UTC", record["params"]["anchor_day"])
    periods = cycle.periods_from(date.fromisoformat(given["first"]))
    return {"dates": [next(periods).days.first_on.isoformat() for _ in range(given["count"])]}


def aggregated(record: Figures, metric: Metric, *, property_name: str) -> Figures:
    given = record["input"]
    window = Window(parse_instant(given["period_from"]), parse_instant(given["period_to"]))
    contributions = []
    for event in given["events"]:
        happened_at = parse_instant(event["timestamp"])
        chosen = all(event[name] in allowed for name, allowed in record["params"].get("filter", {}).items())
        if not chosen or not window.contains(happened_at):
            continue
        value = event.get(property_name)
        properties = {"value": Decimal(value) if property_name == "value" and value is not None else value}
        sign = -1 if event.get("op") == "remove" else 1
        contributions.append((metric.aggregation.contribution(properties, happened_at=happened_at), sign))
    return {"value": metric.aggregation.quantity(Kept.of(contributions)), "count": Decimal(len(contributions))}


def round_amount(record: Figures) -> Figures:
    return {"value": rounded_to(Decimal(record["input"]["value"]), record["params"]["scale"])}


def sum_round_order(record: Figures) -> Figures:
    euro = Currency("EUR")
    values = [Money.of(value, euro) for value in record["input"]["values"]]
    return {
        "round_of_sum": total(values, euro).rounded().amount,
        "sum_of_rounded": total((value.rounded() for value in values), euro).amount,
    }


def allocate_largest_remainder(record: Figures) -> Figures:
    by_scale = {0: "JPY", 2: "EUR", 3: "KWD", 4: "CLF"}
    amount = Money.of(record["input"]["amount"], by_scale[record["params"]["scale"]])
    items = record["input"]["items"]
    parts = allocate(amount, [Decimal(item["weight"]) for item in items])
    return {"allocated": {item["key"]: part.amount for item, part in zip(items, parts, strict=True)}}


def line_taxes(record: Figures) -> Figures:
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


CALCULATIONS: dict[str, Callable[[Figures], Figures]] = {
    "per_unit": per_unit,
    "graduated": graduated,
    "volume": volume,
    "package": package,
    "time_ratio": time_ratio,
    "local_days_between": local_days_between,
    "anchored_sequence": anchored_sequence,
    "count": lambda record: aggregated(record, Metric("m", "m", Count(), "u"), property_name="value"),
    "sum": lambda record: aggregated(record, Metric("m", "m", Sum("value"), "u"), property_name="value"),
    "unique_count": lambda record: aggregated(record, Metric("m", "m", UniqueCount("value"), "u"), property_name="id"),
    "line_taxes": line_taxes,
    "en16931": en16931,
    "round_amount": round_amount,
    "sum_round_order": sum_round_order,
    "currency_scale": lambda record: {"scale": Decimal(Currency(record["input"]["currency"]).minor_units)},
    "allocate_largest_remainder": allocate_largest_remainder,
}


def agrees(found: object, expected: object, scale: int | None) -> bool:
    """Whether they are the same figures; decimals are compared as numbers, at `scale` decimals where one is given."""
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        return all(agrees(found[name], value, scale) for name, value in expected.items())
    if isinstance(expected, list):
        assert isinstance(found, list)
        return len(found) == len(expected) and all(map(agrees, found, expected, [scale] * len(expected)))
    if isinstance(found, Decimal):
        figures = found, Decimal(str(expected))
        return figures[0] == figures[1] if scale is None else len({rounded_to(f, scale) for f in figures}) == 1
    return found == expected


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["id"])
def test_a_published_figure_comes_out(record):
    found = CALCULATIONS[record["model"]](record)

    scales = {"precise_amount": "precise_scale"}
    for name, expected in record["expect"].items():
        if name.endswith("_scale") or (name == "scale" and "scale" not in found):
            continue
        scale = record["expect"].get(scales.get(name, f"{name}_scale"))
        assert agrees(found[name], expected, scale), (name, found[name], expected, record["source"])


def test_the_records_are_read_in_their_own_time():
    assert parse_instant("2023-05-01T00:00:00Z") == datetime(2023, 5, 1, tzinfo=UTC)
