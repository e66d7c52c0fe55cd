"""What a price is applied to: the quantity of a metric in a period, and what else of it some models need."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.canonical import Json
from domain.errors import Rejection
from domain.money import ZERO

if TYPE_CHECKING:
    from domain.prices.priced import Priced


class NotMeasured(Rejection):
    """The price needs more of the usage than its metric keeps."""

    code = "not_measured"


@dataclass(frozen=True, slots=True)
class Measured:
    """The quantity of one metric, period and set of dimensions, as a price sees it.

    `events` are the quantities of the single events in the order of their times, kept by the aggregation `each`;
    `amount` is the money that the events themselves came with (`charged`); `peaks` are the greatest values by name
    (`peaks`); `buckets` are the quantities of the metric's time buckets in their order. None means that the metric does
    not keep it. `dimensions` are the values that this usage is kept apart by.
    `unprorated` is the quantity before it was reduced to the part of the period that it was there for: it chooses the
    tier of a price that charges one tier. `service_days` are the days of the period that the price is in force for and
    all of its days; None means all of them. `bucket_starts` says when each of the buckets begins; `idle_buckets` of the
    service days hold none of this usage.
    """

    quantity: Decimal
    events: tuple[Decimal, ...] | None = None
    amount: Decimal | None = None
    peaks: Mapping[str, Decimal] | None = None
    buckets: tuple[Decimal, ...] | None = None
    dimensions: Mapping[str, Json] | None = None
    unprorated: Decimal | None = None
    service_days: tuple[int, int] | None = None
    bucket_starts: tuple[datetime, ...] = ()
    idle_buckets: int = 0

    @classmethod
    def none(cls) -> "Measured":
        """No usage at all: what a price is applied to in a period without any event."""
        return cls(ZERO, events=(), amount=ZERO, peaks={}, buckets=())


class OfQuantity(ABC):
    """A price model that needs the quantity and nothing else."""

    __slots__ = ()

    @abstractmethod
    def amount_for(self, quantity: Decimal) -> "Priced":
        """The exact amount of a quantity."""

    def price(self, measured: Measured) -> "Priced":
        """The exact amount of what was measured."""
        return self.amount_for(measured.quantity)
