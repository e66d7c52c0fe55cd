"""Count: each event is one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final, Literal

from domain.canonical import Json
from domain.metrics.aggregation import Increment, Kept

_ONE: Final = Increment(Decimal(1))


@dataclass(frozen=True, slots=True)
class Count:
    """How many events."""

    name: ClassVar[Literal["count"]] = "count"
    keeps: ClassVar[Literal["increments"]] = "increments"
    property_name: ClassVar[None] = None

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Increment:  # noqa: ARG002
        """One."""
        return _ONE

    def quantity(self, kept: Kept) -> Decimal:
        """The number of events, those taken back left out."""
        return kept.total
