"""What every aggregation offers: how one event contributes, and how the quantity is read from what was kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias, assert_never

from domain.canonical import Json
from domain.errors import Rejection
from domain.money import EXACT, ZERO


class QuantityInvalid(Rejection):
    """The property that a metric adds up is not a number."""

    code = "quantity_invalid"


class AggregateNegative(Rejection):
    """More was taken out of an aggregate than was ever put in, so its contributions are not what they say."""

    code = "aggregate_negative"


@dataclass(frozen=True, slots=True)
class Increment:
    """What an event adds; the sum of signed increments is all that is kept."""

    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Observation:
    """A value an event was seen with; how often each value was seen, signed, is what is kept."""

    value: str


Contribution: TypeAlias = Increment | Observation
#: A contribution and +1, or -1 where it is taken back.
Signed: TypeAlias = tuple[Contribution, int]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store keeps of a window: the signed sum of its increments, and how often each value was seen, signed.

    Two of the same window and different batches or lots may be added; a batch that only takes back is negative.
    """

    total: Decimal = ZERO
    values: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, contributions: Iterable[Signed]) -> "Kept":
        """What is kept of these contributions, in whatever order they come."""
        total, values = ZERO, dict[str, int]()
        for contribution, sign in contributions:
            assert sign in {1, -1}, sign
            match contribution:
                case Increment(quantity):
                    total = EXACT.add(total, quantity) if sign > 0 else EXACT.subtract(total, quantity)
                case Observation(value):
                    values[value] = values.get(value, 0) + sign
                case _ as unknown:
                    assert_never(unknown)
        return cls(total, _seen(values))

    def __add__(self, other: "Kept") -> "Kept":
        values = dict(self.values)
        for value, times in other.values.items():
            values[value] = values.get(value, 0) + times
        return Kept(EXACT.add(self.total, other.total), _seen(values))

    def values_seen(self) -> Iterable[str]:
        """The values that are left. Raises `AggregateNegative` if one was taken back more often than it was seen."""
        for value, times in self.values.items():
            if times < 0:
                raise AggregateNegative(f"{value} was seen {times} times", value=value, times=times)
            yield value


class Aggregation(Protocol):
    """One way to turn events into a quantity, in any order of arrival, with contributions that can be taken back."""

    @property
    def name(self) -> str:
        """The word that stands for it in definitions."""

    @property
    def property_name(self) -> str | None:
        """The property of the event's data it reads, if any."""

    @property
    def keeps(self) -> Literal["increments", "values"]:
        """What the store keeps: one signed sum, or a signed count of each value."""

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Contribution:
        """What an event adds; its property is present and not null. Raises `QuantityInvalid`."""

    def quantity(self, kept: Kept) -> Decimal:
        """The quantity of all that was kept of a window, over its batches and lots. Raises `AggregateNegative`."""


def _seen(values: Mapping[str, int]) -> dict[str, int]:
    """Without what was seen zero times: it does not exist."""
    return {value: times for value, times in values.items() if times}
