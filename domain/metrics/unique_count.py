"""Unique count: how many different values a property had."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

from domain.canonical import Json, key_text, plain_text
from domain.metrics.aggregation import Kept, Observation


@dataclass(frozen=True, slots=True)
class UniqueCount:
    """The number of different values of one property; two windows' results can never be added."""

    property_name: str
    name: ClassVar[Literal["unique_count"]] = "unique_count"
    keeps: ClassVar[Literal["values"]] = "values"

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Observation:  # noqa: ARG002
        """The property's value as plain text, or what stands for one that is too long to be counted by."""
        return Observation(key_text(plain_text(properties[self.property_name])))

    def quantity(self, kept: Kept) -> Decimal:
        """How many values are left. Raises `AggregateNegative` if one was taken back too often."""
        return Decimal(len(list(kept.values_seen())))
