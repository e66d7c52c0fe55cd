"""What aggregations of numbers share: how a number, with or without its time, is kept as a text and read back."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar, Literal

from domain.canonical import Json, decimal_text, number_in
from domain.metrics.aggregation import Carries, Kept, Observation, QuantityInvalid, Span
from domain.metrics.buckets import Bucket


def number_of(properties: Mapping[str, Json], name: str) -> Decimal:
    """The property's number, also if it is written as a decimal text. Raises `QuantityInvalid`."""
    number = number_in(properties[name])
    if number is None:
        raise QuantityInvalid(f"{name} is {properties[name]!r:.40}, not a number", field=name)
    return number


def instant_text(instant: datetime) -> str:
    """The instant in UTC to the microsecond: `2026-01-31T12:00:00.000000Z`; texts sort as the instants do."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class OfNumber:
    """An aggregation of one number, of which it does not matter when it was seen: kept as `0.5`."""

    property_name: str
    keeps: ClassVar[Literal["values"]] = "values"
    carries: ClassVar[Carries] = "never"
    fills_buckets: ClassVar[bool] = True

    @property
    def needs(self) -> tuple[str, ...]:
        """Its property."""
        return (self.property_name,)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Its property."""
        return (self.property_name,)

    @property
    def reads(self) -> tuple[str, ...]:
        """None."""
        return ()

    def options(self) -> dict[str, Json]:
        """None."""
        return {}

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Observation:  # noqa: ARG002
        """The number. Raises `QuantityInvalid`."""
        return Observation(decimal_text(number_of(properties, self.property_name)))


@dataclass(frozen=True, slots=True)
class OfReading(OfNumber):
    """An aggregation of one number that was seen at a time: kept as `2026-01-31T12:00:00.000000Z 0.5`."""

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Observation:
        """The instant and the number. Raises `QuantityInvalid`."""
        number = decimal_text(number_of(properties, self.property_name))
        return Observation(f"{instant_text(happened_at)} {number}")


@dataclass(frozen=True, slots=True)
class CarriesOn(OfReading, ABC):
    """An aggregation in which what came before a time bucket goes on into it, so that no bucket is measured alone."""

    @abstractmethod
    def by_bucket(self, kept: Kept, span: Span, bucket: Bucket) -> Iterator[tuple[datetime, Decimal]]:
        """(start, quantity) of the buckets that hold anything, in order; `kept` holds all that came before, too.

        Raises what `measured` raises.
        """


def numbers_of(kept: Kept) -> Iterator[tuple[Decimal, int]]:
    """The numbers that an `OfNumber` has kept, and how often each. Raises `AggregateNegative`."""
    return ((Decimal(value), times) for value, times in kept.counted())


def readings_of(kept: Kept) -> list[tuple[datetime, Decimal, int]]:
    """What an `OfReading` has kept, in order of time; at one instant the lesser number is first.

    So the order of arrival changes nothing. Raises `AggregateNegative`.
    """
    readings = []
    for value, times in kept.counted():
        at, number = value.split(" ")
        readings.append((datetime.fromisoformat(at), Decimal(number), times))
    return sorted(readings)
