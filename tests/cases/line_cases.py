"""Published lines of periods that are billed in parts."""

from decimal import Decimal

from case_figures import Calculations, Figures

from domain.lines import Component, Part, PartLine, booked, corrections, fee_line, part_line
from domain.money import Currency, Money, total
from domain.prices import Adjustments, Price, parse_price

_ROUNDINGS = {
    "ceiling": "ceiling",
    "ceil": "ceiling",
    "floor": "floor",
    "half_up": "half_up",
    "none": "none",
    None: "none",
}


def line(record: Figures) -> Figures:
    return _figures(record, part_line(_price(record["params"]), _part(record)))


def flat(record: Figures) -> Figures:
    price, percentage = record["params"]["price"], _discount(record["params"], "percentage")
    fee = Money.of(price["amount"], _currency(record))
    by = Adjustments(percentage=Decimal(percentage or 0))
    return _figures(record, fee_line(fee, price["payment_term"], _part(record), by))


def delta(record: Figures) -> Figures:
    quantities = [Decimal(quantity) for quantity in record["input"]["cumulative_quantities"]]
    found = booked(_price(record["params"]), quantities, currency=_currency(record))
    return {"phase_totals": [each.amount for each in found]}


def late(record: Figures) -> Figures:
    currency = _currency(record)
    looks = [[Decimal(text) for text in phase["cumulative_per_period"]] for phase in record["input"]["phases"]]
    found = corrections(_price(record["params"]), looks, currency=currency)
    return {"phase_totals": [total(each, currency).amount for each in found]}


def _currency(record: Figures) -> Currency:
    return Currency(record.get("currency", "USD"))


def _price(params: Figures) -> Price:
    price = params["price"]
    terms: Figures = {"model": price["type"]}
    match price["type"]:
        case "unit":
            terms = {"model": "per_unit", "unit_amount": price["unit_amount"]}
        case "dynamic":  # the quantity is money already
            terms = {"model": "per_unit", "unit_amount": price["multiplier"]}
        case "package":
            terms |= {"package_size": price["package_size"], "package_amount": price["unit_amount"]}
        case _:
            tiers = [
                {"up_to": tier.get("up_to"), **{name: tier.get(name) or "0" for name in ("unit_amount", "flat_amount")}}
                for tier in price["tiers"]
            ]
            terms |= {"tiers": tiers, "zero_usage": "first_tier_flat"}
    return parse_price({**terms, "adjustments": _adjustments(params)})


def _adjustments(params: Figures) -> Figures:
    commitments, config = params.get("commitments") or {}, params.get("unit_config")
    found = {
        "free_units": _discount(params, "usage_quantity"),
        "percentage": _discount(params, "percentage"),
        "maximum": commitments.get("maximum_amount"),
    }
    if Decimal(commitments.get("minimum_amount") or 0):
        found["minimum"] = {"amount": commitments["minimum_amount"]}
    if config:
        name = "divisor" if config["operation"] == "divide" else "factor"
        rounding = _ROUNDINGS[config.get("rounding")]
        scale = {} if rounding == "none" else {"scale": config.get("precision") or 0}
        found["convert"] = {name: config["factor"], "rounding": rounding, **scale}
    return found


def _discount(params: Figures, name: str) -> str | None:
    given = (params.get("discounts") or {}).get(name)
    return given if given and Decimal(given) else None


def _part(record: Figures) -> Part:
    given, currency = record["input"], _currency(record)
    return Part(
        Decimal(given.get("pre_line_quantity") or "0"),
        Decimal(given["line_quantity"]),
        given["line_position"],
        Money.of(given.get("previously_billed") or "0", currency),
        tuple(Money.of(credit, currency) for credit in given.get("credits") or ()),
    )


def _figures(record: Figures, found: PartLine) -> Figures:
    components = [each for each in found.components if _is_priced(record["params"]["price"], each)]
    by_tier: dict[int | None, Figures] = {}
    for each in components:
        tier = by_tier.setdefault(
            each.tier, {"tier": each.tier, "quantity": Decimal(0), "usage": Decimal(0), "flat": Decimal(0)}
        )
        if each.rule == "tier_flat":
            tier["flat"] += each.amount.amount
        else:
            tier |= {"quantity": each.quantity, "usage": each.amount.amount}
    return {
        "amount": found.amount.amount,
        "discounts": found.discounts.amount,
        "charges": found.charges.amount,
        "credits": found.credits.amount,
        "total": found.total.amount,
        "lines": len(components) + (not found.charges.is_zero),
        "components": list(by_tier.values()),
        "packages": sum((each.quantity for each in components if each.rule == "package"), Decimal(0)),
        "billed_quantity": found.quantity,
    }


def _is_priced(price: Figures, component: Component) -> bool:
    """Whether the price names an amount for it: a tier whose amount is null has no line."""
    if component.tier is None or component.rule == "tier_flat":
        return True
    return price["tiers"][component.tier - 1].get("unit_amount") is not None


CALCULATIONS: Calculations = {
    **{f"line_{kind}": line for kind in ("unit", "package", "dynamic", "graduated", "volume")},
    "line_flat": flat,
    **{f"delta_{kind}": delta for kind in ("unit", "package", "dynamic", "graduated", "volume")},
    **{f"late_{kind}": late for kind in ("unit", "package", "dynamic", "graduated", "volume")},
}
