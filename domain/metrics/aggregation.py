"""What every aggregation offers: how one event contributes, and how the quantity is read from what was kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

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

    def quantity(self, contributions: Iterable[Signed]) -> Decimal:
        """The quantity of a whole window, computed anew; what is kept must give the same."""


def summed(contributions: Iterable[Signed]) -> Decimal:
    """The signed sum of increments."""
    result = ZERO
    for contribution, sign in contributions:
        assert isinstance(contribution, Increment), contribution
        assert sign in {1, -1}, sign
        quantity = contribution.quantity
        result = EXACT.add(result, quantity) if sign > 0 else EXACT.subtract(result, quantity)
    return result


def tallied(contributions: Iterable[Signed]) -> dict[str, int]:
    """How often each value was seen, without those seen zero times.

    Raises `AggregateNegative` if one was taken back more often than it was seen.
    """
    result: dict[str, int] = {}
    for contribution, sign in contributions:
        assert isinstance(contribution, Observation), contribution
        assert sign in {1, -1}, sign
        result[contribution.value] = result.get(contribution.value, 0) + sign
    for value, times in result.items():
        if times < 0:
            raise AggregateNegative(f"{value} was seen {times} times", value=value, times=times)
    return {value: times for value, times in result.items() if times}
