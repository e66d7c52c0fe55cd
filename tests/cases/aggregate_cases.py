"""Published aggregates by our own metrics."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from case_figures import Calculations, Figures

from domain.events import parse_instant
from domain.metrics import Contribution, Kept, Metric, Span, parse_metric
from domain.metrics.aggregation import QuantityInvalid
from domain.metrics.metric import QuantityMissing
from domain.metrics.prorated import Proration, prorated_sum, prorated_unique
from domain.money import EXACT, QUOTIENT, rounded_to
from domain.periods import BillingPeriod, Days, Window
from domain.units import Rounding


def metric_of(record: Figures, aggregation: str, **options: Any) -> Metric:
    """The metric whose definition says what the record's parameters say."""
    params = record["params"]
    fields = {"name": "m", "meter": "m", "aggregation": aggregation, "unit": "u", **options}
    fields |= {name: params[name] for name in ("filter", "recurring", "negative") if params.get(name)}
    if aggregation != "count":
        fields.setdefault("property", "value")
    return parse_metric(fields)


def period_of(record: Figures) -> Window:
    return Window(parse_instant(record["input"]["period_from"]), parse_instant(record["input"]["period_to"]))


def span_of(period: Window) -> Span:
    """The period of a subscription that goes on, by the days of UTC."""
    days = Days(period.starts_at.date(), (period.ends_at - timedelta(microseconds=1)).date() + timedelta(days=1))
    return Span.whole(BillingPeriod("UTC", days, period))


def taken(record: Figures, metric: Metric) -> Iterator[tuple[datetime, Contribution, Figures]]:
    """What the line would attribute: an event without a number is an exception, and contributes nothing."""
    for given in record["input"]["events"]:
        event = {name: Decimal(str(value)) if isinstance(value, float) else value for name, value in given.items()}
        happened_at = parse_instant(event["timestamp"])
        if metric.takes(event):
            try:
                yield happened_at, metric.contribution(event, happened_at=happened_at), event
            except (QuantityMissing, QuantityInvalid):
                continue


def aggregated(aggregation: str, **options: Any) -> Callable[[Figures], Figures]:
    def calculate(record: Figures) -> Figures:
        metric, period = metric_of(record, aggregation, **options), period_of(record)
        found = [each for each in taken(record, metric) if each[0] < period.ends_at]
        inside = [each for each in found if period.contains(each[0])]
        counted = found if metric.carries_over else inside
        kept = Kept.of((contribution, 1) for _, contribution, _ in counted)
        quantity = metric.measured([kept], span_of(period)).quantity
        unit_amount = Decimal(record["params"].get("unit_amount", "0"))
        priced = rounded_to(EXACT.multiply(quantity, unit_amount), 2)
        return {"value": quantity, "count": Decimal(len(inside)), "priced_amount": priced}

    return calculate


def weighted_sum(record: Figures) -> Figures:
    """The level before the period is an event before it; the level at its end is the plain sum."""
    metric, period = metric_of(record, "weighted_sum"), period_of(record)
    before = {"value": record["params"].get("initial_value", "0")}
    counted = [(metric.contribution(before, happened_at=period.starts_at - timedelta(days=1)), before)]
    inside = 0
    for happened_at, contribution, event in taken(record, metric):
        if period.contains(happened_at) or (metric.carries_over and happened_at < period.ends_at):
            counted.append((contribution, event))
            inside += period.contains(happened_at)
    quantity = metric.measured([Kept.of((each, 1) for each, _ in counted)], span_of(period)).quantity
    unit_amount = Decimal(record["params"].get("unit_amount", "0"))
    return {
        "value": quantity,
        "count": Decimal(inside),
        "end_level": sum((Decimal(event["value"]) for _, event in counted), Decimal(0)),
        "priced_amount": rounded_to(EXACT.multiply(quantity, unit_amount), 2),
    }


def weighted_sum_grouped(record: Figures) -> Figures:
    metric = metric_of(record, "weighted_sum", dimensions=["group"])
    period = period_of(record)
    groups: dict[str | None, list[Contribution]] = {}
    initial = record["params"].get("initial_value", "0")
    for happened_at, contribution, event in taken(record, metric):
        if period.contains(happened_at) or (metric.carries_over and happened_at < period.ends_at):
            assert metric.dimension_text(event)
            level = {"value": initial.get(event["group"], "0") if isinstance(initial, dict) else initial}
            before = metric.contribution(level, happened_at=period.starts_at - timedelta(days=1))
            groups.setdefault(event["group"], [before]).append(contribution)
    span = span_of(period)
    return {
        "groups": {
            group: metric.measured([Kept.of((each, 1) for each in of)], span).quantity for group, of in groups.items()
        }
    }


def proration_of(record: Figures) -> Proration:
    params = record["params"]
    scale = params.get("ceil_scale")
    rounding = Rounding() if scale is None else Rounding("ceiling", int(scale))
    zone = params.get("timezone", record["input"].get("timezone", "UTC"))
    return Proration(period_of(record), zone, int(params["day_count"]), rounding)


def by_days(record: Figures, aggregation: str, **options: Any) -> Decimal:
    """What the line measures of a period whose days are the day count."""
    scale = record["params"].get("ceil_scale")
    convert = {} if scale is None else {"convert": {"divisor": "1", "rounding": "up", "scale": int(scale)}}
    metric, proration = metric_of(record, aggregation, prorate="days", **options, **convert), proration_of(record)
    period = BillingPeriod(proration.zone, proration.days, proration.period)
    kept = Kept.of((each, 1) for at, each, _ in taken(record, metric) if at < period.ends_at)
    return metric.measured([kept], Span.whole(period)).quantity


def prorated_units(record: Figures) -> Figures:
    metric, proration = metric_of(record, "sum"), proration_of(record)
    units = [(at, Decimal(str(event["value"]))) for at, _, event in taken(record, metric)]
    full = sum((number for at, number in units if at < proration.period.ends_at), Decimal(0))
    is_whole = proration.days.count == proration.day_count
    value = by_days(record, "sum") if is_whole else prorated_sum(units, proration)
    return {"value": value, "full_units": full}


def prorated_members(record: Figures) -> Figures:
    metric = metric_of(record, "unique_count", property="id", operation="op")
    operations = [(at, event["id"], event.get("op") != "remove") for at, _, event in taken(record, metric)]
    proration = proration_of(record)
    here = Kept.of((each, 1) for at, each, _ in taken(record, metric) if at < proration.period.ends_at)
    full = metric.measured([here], span_of(proration.period)).quantity
    is_whole = proration.days.count == proration.day_count
    members = by_days(record, "unique_count", property="id", operation="op") if is_whole else None
    return {"value": prorated_unique(operations, proration) if members is None else members, "full_units": full}


def byte_hours(record: Figures) -> Figures:
    """A level of bytes over hours, in a greater unit: every product exact, divided once."""
    (levels,) = (given for given in record["input"].values() if isinstance(given, list))
    total, divisor = Decimal(0), Decimal(1)
    for each in levels:
        total = EXACT.add(total, EXACT.multiply(Decimal(str(each["bytes"])), Decimal(str(each["hours"]))))
    for each in record["params"].get("divisors", ()):
        divisor = EXACT.multiply(divisor, Decimal(str(each)))
    return {"value": QUOTIENT.divide(total, divisor)}


CALCULATIONS: Calculations = {
    "count": aggregated("count"),
    "sum": aggregated("sum"),
    "max": aggregated("max"),
    "latest": aggregated("latest"),
    "unique_count": aggregated("unique_count", property="id", operation="op"),
    "weighted_sum": weighted_sum,
    "weighted_sum_grouped": weighted_sum_grouped,
    "prorated_sum": prorated_units,
    "prorated_unique": prorated_members,
    "byte_hours": byte_hours,
}
