"""Aggregation: which window usage belongs to, and what all windows must hold, computed anew from attributions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from domain.metrics import Contribution, Kept, Metric, Span
from domain.periods import EVER
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True, order=True)
class WindowKey:
    """What usage is aggregated by; `dimensions` as `Metric.dimension_text`.

    The grain is the whole billing period; a metric that is taken of each hour, day or month has one for each of them.
    """

    subscription_id: str
    contract_version: int
    metric: str
    dimensions: str
    period_starts_on: date
    grain_starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attribution:
    """That an event's contribution belongs to a window and arrived in a lot; -1 takes back what a +1 gave."""

    key: WindowKey
    lot: int
    contribution: Contribution
    sign: int = 1


def kept_windows(attributions: Iterable[Attribution], *, through_lot: int) -> dict[WindowKey, Kept]:
    """What each window holds in the lots up to and including `through_lot`; the sealed ones never change."""
    by_window: dict[WindowKey, list[tuple[Contribution, int]]] = {}
    for attribution in attributions:
        if attribution.lot <= through_lot:
            by_window.setdefault(attribution.key, []).append((attribution.contribution, attribution.sign))
    return {key: Kept.of(signed) for key, signed in by_window.items()}


def measured_windows(
    kept: Mapping[WindowKey, Kept], metrics: Mapping[str, Metric], spans: Mapping[date, Span]
) -> dict[WindowKey, Measured]:
    """The quantity of each period's window, its grains put together: what rating must have read.

    `metrics` by name, `spans` by the first day of the period. Where a metric carries over, all that was kept of the
    same subscription, metric and dimensions before the period's end counts. Raises `AggregateNegative`.
    """
    grains: dict[WindowKey, list[WindowKey]] = {}
    for key in sorted(kept, key=lambda key: key.grain_starts_at or EVER):
        grains.setdefault(replace(key, grain_starts_at=None), []).append(key)
    measured = {}
    for whole, own in grains.items():
        metric = metrics[whole.metric]
        counted = [key for key in kept if _is_carried(key, whole)] if metric.carries_over else own
        starts = [key.grain_starts_at for key in counted]
        measured[whole] = metric.measured([kept[key] for key in counted], spans[whole.period_starts_on], starts=starts)
    return measured


def recomputed(
    attributions: Iterable[Attribution],
    metrics: Mapping[str, Metric],
    spans: Mapping[date, Span],
    *,
    through_lot: int,
) -> dict[WindowKey, Measured]:
    """`measured_windows` through a lot, from nothing but attributions."""
    return measured_windows(kept_windows(attributions, through_lot=through_lot), metrics, spans)


def _is_carried(key: WindowKey, whole: WindowKey) -> bool:
    """Whether what a window keeps counts in a period's window of a metric that carries over."""
    same = (whole.subscription_id, whole.metric, whole.dimensions)
    return (key.subscription_id, key.metric, key.dimensions) == same and key.period_starts_on <= whole.period_starts_on
