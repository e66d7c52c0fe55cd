"""Min: the least value of a property."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from domain.metrics.aggregation import Carries, Kept, Span
from domain.metrics.observed import OfNumber, numbers_of
from domain.money import ZERO
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class Min(OfNumber):
    """The least number seen."""

    name: ClassVar[Literal["min"]] = "min"
    carries: ClassVar[Carries] = "asked"

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """The least number. Raises `AggregateNegative`."""
        return Measured(min((number for number, _ in numbers_of(kept)), default=ZERO))
