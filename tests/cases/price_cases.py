"""Published prices by our own models."""

from decimal import Decimal

from case_figures import Calculations, Figures

from domain.money import rounded_to
from domain.prices import effective_unit_amount, parse_price


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


CALCULATIONS: Calculations = {
    "per_unit": per_unit,
    "graduated": graduated,
    "volume": volume,
    "package": package,
}
