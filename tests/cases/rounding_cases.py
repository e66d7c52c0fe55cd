"""Published rounding and allocation by our own money."""

from decimal import Decimal

from case_figures import Calculations, Figures

from domain.money import Currency, Money, allocate, rounded_to, total


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


CALCULATIONS: Calculations = {
    "round_amount": round_amount,
    "sum_round_order": sum_round_order,
    "currency_scale": lambda record: {"scale": Decimal(Currency(record["input"]["currency"]).minor_units)},
    "allocate_largest_remainder": allocate_largest_remainder,
}
