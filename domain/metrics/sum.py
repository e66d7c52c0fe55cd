"""Sum: the events' values of a property, added up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from domain.canonical import Json
from domain.metrics.aggregation import Carries, Increment, Kept, Span
from domain.metrics.observed import number_of
from domain.prices.measured import Measured


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of one property; it may be negative."""

    property_name: str
    name: ClassVar[Literal["sum"]] = "sum"
    keeps: ClassVar[Literal["increments"]] = "increments"
    carries: ClassVar[Carries] = "asked"
    fills_buckets: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Its property."""
        return (self.property_name,)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Its property."""
        return (self.property_name,)

    def options(self) -> dict[str, Json]:
        """None."""
        return {}

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Increment:  # noqa: ARG002
        """The property's number, also if it is written as a decimal text. Raises `QuantityInvalid`."""
        return Increment(number_of(properties, self.property_name))

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """The exact sum, what was taken back subtracted."""
        return Measured(kept.total)
