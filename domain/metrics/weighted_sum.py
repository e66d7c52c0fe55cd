"""Weighted sum: a level that events raise and lower, averaged over the time of the period."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Final, Literal

from domain.metrics.aggregation import Carries, Kept, Span
from domain.metrics.buckets import Bucket
from domain.metrics.observed import CarriesOn, readings_of
from domain.money import EXACT, QUOTIENT, ZERO
from domain.prices.measured import Measured

_ONE: Final = Decimal(1)
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class WeightedSum(CarriesOn):
    """Each event changes a level by its number; the quantity is the level's mean over the period: GB-months, say.

    What changed before the period counts over all of it. Where the subscription ends in the period, the level ends too.
    By the bucket it is the mean level of each, and their sum: GB-hours, say.
    """

    name: ClassVar[Literal["weighted_sum"]] = "weighted_sum"
    carries: ClassVar[Carries] = "asked"

    def measured(self, kept: Kept, span: Span) -> Measured:
        """The mean level: exact in microseconds, divided once, cut at `money.QUOTIENT_DIGITS` digits.

        Raises `AggregateNegative`.
        """
        total = ZERO
        for happened_at, number, times in readings_of(kept):
            since = max(happened_at, span.period.starts_at)
            total = EXACT.add(total, _over(_times(number, times), since, span.ends_at))
        return Measured(QUOTIENT.divide(total, _over(_ONE, span.period.starts_at, span.period.ends_at)))

    def by_bucket(self, kept: Kept, span: Span, bucket: Bucket) -> Iterator[tuple[datetime, Decimal]]:
        """The mean level of each bucket that has one or holds an event, each divided once. As `measured`."""
        changes = iter(readings_of(kept))
        change, level = next(changes, None), ZERO
        for window in span.buckets(bucket):
            ends_at, is_used = min(window.ends_at, span.ends_at), False
            total = _over(level, window.starts_at, ends_at)
            while change is not None and change[0] < window.ends_at:
                happened_at, moved = change[0], _times(*change[1:])
                total = EXACT.add(total, _over(moved, max(happened_at, window.starts_at), ends_at))
                is_used = is_used or happened_at >= window.starts_at
                level, change = EXACT.add(level, moved), next(changes, None)
            mean = QUOTIENT.divide(total, _over(_ONE, window.starts_at, window.ends_at))
            if mean or is_used:
                yield window.starts_at, mean


def _times(number: Decimal, times: int) -> Decimal:
    return EXACT.multiply(number, Decimal(times))


def _over(level: Decimal, since: datetime, until: datetime) -> Decimal:
    """A level times the microseconds from one instant to another; nothing where that is none."""
    return EXACT.multiply(level, Decimal(max((until - since) // _TICK, 0)))
