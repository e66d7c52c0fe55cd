"""Whole: what a metric comes to over all dimensions that its usage is kept apart by, as a limit counts it."""

from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import Final, TypeVar

from domain.metrics.aggregation import Kept, Span
from domain.metrics.metric import Metric
from domain.money import EXACT, ZERO

#: Each set of dimensions is a level or a counter of its own, so what they show is added up. Of all other aggregations
#: the usage is put together first: a value that is there twice counts once, a greatest one is the greatest of all.
APART: Final = frozenset({"latest", "register", "weighted_sum"})
Grain = TypeVar("Grain", bound=Hashable)


def whole(metric: Metric, kept: Mapping[str, Mapping[Grain, Kept]], span: Span) -> Decimal:
    """The quantity of what was kept, by dimensions and within them by time bucket. Raises `AggregateNegative`."""
    total = ZERO
    for grains in kept.values() if metric.aggregation.name in APART else [_together(kept)]:
        total = EXACT.add(total, metric.measured(list(grains.values()), span).quantity)
    return total


def _together(kept: Mapping[str, Mapping[Grain, Kept]]) -> Mapping[Grain, Kept]:
    found: dict[Grain, Kept] = {}
    for grains in kept.values():
        for grain, each in grains.items():
            found[grain] = found.get(grain, Kept()) + each
    return found
