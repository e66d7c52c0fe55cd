"""Metrics of every aggregation on the meter of `usage_line`, and what the domain says that their windows hold."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text
from usage_line import Line

from domain.aggregation import Attribution, WindowKey, kept_windows, measured_windows
from domain.canonical import Json
from domain.errors import Rejection
from domain.metrics import Kept, Metric, Span, parse_metric
from domain.metrics.buckets import buckets_of
from domain.metrics.parsing import options_json
from domain.metrics.register import Register, reading_in
from domain.periods import BillingPeriod, MonthlyCycle
from domain.prices import Measured
from workers import doubts
from workers.rating import Run
from workers.store import rated_usages

ZONE = "America/New_York"
FIELDS = [
    {"name": "minutes", "kind": "decimal", "is_required": False},
    *({"name": name, "kind": "string", "is_required": False, "is_nullable": True} for name in ("caller", "op")),
    {"name": "money", "kind": "decimal", "is_required": False},
    {"name": "region", "kind": "string", "is_required": False},
    {"name": "again", "kind": "boolean", "is_required": False},
]
_OF_MINUTES: Sequence[dict[str, Any]] = (
    {"aggregation": "min"},
    {"aggregation": "max"},
    {"aggregation": "max", "recurring": True},
    {"aggregation": "latest", "negative": "zero"},
    {"aggregation": "latest", "recurring": True, "dimensions": ["region"]},
    {"aggregation": "average"},
    {"aggregation": "weighted_sum"},
    {"aggregation": "weighted_sum", "recurring": True, "dimensions": ["region"]},
    {"aggregation": "percentile", "percent": "75"},
    {"aggregation": "register"},
    {"aggregation": "register", "roll_over_at": "100"},
    {"aggregation": "each", "convert": {"divisor": "60", "rounding": "up", "scale": 0}},
    {"aggregation": "charged", "amount": "money"},
    {"aggregation": "peaks", "by": "caller"},
    {"aggregation": "sum", "recurring": True},
    {"aggregation": "sum", "filter": {"region": ["europe", "asia"]}},
    {"aggregation": "sum", "convert": {"factor": "2", "divisor": "3"}},
    {"aggregation": "sum", "bucket": "hour"},
    {"aggregation": "max", "bucket": "day", "dimensions": ["region"]},
    {"aggregation": "percentile", "percent": "50", "bucket": "month"},
    {"aggregation": "register", "roll_over_at": "1000", "jump_max": "700", "reset": "again", "dimensions": ["region"]},
    {"aggregation": "register", "resets": "allowed"},
    {"aggregation": "weighted_sum", "bucket": "day"},
    {"aggregation": "weighted_sum", "bucket": "month", "recurring": True, "dimensions": ["region"]},
    {"aggregation": "register", "bucket": "day", "roll_over_at": "1000"},
    {"aggregation": "each", "bucket": "day", "convert": {"divisor": "60", "rounding": "up", "scale": 0}},
    {"aggregation": "charged", "amount": "money", "bucket": "day"},
    {"aggregation": "sum", "prorate": "days"},
    {"aggregation": "sum", "prorate": "days", "recurring": True, "dimensions": ["region"]},
)
_OF_CALLERS: Sequence[dict[str, Any]] = (
    {"aggregation": "unique_count", "recurring": True},
    {"aggregation": "unique_count", "operation": "op"},
    {"aggregation": "unique_count", "operation": "op", "recurring": True, "dimensions": ["region"]},
    {"aggregation": "unique_count", "bucket": "day"},
    {"aggregation": "unique_count", "prorate": "days"},
    {"aggregation": "unique_count", "prorate": "days", "operation": "op", "recurring": True},
)
_OF_NOTHING: Sequence[dict[str, Any]] = (
    {"aggregation": "count", "bucket": "hour", "filter": {"op": ["add"]}},
    {"aggregation": "count", "recurring": True, "requires": ["money"]},
)


def _named(definitions: Iterable[dict[str, Any]], property_name: str | None) -> list[Metric]:
    return [
        parse_metric(
            {"name": f"{each['aggregation']} of {property_name} {number}", "meter": "call.ended", "unit": "u"}
            | ({} if property_name is None else {"property": property_name})
            | each
        )
        for number, each in enumerate(definitions)
    ]


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        *_named(_OF_MINUTES, "minutes"), *_named(_OF_CALLERS, "caller"), *_named(_OF_NOTHING, None),
    )
}  # fmt: skip


def insert(conn: Connection, metrics: Iterable[Metric]) -> None:
    """Insert the metrics as `master load` does."""
    for metric in metrics:
        conn.execute(
            text("""insert into metrics (name, meter_id, aggregation, property, requires, dimensions, unit, options)
                 select :name, id, :aggregation, :property, :requires, :dimensions, :unit, cast(:options as jsonb)
                 from meters where name = :meter"""),
            {
                "name": metric.name, "meter": metric.meter, "aggregation": metric.aggregation.name,
                "property": metric.aggregation.property_name, "requires": list(metric.requires),
                "dimensions": list(metric.dimensions), "unit": metric.unit,
                "options": json.dumps(options_json(metric)),
            },
        )  # fmt: skip


def publish(line: Line, metrics: Iterable[Metric] = METRICS.values()) -> None:
    """Put the metrics, and a price of each under every contract version, on an empty line."""
    with line.owner.begin() as conn:
        conn.execute(text("update meter_versions set fields = cast(:fields as jsonb)"), {"fields": json.dumps(FIELDS)})
        conn.exec_driver_sql("insert into dimensions (name, owner) values ('region', 'finance') on conflict do nothing")
        insert(conn, metrics)
        conn.exec_driver_sql(
            """insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
               select v.id, m.id, '{"model": "per_unit", "unit_amount": "1"}', 'standard', 'revenue:calls'
               from contract_versions v cross join metrics m"""
        )


def period_of(happened_at: datetime) -> BillingPeriod:
    return MonthlyCycle(ZONE).period_at(happened_at)


def _attribution(metric: Metric, subject: str, happened_at: datetime, data: Mapping[str, Json]) -> Attribution | None:
    """What enrich makes of the event under the metric: nothing, if it is not taken or is an exception."""
    if not metric.takes(data):
        return None
    try:
        contribution = metric.contribution(data, happened_at=happened_at)
    except Rejection:
        return None
    period, grain = period_of(happened_at), None
    if metric.bucket is not None:
        (grain,) = (each.starts_at for each in buckets_of(period, metric.bucket) if each.contains(happened_at))
    return Attribution(
        WindowKey(subject, 1, metric.name, metric.dimension_text(data), period.days.first_on, grain), 1, contribution
    )


def expected(events: Iterable[tuple[str, datetime, Mapping[str, Json]]]) -> dict[WindowKey, Measured]:
    """What each period's window measures, of usage and of what carries over, by the rules of the domain alone."""
    events = list(events)
    found = [
        each
        for subject, happened_at, data in events
        for metric in METRICS.values()
        if (each := _attribution(metric, subject, happened_at, data)) is not None
    ]
    kept, spans = kept_windows(found, through_lot=1), dict[Any, Span]()
    for _, happened_at, _ in events:
        period = period_of(happened_at)
        spans[period.days.first_on] = Span.whole(period)
    for key in list(kept):
        later = spans if METRICS[key.metric].carries_over else ()
        for first_on in later:
            if first_on > key.period_starts_on:
                kept.setdefault(WindowKey(*_terms(key), first_on), Kept())
    return measured_windows(undoubted(kept), METRICS, spans)


def undoubted(kept: Mapping[WindowKey, Kept]) -> dict[WindowKey, Kept]:
    """Without the readings of registers that the rules refuse: they wait as exceptions."""
    whole: dict[tuple[str, str, str], Kept] = {}
    for key, each in kept.items():
        register = key.subscription_id, key.metric, key.dimensions
        whole[register] = whole.get(register, Kept()) + each
    left = dict(kept)
    for key in kept:
        aggregation = METRICS[key.metric].aggregation
        if isinstance(aggregation, Register):
            readings = aggregation.read(whole[key.subscription_id, key.metric, key.dimensions])
            refused = {reading for reading, _ in readings.refused}
            values = {value: n for value, n in kept[key].values.items() if reading_in(value) not in refused}
            left[key] = Kept(values=values)
    return left


def settle_doubts(line: Line) -> None:
    """Look at the readings of every period until there is nothing to do, as each is before it is frozen."""
    for (period,) in line.rows("select id from billing_periods order by starts_at"):
        while doubts.look_now(period):  # type: ignore[arg-type]
            line.run("aggregate")


def _terms(key: WindowKey) -> tuple[str, int, str, str]:
    return key.subscription_id, key.contract_version, key.metric, key.dimensions


def found(line: Line) -> dict[WindowKey, Measured]:
    """What `rate` would read of every subscription and period, in one batch."""
    pairs = line.rows(
        """select s.id, s.ref, s.contract_id, p.id, p.starts_on from subscriptions s
             join billing_periods p on p.cycle_id = s.cycle_id
             where exists (select from aggregates g where g.subscription_id = s.id) order by 1, 4"""
    )
    runs = [Run(number, 0, row[3], 1, row[0], row[2], "USD") for number, row in enumerate(pairs)]  # type: ignore[arg-type]
    with line.engine.connect() as conn:
        windows = rated_usages.windows(conn, runs)
    return {
        WindowKey(f"k{str(row[1])[1:]}", 1, window.metric, window.dimensions, row[4]): window.measured  # type: ignore[arg-type]
        for number, row in enumerate(pairs)
        for window in windows.get(number, ())
        if window.metric in METRICS
    }
