"""Unique count: how many different values a property had, or are left of those that were added and removed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Final, Literal

from domain.canonical import Json, key_text, plain_text
from domain.metrics.aggregation import Carries, Kept, Observation, QuantityInvalid, Span
from domain.metrics.observed import instant_text
from domain.prices.measured import Measured

ADD: Final = "add"
REMOVE: Final = "remove"
#: What an operation is kept as; a plus sorts before a minus, so at one instant what is added can be removed.
SIGNS: Final[Mapping[str, str]] = {ADD: "+", REMOVE: "-"}


@dataclass(frozen=True, slots=True)
class UniqueCount:
    """The number of different values of one property; two windows' results can never be added.

    With `operation`, the name of a property that says `add` or `remove` (nothing: add), a value counts if the last
    thing that happened to it is that it was added. Kept as the value, or as `2026-01-31T12:00:00.000000Z + ann`.
    """

    property_name: str
    operation: str | None = None
    name: ClassVar[Literal["unique_count"]] = "unique_count"
    keeps: ClassVar[Literal["values"]] = "values"
    carries: ClassVar[Carries] = "asked"
    fills_buckets: ClassVar[bool] = True
    numbers: ClassVar[tuple[str, ...]] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """Its property."""
        return (self.property_name,)

    @property
    def reads(self) -> tuple[str, ...]:
        """The property that says what is done, if it has one."""
        return () if self.operation is None else (self.operation,)

    def options(self) -> dict[str, Json]:
        """The operation."""
        return {} if self.operation is None else {"operation": self.operation}

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Observation:
        """The property's value as plain text, or what stands for one that is too long to be counted by.

        Raises `QuantityInvalid` for an operation that is none.
        """
        if self.operation is None:
            return Observation(key_text(plain_text(properties[self.property_name])))
        return self.operated(properties, happened_at=happened_at)

    def operated(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Observation:
        """The value with its instant and what was done with it. Raises `QuantityInvalid`."""
        value = key_text(plain_text(properties[self.property_name]))
        word = None if self.operation is None else properties.get(self.operation)
        sign = SIGNS.get(ADD if word is None else plain_text(word))
        if sign is None:
            raise QuantityInvalid(f"{self.operation} is {word!r:.40}, not add or remove", field=self.operation)
        return Observation(f"{instant_text(happened_at)} {sign} {value}")

    def measured(self, kept: Kept, span: Span) -> Measured:  # noqa: ARG002
        """How many values are left. Raises `AggregateNegative` if one was taken back too often."""
        values = [value for value, _ in kept.counted()]
        if self.operation is None:
            return Measured(Decimal(len(values)))
        return Measured(Decimal(self.left(values)))

    @staticmethod
    def left(operated: Iterable[str]) -> int:
        """How many values are left of those that were added and removed."""
        last: dict[str, str] = {}
        for happened in sorted(operated):
            _, sign, value = happened.split(" ", 2)
            last[value] = sign
        return sum(sign == SIGNS[ADD] for sign in last.values())
