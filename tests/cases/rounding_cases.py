"""Published rounding, unit conversion and allocation by our own money and units."""

from decimal import Decimal
from typing import Final

from case_figures import Calculations, Figures, NotAdopted

from domain.money import Currency, allocate_units, exact_sum
from domain.units import MODES, Conversion, Mode, Rounding

#: Modes under the names that other systems give them.
_MODES: Final[dict[str, Mode]] = {"ceil": "ceiling", "round": "half_up", "half_away": "half_up", "truncate": "down"}


def rounding(mode: str, scale: object) -> Rounding:
    ours = _MODES.get(mode, mode)
    known = next((each for each in MODES if each == ours), None)
    if known is None:
        raise NotAdopted(f"rounding by {mode}")
    return Rounding(known, int(str(scale)))


def rounded(record: Figures) -> Figures:
    params = record["params"]
    rule = rounding(params.get("mode", "half_up"), params.get("scale", 0))
    return {"value": rule.apply(Decimal(record["input"]["value"]))}


def convert_quantity(record: Figures) -> Figures:
    params = record["params"]
    number, one = Decimal(params["factor"]), Decimal(1)
    factor, divisor = (one, number) if params.get("operation") == "divide" else (number, one)
    rule = rounding(params.get("rounding") or "none", params.get("precision") or 0)
    conversion = Conversion(factor, divisor, rule.mode, rule.scale)
    quantity = Decimal(record["input"]["quantity"])
    return {"converted": conversion.unrounded(quantity), "invoiced": conversion.apply(quantity)}


def sum_round_order(record: Figures) -> Figures:
    rule = rounding(record["params"].get("mode", "half_up"), record["params"].get("scale", 2))
    values = [Decimal(value) for value in record["input"]["values"]]
    return {
        "round_of_sum": rule.apply(exact_sum(values)),
        "sum_of_rounded": exact_sum(map(rule.apply, values)),
    }


def allocate_largest_remainder(record: Figures) -> Figures:
    items, scale = record["input"]["items"], int(record["params"]["scale"])
    if record["params"].get("tie_break", "input_order") == "key":
        items = sorted(items, key=lambda item: str(item["key"]))
    units = Decimal(record["input"]["amount"]).scaleb(scale)
    assert units == int(units), units
    parts = allocate_units(int(units), [Decimal(item["weight"]) for item in items])
    return {"allocated": {item["key"]: Decimal(part).scaleb(-scale) for item, part in zip(items, parts, strict=True)}}


def currency_scale(record: Figures) -> Figures:
    return {"scale": Decimal(Currency(record["input"]["currency"]).minor_units)}


CALCULATIONS: Calculations = {
    "round_amount": rounded,
    "round_quantity": rounded,
    "convert_quantity": convert_quantity,
    "sum_round_order": sum_round_order,
    "currency_scale": currency_scale,
    "allocate_largest_remainder": allocate_largest_remainder,
}
