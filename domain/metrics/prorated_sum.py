"""Prorated sum: units that come and go, each for the days of the period that it was there."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from domain.canonical import Json
from domain.metrics.aggregation import Carries, Kept, Span
from domain.metrics.observed import OfReading, readings_of
from domain.metrics.prorated import prorated_sum, proration_of
from domain.money import EXACT, ZERO
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class ProratedSum(OfReading):
    """The sum of a property, each event from its day on: 10 seats of the 21st of a month of 30 days are 10 / 3.

    What came before the period counts for all of it, if the metric is recurring. Kept with the instant.
    """

    name: ClassVar[Literal["sum"]] = "sum"
    carries: ClassVar[Carries] = "asked"
    fills_buckets: ClassVar[bool] = False

    def options(self) -> dict[str, Json]:
        """That days count."""
        return {"prorate": "days"}

    def measured(self, kept: Kept, span: Span) -> Measured:
        """Units times days over the days of the period, divided once; and the units. Raises `AggregateNegative`."""
        units = [(at, EXACT.multiply(number, times)) for at, number, times in readings_of(kept)]
        whole = ZERO
        for _, number in units:
            whole = EXACT.add(whole, number)
        return Measured(prorated_sum(units, proration_of(span)), unprorated=whole)
