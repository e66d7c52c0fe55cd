"""Peaks: the greatest value by name, for prices that look at several limits at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from domain.canonical import Json, decimal_text, key_text, plain_text
from domain.metrics.aggregation import Carries, Kept, Observation, Span
from domain.metrics.observed import OfNumber, number_of
from domain.money import ZERO
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class Peaks(OfNumber):
    """The greatest number of each name in the property `by`, and of them all; kept as `number name`: `16 cpu`."""

    by: str
    name: ClassVar[Literal["peaks"]] = "peaks"
    carries: ClassVar[Carries] = "asked"
    fills_buckets: ClassVar[bool] = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Number and name."""
        return (self.property_name, self.by)

    def options(self) -> dict[str, Json]:
        """Where the name is."""
        return {"by": self.by}

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Observation:  # noqa: ARG002
        """Number and name. Raises `QuantityInvalid`."""
        number = decimal_text(number_of(properties, self.property_name))
        return Observation(f"{number} {key_text(plain_text(properties[self.by]))}")

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """The peaks in order of their names, and the greatest. Raises `AggregateNegative`."""
        peaks: dict[str, Decimal] = {}
        for value, _ in kept.counted():
            number, name = value.split(" ", 1)
            peaks[name] = max(peaks.get(name, Decimal(number)), Decimal(number))
        return Measured(max(peaks.values(), default=ZERO), peaks=dict(sorted(peaks.items())))
