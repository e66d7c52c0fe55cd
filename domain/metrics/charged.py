"""Charged: units that come with the money they cost, as an upstream system has priced them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from domain.canonical import Json, decimal_text
from domain.metrics.aggregation import Kept, Observation, Span
from domain.metrics.observed import OfNumber, number_of
from domain.money import EXACT, ZERO
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class Charged(OfNumber):
    """The sum of units, and of the amounts in the property `amount`; kept as `units amount`: `0.5 1.25`."""

    amount: str
    name: ClassVar[Literal["charged"]] = "charged"

    @property
    def needs(self) -> tuple[str, ...]:
        """Units and amount."""
        return (self.property_name, self.amount)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Units and amount."""
        return (self.property_name, self.amount)

    def options(self) -> dict[str, Json]:
        """Where the amount is."""
        return {"amount": self.amount}

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Observation:  # noqa: ARG002
        """Both numbers. Raises `QuantityInvalid`."""
        return Observation(" ".join(decimal_text(number_of(properties, name)) for name in self.numbers))

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """Both sums. Raises `AggregateNegative`."""
        sums = [ZERO, ZERO]
        for value, times in kept.counted():
            for place, number in enumerate(value.split(" ")):
                sums[place] = EXACT.add(sums[place], EXACT.multiply(Decimal(number), Decimal(times)))
        return Measured(sums[0], amount=sums[1])
