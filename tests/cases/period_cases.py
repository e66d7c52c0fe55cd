"""Published proration by our own calendar."""

from datetime import date
from decimal import Decimal
from typing import Final

from case_figures import Calculations, Figures, NotAdopted
from recurrence_cases import day_of, instant, interval
from rounding_cases import rounding

from domain.currencies import MINOR_UNITS
from domain.cycles import CycleRule
from domain.money import Currency, Money
from domain.periods import Days, days_between
from domain.presence import Presence
from domain.prices import effective_unit_amount, parse_price
from domain.prices.graduated import Graduated
from domain.prices.priced import Priced
from domain.prices.tier_slices import Move, Stay, dated_moves, presence_moves, slices_amount
from domain.proration import (
    Bounds,
    Proportion,
    ProrationRule,
    month_share,
    months_amount,
    plan_change,
    ratable,
    ratable_mixed,
    unpaid_units,
)
from domain.recurrences import calendar_days

_BY_SCALE: Final = {0: "JPY", 2: "EUR", 3: "KWD", 4: "CLF"}
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_STRETCHES: Final = ("service", "period")
_ONE_DAY: Final = date(1, 1, 2) - date(1, 1, 1)


def bounds(given: Figures, name: str, *, to_the_second: bool, zone: str = "UTC") -> Bounds | None:
    """The stretch of that name, exclusive of its end also where the record's is not; None where it is not set."""
    starts, ends = given.get(f"{name}_from"), given.get(f"{name}_to", given.get(f"{name}_to_inclusive"))
    if starts is None or ends is None:
        return None
    after = _ONE_DAY if f"{name}_to" not in given and "T" not in ends else 0 * _ONE_DAY
    if to_the_second:
        return instant(starts), instant(ends) + after
    return day_of(starts, zone), day_of(ends, zone) + after


def money(amount: object, record: Figures) -> Money:
    """An amount in the record's currency, or in one of as many decimals as it is rounded to."""
    scale = int(record["params"].get("scale", MINOR_UNITS.get(record.get("currency", ""), 2)))
    given = record.get("currency", "")
    code = given if MINOR_UNITS.get(given) == scale else _BY_SCALE.get(scale, "CLF")
    return Money.of(str(amount), Currency(code))


def shown(amount: Decimal, record: Figures) -> Decimal:
    params = record["params"]
    return rounding(params.get("rounding", "half_up"), params.get("scale", 2)).apply(amount)


def time_ratio(record: Figures) -> Figures:
    params, to_the_second = record["params"], record["params"].get("unit") == "second"
    zone = params.get("timezone", "UTC")
    service, period = (bounds(record["input"], name, to_the_second=to_the_second, zone=zone) for name in _STRETCHES)
    assert service is not None
    assert period is not None
    share = ProrationRule("cap" if params.get("cap_at_full") else "count").share(service, period)
    amount = share.of(money(params["amount"], record)).amount
    return {"amount": shown(amount, record), "precise_amount": amount}


def time_ratio_tz(record: Figures) -> Figures:
    params = record["params"]
    started_on = day_of(record["input"]["started_at"], params["timezone"])
    first_weekday = _WEEKDAYS.index(params.get("week_start", "monday").lower())
    period = calendar_days(started_on, interval(params.get("interval", "week")), week_begins_on=first_weekday)
    share = ProrationRule().share((started_on, period.end_on), (period.first_on, period.end_on))
    amount = share.of(money(params["amount"], record)).amount
    return {
        "amount": shown(amount, record),
        "precise_amount": amount,
        "local_start_date": started_on.isoformat(),
        "days": Decimal(share.part),
        "period_days": Decimal(share.whole),
    }


def ratio(record: Figures) -> Figures:
    params, to_the_second = record["params"], record["params"].get("unit") == "second"
    fixed = int(params.get("fixed_days_in_month") or 0) or None
    service, period = (bounds(record["input"], name, to_the_second=to_the_second) for name in _STRETCHES)
    assert service is not None
    return {"ratio": ProrationRule("count", fixed).share(service, period).factor(int(params.get("scale", 9)))}


def billing_cycles(record: Figures) -> Figures:
    params, given = record["params"], record["input"]
    rule = CycleRule(
        cycle_day=int(params["billing_cycle_day"]),
        interval=interval(params.get("interval", "month")),
        in_advance=params.get("mode", "in_advance") == "in_advance",
        scale=int(params.get("scale", 9)),
        month_days=int(params.get("fixed_days_in_month") or 0) or None,
    )
    end_on = date.fromisoformat(given["end"]) if given.get("end") else None
    target_on = date.fromisoformat(given["target"])
    return {"cycles": rule.due(date.fromisoformat(given["start"]), target_on=target_on, end_on=end_on)}


def change_of_plan(record: Figures) -> Figures:
    params, given = record["params"], record["input"]
    to_the_second, zone = params.get("unit") == "second", params.get("timezone", "UTC")
    full = bounds(given, "period", to_the_second=to_the_second, zone=zone)
    assert full is not None
    changed = instant(given["change_date"]) if to_the_second else day_of(given["change_date"], zone)
    left = ProrationRule("cap").share((changed, full[1]), full) if changed < full[1] else Proportion(0, 1)
    old, new = (money(params.get(name, "0"), record) for name in ("old_amount", "new_amount"))
    change = plan_change(old, new, left=left, new_in_full=bool(params.get("new_full")))
    return {"credit": change.credit.amount, "charge": change.charge.amount, "net": change.net.amount}


def month_ratio(record: Figures) -> Figures:
    given = record["input"]
    last_on = day_of(given["to_inclusive"]) if "to_inclusive" in given else day_of(given["to"]) - _ONE_DAY
    share = month_share(day_of(given["from"]), last_on, record["params"].get("method", "actual"))
    return {"days": Decimal(share.part), "denominator": Decimal(share.whole), "ratio": share.factor(9)}


def partial_months_total(record: Figures) -> Figures:
    given, price = record["input"], money(record["params"]["price_per_month"], record)
    rest = Proportion(int(given.get("prorated_days", 0)), int(given.get("month_days", 30)))
    amount = months_amount(price, full_months=int(given.get("full_months", 0)), rest=rest)
    return {"amount": shown(amount.amount, record), "precise_amount": amount.amount}


def schedule(record: Figures) -> Figures:
    params, given = record["params"], record["input"]
    weights = [Decimal(weight) for weight in given.get("weights") or [1] * int(given["periods"])]
    amount = money(params.get("amount", given.get("amount")), record)
    mode = rounding(params.get("rounding", "half_up"), 0).mode
    mixed = record["model"] == "ratable_mixed" or params.get("method") == "mixed"
    parts = ratable_mixed(amount, weights) if mixed else ratable(amount, weights, mode=mode)
    return {"schedule": [part.amount for part in parts], "amount": amount.amount}


def ladder(record: Figures) -> Graduated:
    tiers = [
        {name: tier.get(name) for name in ("up_to", "unit_amount", "flat_amount")} for tier in record["params"]["tiers"]
    ]
    zero_usage = record["params"].get("zero_usage", "first_tier_flat")
    price = parse_price({"model": "graduated", "tiers": tiers, "zero_usage": zero_usage})
    assert isinstance(price, Graduated)
    return price


def by_slices(record: Figures, moves: "tuple[Move, ...]") -> Figures:
    priced: Priced = slices_amount(ladder(record), moves)
    amount, units = priced.amount, sum((move.units for move in moves), Decimal(0))
    if "round_amount_to" in record["params"]:
        mode = record["params"].get("round_mode", "half_up")
        amount = rounding(mode, record["params"]["round_amount_to"]).apply(amount)
    return {"amount": amount, "effective_unit_amount": effective_unit_amount(priced.amount, units)}


def event_slices(record: Figures) -> Figures:
    events = [(Decimal(each["full"]), Decimal(each["prorated"])) for each in record["input"]["events"]]
    return by_slices(record, tuple(Move(full, prorated, full) for full, prorated in events if full))


def dated_slices(record: Figures) -> Figures:
    given = record["input"]
    if record["params"].get("remainder", "days_inclusive") != "days_inclusive":
        raise NotAdopted("days are counted whole, the day of the event included")
    stay = stay_of(record)
    held = Decimal(given.get("persisted") or 0)
    changes = [(day_of(event["date"]), Decimal(event["quantity"])) for event in given["events"]]
    held += sum((units for day, units in changes if day < stay.days.first_on), Decimal(0))
    within = [(day, units) for day, units in changes if stay.days.first_on <= day < stay.days.end_on]
    return by_slices(record, dated_moves(stay, held, within))


def unique_slices(record: Figures) -> Figures:
    given, stay = record["input"], stay_of(record)
    before = [f"held before, {place}" for place in range(int(given.get("persisted") or 0))]
    changes = [Presence(stay.days.first_on - _ONE_DAY, member, "add") for member in before]
    changes += [Presence(day_of(op["date"]), str(op["id"]), op.get("op", "add")) for op in given["ops"]]
    return by_slices(record, presence_moves(stay, changes))


def stay_of(record: Figures) -> Stay:
    found = bounds(record["input"], "period", to_the_second=False)
    assert found is not None
    counts = {**record["input"], **record["params"]}
    full_days = next((counts[name] for name in ("day_count", "full_days", "period_days") if name in counts), None)
    return Stay(Days(*found), None if full_days is None else int(full_days))


def local_days_between(record: Figures) -> Figures:
    zone, given = record["params"].get("timezone", "UTC"), record["input"]
    if "T" not in given["from"]:
        return {"days": Decimal((day_of(given["to"]) - day_of(given["from"])).days)}
    return {"days": Decimal(days_between(instant(given["from"]), instant(given["to"]), zone))}


def paid_units_delta(record: Figures) -> Figures:
    given = record["input"]
    units = unpaid_units(Decimal(given["new_quantity"]), [Decimal(each) for each in given["paid_units"]])
    price = parse_price({"model": "per_unit", "unit_amount": record["params"]["unit_amount"]})
    return {"billed_units": units, "amount": price.amount_for(units).amount}


CALCULATIONS: Calculations = {
    "time_ratio": time_ratio,
    "time_ratio_tz": time_ratio_tz,
    "ratio": ratio,
    "billing_cycles": billing_cycles,
    "plan_change": change_of_plan,
    "month_ratio": month_ratio,
    "partial_months_total": partial_months_total,
    "ratable_schedule": schedule,
    "ratable_mixed": schedule,
    "graduated_event_slices": event_slices,
    "graduated_dated": dated_slices,
    "graduated_unique_dated": unique_slices,
    "local_days_between": local_days_between,
    "paid_units_delta": paid_units_delta,
}
