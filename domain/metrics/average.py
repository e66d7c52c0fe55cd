"""Average: the mean of a property over the events."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from domain.metrics.aggregation import Kept, Span
from domain.metrics.observed import OfNumber, numbers_of
from domain.money import EXACT, QUOTIENT, ZERO
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class Average(OfNumber):
    """The sum of the numbers divided by how many there were; each event weighs the same."""

    name: ClassVar[Literal["average"]] = "average"

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """The mean, cut at `money.QUOTIENT_DIGITS` digits. Raises `AggregateNegative`."""
        total, events = ZERO, 0
        for number, times in numbers_of(kept):
            total, events = EXACT.add(total, EXACT.multiply(number, Decimal(times))), events + times
        return Measured(QUOTIENT.divide(total, Decimal(events)) if events else ZERO)
