"""Aggregation: which window usage belongs to, and what all windows must hold, computed anew from attributions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.metrics import Contribution, Kept, Metric


@dataclass(frozen=True, slots=True, order=True)
class WindowKey:
    """What usage is aggregated by: one grain, the whole billing period; `dimensions` as `Metric.dimension_text`."""

    subscription_id: str
    contract_version: int
    metric: str
    dimensions: str
    period_starts_on: date


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


def recomputed(
    attributions: Iterable[Attribution], metrics: Mapping[str, Metric], *, through_lot: int
) -> dict[WindowKey, Decimal]:
    """The quantity of each window through a lot, from nothing but its attributions: what rating must have read.

    `metrics` by name. Raises `AggregateNegative`.
    """
    kept = kept_windows(attributions, through_lot=through_lot)
    return {key: metrics[key.metric].aggregation.quantity(held) for key, held in kept.items()}
