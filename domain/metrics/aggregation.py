"""What every aggregation offers: how one event contributes, and how the quantity is read from what was kept."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias, assert_never

from domain.canonical import Json
from domain.errors import Rejection
from domain.metrics.buckets import Bucket, buckets_of
from domain.money import EXACT, ZERO
from domain.periods import BillingPeriod, Window
from domain.prices.measured import Measured

#: Whether what came before the period counts: never, where the metric says so, or always.
Carries = Literal["never", "asked", "always"]


class QuantityInvalid(Rejection):
    """A property that a metric reads is not what it must be: a number, or one of the words for an operation."""

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
    """A value an event was seen with; how often each value was seen, signed, is what is kept.

    The text holds all that the aggregation needs of the event, such as `2026-01-31T12:00:00.000000Z 0.5`.
    """

    value: str


Contribution: TypeAlias = Increment | Observation
#: A contribution and +1, or -1 where it is taken back.
Signed: TypeAlias = tuple[Contribution, int]


@dataclass(frozen=True, slots=True)
class Span:
    """The billing period that is measured, and when in it the subscription ends; where it goes on, the period's end.

    `bucket_starts` are those of the metric's time buckets, as they were made with the period; else its zone says them.
    """

    billing: BillingPeriod
    ends_at: datetime
    bucket_starts: tuple[datetime, ...] = ()

    @classmethod
    def whole(cls, period: BillingPeriod) -> "Span":
        """The period of a subscription that goes on."""
        return cls(period, period.ends_at)

    @property
    def period(self) -> Window:
        """The instants of the period."""
        return self.billing.window

    def buckets(self, bucket: Bucket) -> tuple[Window, ...]:
        """The hours, days or months of the period."""
        if not self.bucket_starts:
            return buckets_of(self.billing, bucket)
        ends = (*self.bucket_starts[1:], self.period.ends_at)
        return tuple(Window(*bounds) for bounds in zip(self.bucket_starts, ends, strict=True))


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

    @classmethod
    def together(cls, parts: Iterable["Kept"]) -> "Kept":
        """All that the parts hold."""
        total, values = ZERO, dict[str, int]()
        for part in parts:
            total = EXACT.add(total, part.total)
            for value, times in part.values.items():
                values[value] = values.get(value, 0) + times
        return cls(total, _seen(values))

    def __add__(self, other: "Kept") -> "Kept":
        return Kept.together((self, other))

    def counted(self) -> Iterator[tuple[str, int]]:
        """The values that are left, and how often. Raises `AggregateNegative` for one taken back too often."""
        for value, times in self.values.items():
            if times < 0:
                raise AggregateNegative(f"{value} was seen {times} times", value=value, times=times)
            if times:
                yield value, times


class Aggregation(Protocol):
    """One way to turn events into a quantity, in any order of arrival, with contributions that can be taken back."""

    @property
    def name(self) -> str:
        """The word that stands for it in definitions."""

    @property
    def property_name(self) -> str | None:
        """The property of the event's data it reads, if any."""

    @property
    def needs(self) -> tuple[str, ...]:
        """All properties that an event must have, and not null."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Those of them that must be numbers."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Further properties that it reads where they are."""

    @property
    def keeps(self) -> Literal["increments", "values"]:
        """What the store keeps: one signed sum, or a signed count of each value."""

    @property
    def carries(self) -> Carries:
        """Whether what came before the period may count."""

    @property
    def fills_buckets(self) -> bool:
        """Whether it can be taken of each hour, day or month by itself."""

    def options(self) -> dict[str, Json]:
        """The fields of its definition besides `property`."""

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Contribution:
        """What an event adds; what it needs is present and not null. Raises `QuantityInvalid`."""

    def measured(self, kept: Kept, span: Span) -> Measured:
        """The quantity of all that was kept of a window, over its batches and lots; zero of nothing.

        Where the metric carries over, what came before the period is in `kept`. Raises `AggregateNegative`.
        """


def _seen(values: Mapping[str, int]) -> dict[str, int]:
    """Without what was seen zero times: it does not exist."""
    return {value: times for value, times in values.items() if times}
