"""Weighted sum: a level that events raise and lower, averaged over the time of the period."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar, Final, Literal

from domain.metrics.aggregation import Carries, Kept, Span
from domain.metrics.observed import OfReading, readings_of
from domain.money import EXACT, QUOTIENT, ZERO
from domain.prices.measured import Measured

_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class WeightedSum(OfReading):
    """Each event changes a level by its number; the quantity is the level's mean over the period: GB-months, say.

    What changed before the period counts over all of it. Where the subscription ends in the period, the level ends too.
    """

    name: ClassVar[Literal["weighted_sum"]] = "weighted_sum"
    carries: ClassVar[Carries] = "asked"
    fills_buckets: ClassVar[bool] = False

    def measured(self, kept: Kept, span: Span) -> Measured:
        """The mean level: exact in microseconds, divided once, cut at `money.QUOTIENT_DIGITS` digits.

        Raises `AggregateNegative`.
        """
        total = ZERO
        for happened_at, number, times in readings_of(kept):
            ticks = max((span.ends_at - max(happened_at, span.period.starts_at)) // _TICK, 0)
            total = EXACT.add(total, EXACT.multiply(number, Decimal(ticks * times)))
        length = (span.period.ends_at - span.period.starts_at) // _TICK
        return Measured(QUOTIENT.divide(total, Decimal(length)))
