"""Published aggregates by our own metrics."""

from decimal import Decimal

from case_figures import Calculations, Figures, NotAdopted

from domain.events import parse_instant
from domain.metrics import Kept, Metric
from domain.metrics.count import Count
from domain.metrics.sum import Sum
from domain.metrics.unique_count import UniqueCount
from domain.periods import Window


def aggregated(record: Figures, metric: Metric, *, property_name: str) -> Figures:
    given = record["input"]
    if record["params"].get("recurring"):
        raise NotAdopted("what was kept before the period")
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


CALCULATIONS: Calculations = {
    "count": lambda record: aggregated(record, Metric("m", "m", Count(), "u"), property_name="value"),
    "sum": lambda record: aggregated(record, Metric("m", "m", Sum("value"), "u"), property_name="value"),
    "unique_count": lambda record: aggregated(record, Metric("m", "m", UniqueCount("value"), "u"), property_name="id"),
}
