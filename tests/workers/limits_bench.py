"""A feature of each metric for every contract, with a limit; and what the domain says was used of it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from metrics_bench import METRICS, period_of
from sqlalchemy import text
from usage_line import Line

from domain.canonical import Json
from domain.entitlements import Decision
from domain.errors import Rejection
from domain.metrics import Contribution, Kept, Metric, Span
from domain.metrics.buckets import buckets_of
from domain.metrics.whole import whole
from workers.store import entitlements

Call = tuple[datetime, Mapping[str, Json]]


def limit(line: Line, quantity: str, *, thresholds: str = "{80,100}", rollover_max: str = "0") -> None:
    """Publish a feature for each metric, under the metric's name, limited for every contract."""
    with line.owner.begin() as conn:
        conn.exec_driver_sql(
            """insert into features (name, kind, metric_id, owner)
               select name, 'metered', id, 'x' from metrics order by id"""
        )
        conn.execute(
            text("""insert into entitlements (feature_id, kind, contract_version_id, limit_quantity, enforcement,
                   rollover_max, thresholds)
                 select f.id, 'metered', v.id, cast(:quantity as numeric), 'hard', cast(:rollover_max as numeric),
                   cast(:thresholds as integer[]) from features f, contract_versions v"""),
            {"quantity": quantity, "thresholds": thresholds, "rollover_max": rollover_max},
        )


def check(line: Line, feature: str, at: datetime, *, subscription: str = "s1") -> Decision:
    """What a check answers, in a session of its own."""
    with line.engine.begin() as conn:
        return entitlements.check(conn, subscription, feature, at)


def now(line: Line) -> datetime:
    """The database's clock."""
    found = line.value("select clock_timestamp()")
    assert isinstance(found, datetime)
    return found.astimezone(UTC)


def expected(metric: Metric, calls: Iterable[Call], at: datetime) -> Decimal:
    """What was used in the period of the instant up to it, by the rules of the domain alone."""
    period, kept = period_of(at), dict[str, dict[datetime | None, list[Contribution]]]()
    for happened_at, data in calls:
        own = period_of(happened_at)
        is_mine = own == period or (metric.carries_over and own.starts_at < period.starts_at)
        if not is_mine or not metric.takes(data):
            continue
        try:
            contribution = metric.contribution(data, happened_at=happened_at)
        except Rejection:
            continue
        grain = None
        if metric.bucket is not None:
            (grain,) = (each.starts_at for each in buckets_of(own, metric.bucket) if each.contains(happened_at))
        kept.setdefault(metric.dimension_text(data), {}).setdefault(grain, []).append(contribution)
    held = {
        dimensions: {grain: Kept.of((each, 1) for each in found) for grain, found in grains.items()}
        for dimensions, grains in kept.items()
    }
    until = at if metric.aggregation.name == "weighted_sum" else period.ends_at
    return whole(metric, held, Span(period, until))


ALL = tuple(METRICS.values())
