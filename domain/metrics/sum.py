"""Sum: the events' values of a property, added up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from domain.canonical import Json, decimal_of
from domain.metrics.aggregation import Increment, QuantityInvalid, Signed, summed


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of one property; it may be negative."""

    property_name: str
    name: ClassVar[Literal["sum"]] = "sum"
    keeps: ClassVar[Literal["increments"]] = "increments"

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Increment:  # noqa: ARG002
        """The property's number. Raises `QuantityInvalid` for anything but a number, also for a number in quotes."""
        value = properties[self.property_name]
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise QuantityInvalid(f"{self.property_name} is {value!r:.40}, not a number", field=self.property_name)
        return Increment(decimal_of(value))

    def quantity(self, contributions: Iterable[Signed]) -> Decimal:
        """The exact sum, what was taken back subtracted."""
        return summed(contributions)
