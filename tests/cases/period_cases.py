"""Published proration and periods by our own calendar."""

from datetime import date
from decimal import Decimal

from case_figures import Calculations, Figures

from domain.events import parse_instant
from domain.money import Money, proportion
from domain.periods import Days, MonthlyCycle, Window, days_between, prorated, prorated_by_time


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


CALCULATIONS: Calculations = {
    "time_ratio": time_ratio,
    "local_days_between": local_days_between,
    "anchored_sequence": anchored_sequence,
}
