"""Latest: the value of a property that was seen last."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from domain.metrics.aggregation import Carries, Kept, Span
from domain.metrics.observed import OfReading, readings_of
from domain.money import ZERO
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class Latest(OfReading):
    """The number of the event that happened last; of several at one instant the greatest."""

    name: ClassVar[Literal["latest"]] = "latest"
    carries: ClassVar[Carries] = "asked"

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """The last number. Raises `AggregateNegative`."""
        readings = readings_of(kept)
        return Measured(readings[-1][1] if readings else ZERO)
