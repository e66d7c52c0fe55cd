"""Count: each event is one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final, Literal

from domain.canonical import Json
from domain.metrics.aggregation import Carries, Increment, Kept, Span
from domain.prices.measured import Measured

_ONE: Final = Increment(Decimal(1))


@dataclass(frozen=True, slots=True)
class Count:
    """How many events."""

    name: ClassVar[Literal["count"]] = "count"
    keeps: ClassVar[Literal["increments"]] = "increments"
    carries: ClassVar[Carries] = "asked"
    fills_buckets: ClassVar[bool] = True
    property_name: ClassVar[None] = None
    needs: ClassVar[tuple[str, ...]] = ()
    numbers: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ()

    def options(self) -> dict[str, Json]:
        """None."""
        return {}

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Increment:  # noqa: ARG002
        """One."""
        return _ONE

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """The number of events, those taken back left out."""
        return Measured(kept.total)
