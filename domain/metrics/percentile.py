"""Percentile: the least value below or at which so many percent of the events lie."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import ClassVar, Final, Literal

from domain.canonical import Json, decimal_text
from domain.metrics.aggregation import Kept, Span
from domain.metrics.observed import OfNumber, numbers_of
from domain.money import EXACT, ZERO
from domain.prices.measured import Measured

PERCENT_MAX: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Percentile(OfNumber):
    """By nearest rank, as bandwidth is billed: of n numbers in order the one at n x percent / 100, rounded up.

    It is always a number that was seen, so a customer finds it among the readings; nothing is interpolated.
    """

    percent: Decimal
    name: ClassVar[Literal["percentile"]] = "percentile"

    def __post_init__(self) -> None:
        assert 0 < self.percent <= PERCENT_MAX, self.percent

    def options(self) -> dict[str, Json]:
        """The percent."""
        return {"percent": decimal_text(self.percent)}

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """The number at the rank. Raises `AggregateNegative`."""
        numbers = sorted(numbers_of(kept))
        events = sum(times for _, times in numbers)
        rank = EXACT.multiply(self.percent, Decimal(events)).scaleb(-2, EXACT).to_integral_value(ROUND_CEILING)
        upto = 0
        for number, times in numbers:
            upto += times
            if upto >= rank:
                return Measured(number)
        return Measured(ZERO)
