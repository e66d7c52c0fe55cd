"""Published prices by our own models."""

from collections.abc import Sequence
from decimal import Decimal

from case_figures import Calculations, Figures, NotAdopted

from domain.money import EXACT, ZERO, Currency, Money, rounded_to
from domain.prices import Measured, Price, Priced, difference, effective_unit_amount, parse_price
from domain.prices.graduated import GraduatedLadder
from domain.rating import correction


def quantity_of(record: Figures) -> Decimal:
    return Decimal(record["input"]["quantity"])


def sum_of(numbers: Sequence[str | Decimal]) -> Decimal:
    return sum((Decimal(number) for number in numbers), ZERO)


def optional(params: Figures, *names: str) -> Figures:
    """Those of the options that are set."""
    return {name: params[name] for name in names if params.get(name) is not None}


def ladder(model: str, params: Figures) -> Price:
    rate = "rate_percent" if model == "graduated_percentage" else "unit_amount"
    tiers = [
        {
            "up_to": tier.get("up_to"),
            rate: tier.get(rate) or "0",
            "flat_amount": tier.get("flat_amount"),
            **({"cap_amount": tier["tier_cap"]} if tier.get("tier_cap") is not None else {}),
        }
        for tier in params["tiers"]
    ]
    return parse_price({"model": model, "tiers": tiers, "zero_usage": params.get("zero_usage", "none")})


def rounded(amount: Decimal, params: Figures) -> Decimal:
    scale = params.get("round_amount_to")
    return amount if scale is None else rounded_to(amount, int(scale))


def with_tax(amount: Decimal, record: Figures) -> Decimal:
    """The tax is of the amount as it is shown, rounded once."""
    decimals = Currency(record.get("currency", "EUR")).minor_units
    percentage = Decimal(record["params"].get("tax_rate_percent", "0"))
    return amount + rounded_to(amount * percentage / 100, decimals)


def fact(priced: Priced, name: str) -> Decimal:
    """The sum of a fact over the steps that tell it."""
    return sum_of([step.fact(name) or ZERO for step in priced.steps])


def to_invoice(amount: Decimal, record: Figures) -> Decimal:
    currency = Currency(record.get("currency", "USD"))
    billed = Money.of(record["input"].get("already_invoiced") or "0", currency)
    return correction(Money(amount, currency), billed=billed).amount


def per_unit(record: Figures) -> Figures:
    params, quantity = record["params"], quantity_of(record)
    terms = optional(params, "unit_amount", "negative_quantity", "cap_amount", "per")
    priced = parse_price({"model": "per_unit", **terms}).price(Measured(quantity))
    amount = rounded(priced.amount, params)
    is_free = any(step.rule == "negative_quantity_is_free" for step in priced.steps)
    return {
        "amount": amount,
        "effective_unit_amount": effective_unit_amount(amount, Decimal(record["input"].get("full_units") or quantity)),
        "billed_quantity": ZERO if is_free else fact(priced, "quantity"),
    }


def grouped_per_unit(record: Figures) -> Figures:
    params = record["params"]
    cells = [{"values": [key], "unit_amount": each} for key, each in params.get("group_unit_amounts", {}).items()]
    default = {"default": {"unit_amount": params["unit_amount"]}} if params.get("unit_amount") is not None else {}
    price = parse_price({"model": "matrix", "dimensions": ["group"], "cells": cells, **default})
    groups = {
        group["key"]: price.price(Measured(Decimal(group["quantity"]), dimensions={"group": group["key"]})).amount
        for group in record["input"]["groups"]
    }
    return {"groups": groups, "amount": sum_of(list(groups.values()))}


def tiers_of(priced: Priced) -> list[Figures]:
    tiers: dict[str | None, Figures] = {}
    for step in priced.steps:
        tier = tiers.setdefault(step.fact("tier"), {"quantity": ZERO, "flat": ZERO, "usage": ZERO})
        if step.rule == "tier":
            tier |= {"quantity": Decimal(step.fact("quantity") or 0), "usage": step.amount}
        elif step.rule == "tier_flat":
            tier["flat"] += step.amount
    return list(tiers.values())


def of_ladder(model: str, record: Figures) -> Figures:
    quantity = quantity_of(record)
    priced = ladder(model, record["params"]).price(Measured(quantity))
    amount = rounded(priced.amount, record["params"])
    return {
        "amount": amount,
        "effective_unit_amount": effective_unit_amount(amount, quantity),
        "tiers": tiers_of(priced),
        "total_with_tax": with_tax(amount, record),
    }


def graduated(record: Figures) -> Figures:
    return of_ladder("graduated", record)


def graduated_percentage(record: Figures) -> Figures:
    return of_ladder("graduated_percentage", record)


def graduated_percentage_incremental(record: Figures) -> Figures:
    price = ladder("graduated_percentage", {**record["params"], "zero_usage": "none"})
    held, increments = ZERO, []
    for transaction in map(Decimal, record["input"]["transactions"]):
        increments.append(difference(price, transaction, held=held))
        held = EXACT.add(held, transaction)
    return {"increments": increments, "amount": sum_of(increments)}


def graduated_range(record: Figures) -> Figures:
    price = ladder("graduated", record["params"])
    assert isinstance(price, GraduatedLadder)
    low, high = (Decimal(record["input"][name]) for name in ("from_quantity", "to_quantity"))
    slices = price.slices(high, above=low)
    return {
        "tier_quantities": [{"tier": each.number, "quantity": each.units} for each in slices],
        "cumulative_before": price.amount_for(low).amount,
        "cumulative_total": price.amount_for(high).amount,
    }


def first_units(record: Figures, model: str, **more: str) -> Figures:
    """A tier begins with its first unit, so the one before ends there; whose the bound is, is said by the model."""
    firsts = [tier["first_unit"] for tier in record["params"]["tiers"]]
    if Decimal(firsts[0]) > 0:
        raise NotAdopted("a ladder whose first tier leaves units below it without a price")
    tiers = [
        {
            "up_to": up_to,
            "unit_amount": tier["unit_amount"],
            **({"flat_amount": tier["flat_amount"]} if tier.get("flat_amount") is not None else {}),
        }
        for tier, up_to in zip(record["params"]["tiers"], [*firsts[1:], None], strict=True)
    ]
    terms = {"model": model, "tiers": tiers, "zero_usage": record["params"].get("zero_usage", "none"), **more}
    return {"amount": parse_price(terms).price(Measured(quantity_of(record))).amount}


def graduated_first_unit(record: Figures) -> Figures:
    if record["params"].get("boundary", "first_unit_is_previous_count") != "first_unit_is_previous_count":
        raise NotAdopted("a boundary of tiers that only its name tells")
    return first_units(record, "graduated")


def volume_first_unit(record: Figures) -> Figures:
    return first_units(record, "volume", bound="excluded")


def volume(record: Figures) -> Figures:
    return of_ladder("volume", record)


def volume_prorated(record: Figures) -> Figures:
    quantity = quantity_of(record)
    usage = Measured(quantity, unprorated=Decimal(record["input"].get("full_units") or quantity))
    amount = ladder("volume", record["params"]).price(usage).amount
    return {"amount": amount, "effective_unit_amount": effective_unit_amount(amount, quantity)}


def package(record: Figures) -> Figures:
    params, quantity = record["params"], quantity_of(record)
    roundings = {"ceil": "up", "up": "up", "floor": "down", "down": "down"}
    terms = {
        "package_size": params["package_size"],
        "package_amount": params["unit_amount"],
        "rounding": roundings[params.get("rounding") or "ceil"],
        **optional(params, "free_units"),
    }
    priced = parse_price({"model": "package", **terms}).price(Measured(quantity))
    step = priced.steps[-1]
    over_paid = params.get("effective_unit_over") == "paid_units"
    units = Decimal(step.fact("quantity") or 0) if over_paid else quantity
    amount = rounded(priced.amount, params)
    return {
        "amount": amount,
        "packages": Decimal(step.fact("packages") or 0),
        "effective_unit_amount": effective_unit_amount(amount, units),
    }


def percentage_price(params: Figures) -> Price:
    """An allowance of zero is one that is not given.

    Walked event by event, as where an event has bounds, the free events never end what the free amount still covers.
    """
    given = {
        "fixed_amount": params.get("fixed_amount"),
        "free_amount": params.get("free_units_per_total_aggregation"),
        "event_minimum": params.get("per_transaction_min"),
        "event_maximum": params.get("per_transaction_max"),
        "rate_percent": params["rate_percent"],
        "free_events": int(Decimal(params.get("free_units_per_events") or 0)),
    }
    unset = {name for name, value in given.items() if value is None}
    unset |= {name for name in ("free_events", "free_amount") if name not in unset and not Decimal(given[name])}
    if {"event_minimum", "event_maximum"} - unset and "free_amount" not in unset:
        unset.add("free_events")
    return parse_price({"model": "percentage", **{name: each for name, each in given.items() if name not in unset}})


def percentage_of(record: Figures, events: tuple[Decimal, ...]) -> Figures:
    params, quantity = record["params"], sum_of(events)
    priced = percentage_price(params).price(Measured(quantity, events=events))
    amount = rounded(priced.amount, params)
    steps = {step.rule: step for step in priced.steps}
    free = steps.get("free_events")
    paid, fixed = steps.get("percentage"), steps.get("fixed_per_event")
    return {
        "amount": amount,
        "effective_unit_amount": effective_unit_amount(amount, quantity),
        "free_units": Decimal(free.fact("quantity") or 0) if free else ZERO,
        "free_events": Decimal(free.fact("events") or 0) if free else ZERO,
        "paid_units": Decimal(paid.fact("quantity") or 0) if paid else ZERO,
        "paid_events": Decimal(paid.fact("events") or 0) if paid else ZERO,
        "percentage_total": paid.amount if paid else ZERO,
        "fixed_total": fixed.amount if fixed else ZERO,
        "total_with_tax": with_tax(amount, record),
    }


def percentage(record: Figures) -> Figures:
    return percentage_of(record, tuple(map(Decimal, record["input"]["events"])))


def percentage_single(record: Figures) -> Figures:
    return percentage_of(record, (quantity_of(record),))


def event_priced(record: Figures) -> Figures:
    quantity = quantity_of(record)
    usage = Measured(quantity, amount=Decimal(record["input"]["precise_total"]))
    amount = parse_price({"model": "dynamic"}).price(usage).amount
    return {
        "amount": rounded(amount, record["params"]),
        "effective_unit_amount": effective_unit_amount(amount, quantity),
        "precise_amount": amount,
    }


def event_priced_grouped(record: Figures) -> Figures:
    groups = {
        group["key"]: event_priced({"params": record["params"], "input": group}) for group in record["input"]["groups"]
    }
    amounts = {key: figures["amount"] for key, figures in groups.items()}
    return {"groups": amounts, "amount": sum_of(list(amounts.values()))}


def per_unit_converted(record: Figures) -> Figures:
    params = record["params"]
    terms = {
        "model": "converted",
        "pricing_unit": "credits",
        "conversion_rate": params["conversion_rate"],
        "price": {"model": "per_unit", "unit_amount": params["unit_amount"]},
    }
    priced = parse_price(terms).price(Measured(quantity_of(record)))
    return {"pricing_unit_amount": fact(priced, "pricing_units"), "amount": rounded(priced.amount, params)}


def nested(price: Figures) -> Figures:
    """The terms of a price that lies in another one; what we call otherwise is renamed."""
    models = {"unit": "per_unit", "per_unit": "per_unit", "tiered": "graduated", "percentage": "percentage"}
    model = models.get(price["type"], price["type"])
    terms = {name: value for name, value in price.items() if name not in {"type", "rounding"} and value is not None}
    if model == "package":
        terms["package_amount"] = terms.pop("unit_amount")
    if model in {"graduated", "volume"}:
        terms.setdefault("zero_usage", "none")
    return {"model": model, **terms}


def bucketed(record: Figures) -> Figures:
    buckets = tuple(map(Decimal, record["input"]["bucket_quantities"]))
    price = parse_price({"model": "bucketed", "price": nested(record["params"]["price"])})
    return {"amount": rounded(price.price(Measured(sum_of(buckets), buckets=buckets)).amount, record["params"])}


def block_terms(charged: str, tiers: Sequence[Figures]) -> Figures:
    """Beyond the last tier all tiers bill nothing and the top tier goes on; our last tier is open, so it says so."""
    own = [
        {
            "block_size": tier["block_size"],
            "block_amount": tier["block_price"],
            "max_blocks": tier.get("max_blocks"),
        }
        for tier in tiers
    ]
    if own[-1]["max_blocks"] is not None and charged == "all_tiers":
        own.append({"block_size": "1", "block_amount": "0", "max_blocks": None})
    own[-1]["max_blocks"] = None
    return {"model": "blocks", "charged": charged, "tiers": own}


def blocks(charged: str, tiers: Sequence[Figures], quantity: Decimal) -> Figures:
    priced = parse_price(block_terms(charged, tiers)).price(Measured(quantity))
    steps = [step for step in priced.steps if step.rule == "block_tier" and int(step.fact("tier") or 0) <= len(tiers)]
    return {
        "amount": priced.amount,
        "tier_amounts": [[step.fact("tier"), step.amount] for step in steps],
        "blocks": {step.fact("tier"): Decimal(step.fact("blocks") or 0) for step in steps},
    }


def of_blocks(charged: str, record: Figures) -> Figures:
    return blocks(charged, record["params"]["tiers"], quantity_of(record))


def billed_blocks(tiers: Sequence[Figures], blocks: object) -> Decimal:
    """What was billed for blocks, by tier, at the amounts of their tiers."""
    if isinstance(blocks, dict):
        by_tier = {int(tier): Decimal(number) for tier, number in blocks.items()}
    elif isinstance(blocks, list) and all(isinstance(each, list) for each in blocks):
        by_tier = {int(tier): Decimal(number) for tier, number in blocks}
    elif isinstance(blocks, list):
        by_tier = {place: Decimal(number) for place, number in enumerate(blocks, start=1)}
    else:
        by_tier = {1: Decimal(str(blocks))}
    return sum_of([Decimal(tiers[tier - 1]["block_price"]) * number for tier, number in by_tier.items()])


def of_units(charged: str, record: Figures) -> Figures:
    """Each unit is a metric with a price of its own; a line bills what was not billed before."""
    units, billed = record["params"]["units"], record["input"].get("already_billed_blocks") or {}
    amounts = {
        unit: blocks(charged, units[unit], Decimal(each))["amount"] - billed_blocks(units[unit], billed.get(unit, {}))
        for unit, each in record["input"]["quantities"].items()
    }
    return {"unit_amounts": amounts, "amount": sum_of(list(amounts.values()))}


def of_period(charged: str, record: Figures) -> Figures:
    found = blocks(charged, record["params"]["tiers"], sum_of(record["input"]["usage"]))
    return {**found, "to_invoice": to_invoice(found["amount"], record)}


def capacity(record: Figures) -> Figures:
    tiers = [{"amount": tier["price"], "limits": dict(tier["max"])} for tier in record["params"]["tiers"]]
    peaks = {name: Decimal(peak) for name, peak in record["input"]["peaks"].items()}
    if any(limit is not None and peaks.get(name, ZERO) > Decimal(limit) for name, limit in tiers[-1]["limits"].items()):
        raise NotAdopted("a peak above the last tier, which our prices leave open")
    tiers[-1]["limits"] = dict.fromkeys(tiers[-1]["limits"])
    price = parse_price({"model": "capacity", "tiers": tiers, "zero_usage": "first_tier_flat"})
    amount = price.price(Measured(ZERO, peaks=peaks)).amount
    return {"amount": amount, "to_invoice": to_invoice(amount, record)}


def sum_of_products(record: Figures) -> Figures:
    scale = record["params"].get("line_scale")
    parts = []
    for item in record["input"]["items"]:
        terms = {"model": "per_unit", "unit_amount": item["unit_amount"], "per": item.get("per") or "1"}
        amount = parse_price(terms).price(Measured(Decimal(item["quantity"]))).amount
        parts.append(amount if scale is None else rounded_to(amount, int(scale)))
    return {"parts": parts, "amount": rounded(sum_of(parts), record["params"])}


CALCULATIONS: Calculations = {
    "per_unit": per_unit,
    "grouped_per_unit": grouped_per_unit,
    "graduated": graduated,
    "graduated_capped": graduated,
    "graduated_first_unit": graduated_first_unit,
    "graduated_percentage": graduated_percentage,
    "graduated_percentage_incremental": graduated_percentage_incremental,
    "graduated_range": graduated_range,
    "volume": volume,
    "volume_first_unit": volume_first_unit,
    "volume_prorated": volume_prorated,
    "package": package,
    "percentage": percentage,
    "percentage_single": percentage_single,
    "event_priced": event_priced,
    "event_priced_grouped": event_priced_grouped,
    "per_unit_converted": per_unit_converted,
    "bucketed": bucketed,
    "capacity": capacity,
    "sum_of_products": sum_of_products,
    **{
        f"blocks_{charged}{of}": lambda record, calculate=calculate, charged=charged: calculate(charged, record)
        for charged in ("all_tiers", "top_tier")
        for of, calculate in (("", of_blocks), ("_multi", of_units), ("_period", of_period))
    },
}
