"""Each: every event's quantity by itself, for prices that look at single events."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from domain.metrics.aggregation import Kept, Span
from domain.metrics.observed import OfReading, readings_of
from domain.money import EXACT, ZERO
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class Each(OfReading):
    """The numbers of the events in order of time, and their sum; of several at one instant the lesser comes first."""

    name: ClassVar[Literal["each"]] = "each"

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """The sum, and the events. Raises `AggregateNegative`."""
        events = tuple(number for _, number, times in readings_of(kept) for _ in range(times))
        total = ZERO
        for number in events:
            total = EXACT.add(total, number)
        return Measured(total, events=events)
