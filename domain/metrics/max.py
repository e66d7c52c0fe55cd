"""Max: the greatest value of a property."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from domain.metrics.aggregation import Carries, Kept, Span
from domain.metrics.observed import OfNumber, numbers_of
from domain.money import ZERO
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class Max(OfNumber):
    """The greatest number seen."""

    name: ClassVar[Literal["max"]] = "max"
    carries: ClassVar[Carries] = "asked"

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """The greatest number. Raises `AggregateNegative`."""
        return Measured(max((number for number, _ in numbers_of(kept)), default=ZERO))
