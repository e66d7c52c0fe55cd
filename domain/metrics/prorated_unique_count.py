"""Prorated unique count: members that come and go, each for the days of the period on which it was there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from domain.canonical import Json
from domain.metrics.aggregation import Kept, Observation, Span
from domain.metrics.prorated import prorated_unique, proration_of
from domain.metrics.unique_count import ADD, SIGNS, UniqueCount
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class ProratedUniqueCount(UniqueCount):
    """The different values of a property, each by the days it was there: also on the day that it was removed.

    Without `operation` each event adds its value. Who came before the period is there from its first day, if the metric
    is recurring. Kept as members are: `2026-01-31T12:00:00.000000Z + ann`.
    """

    fills_buckets: ClassVar[bool] = False

    def options(self) -> dict[str, Json]:
        """The operation, and that days count."""
        return {**UniqueCount.options(self), "prorate": "days"}

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Observation:
        """The value with its instant and what was done. As `UniqueCount`."""
        return self.operated(properties, happened_at=happened_at)

    def measured(self, kept: Kept, span: Span) -> Measured:
        """Members times days over the days of the period; and how many are left. Raises `AggregateNegative`."""
        operations = []
        for value, _ in kept.counted():
            at, sign, member = value.split(" ", 2)
            operations.append((datetime.fromisoformat(at), member, sign == SIGNS[ADD]))
        left = self.left([value for value, _ in kept.counted()])
        return Measured(prorated_unique(operations, proration_of(span)), unprorated=Decimal(left))
