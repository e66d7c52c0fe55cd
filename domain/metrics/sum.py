"""Sum: the events' values of a property, added up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from domain.canonical import Json, number_in
from domain.metrics.aggregation import Increment, Kept, QuantityInvalid


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of one property; it may be negative."""

    property_name: str
    name: ClassVar[Literal["sum"]] = "sum"
    keeps: ClassVar[Literal["increments"]] = "increments"

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Increment:  # noqa: ARG002
        """The property's number, also if it is written as a decimal text. Raises `QuantityInvalid`."""
        quantity = number_in(properties[self.property_name])
        if quantity is None:
            shown = f"{properties[self.property_name]!r:.40}"
            raise QuantityInvalid(f"{self.property_name} is {shown}, not a number", field=self.property_name)
        return Increment(quantity)

    def quantity(self, kept: Kept) -> Decimal:
        """The exact sum, what was taken back subtracted."""
        return kept.total
