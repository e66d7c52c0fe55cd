"""A metric's definition: which meter, which aggregation, which events it takes, and what becomes of its quantity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Literal

from domain.canonical import Json, jsonb_text, key_text, plain_text
from domain.definitions import DefinitionInvalid
from domain.errors import Rejection
from domain.metrics.aggregation import Aggregation, Contribution, Kept, Span
from domain.metrics.buckets import Bucket
from domain.metrics.observed import CarriesOn
from domain.money import EXACT, ZERO
from domain.prices.measured import Measured
from domain.units import Conversion


class MetricInvalid(DefinitionInvalid):
    """A metric's definition contradicts itself or leaves something open."""

    code = "metric_invalid"


class QuantityMissing(Rejection):
    """The event lacks a property without which the metric has no quantity."""

    code = "quantity_missing"


@dataclass(frozen=True, slots=True)
class Metric:
    """A billable metric: a rule that turns the events of a meter in a window into one quantity.

    It takes the events whose properties have the values that `filter` allows; others are no usage of it. One that
    lacks a property in `requires` has no quantity under it, which is an exception, not zero. Usage is kept apart by the
    values of `dimensions`. `recurring`: what came before the period counts. `bucket`: it is taken of each hour, day or
    month by itself. `negative` "zero": a quantity below zero is none. `conversion` turns the quantity into `unit`.
    """

    name: str
    meter: str
    aggregation: Aggregation
    unit: str
    requires: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    filter: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    recurring: bool = False
    bucket: Bucket | None = None
    negative: Literal["keep", "zero"] = "keep"
    conversion: Conversion | None = None

    @property
    def needed(self) -> tuple[str, ...]:
        """All properties that must be there and not null: those required, and those that are aggregated."""
        return (*self.requires, *(name for name in self.aggregation.needs if name not in self.requires))

    @property
    def read(self) -> tuple[str, ...]:
        """All properties that it reads, needed or not."""
        return tuple(dict.fromkeys((*self.needed, *self.aggregation.reads, *self.dimensions, *self.filter)))

    @property
    def carries_over(self) -> bool:
        """Whether what came before the period counts."""
        return self.recurring or self.aggregation.carries == "always"

    def takes(self, properties: Mapping[str, Json]) -> bool:
        """Whether the event is usage of this metric: each filtered property has a value that is allowed."""
        return all(
            (value := properties.get(name)) is not None and plain_text(value) in allowed
            for name, allowed in self.filter.items()
        )

    def missing(self, properties: Mapping[str, Json]) -> str | None:
        """The first needed property that is absent or null, or None."""
        return next((name for name in self.needed if properties.get(name) is None), None)

    def contribution(self, properties: Mapping[str, Json], *, happened_at: datetime) -> Contribution:
        """What an event adds that it takes. Raises `QuantityMissing` or `QuantityInvalid`."""
        missing = self.missing(properties)
        if missing is not None:
            raise QuantityMissing(
                f"the event has no {missing}, which {self.name} needs", field=missing, metric=self.name
            )
        return self.aggregation.contribution(properties, happened_at=happened_at)

    def measured(self, kept: Sequence[Kept], span: Span, *, starts: Sequence[datetime | None] = ()) -> Measured:
        """The quantity of what was kept: of each bucket in order of time, or of the one window of the period.

        `starts` are those of the buckets, as far as they are known. One of which nothing is left is none. Where it
        carries over, what came before is in `kept`, too. Raises `AggregateNegative`, and what the aggregation raises.
        """
        if self.bucket is None:
            return self._told(self.aggregation.measured(Kept.together(kept), span))
        if isinstance(self.aggregation, CarriesOn):
            found = list(self.aggregation.by_bucket(Kept.together(kept), span, self.bucket))
            told = tuple(self._told(Measured(quantity)).quantity for _, quantity in found)
            return Measured(_total(told), buckets=told, bucket_starts=tuple(start for start, _ in found))
        return self._of_buckets(kept, span, starts or (None,) * len(kept))

    def _of_buckets(self, kept: Sequence[Kept], span: Span, starts: Sequence[datetime | None]) -> Measured:
        """Each bucket measured alone, and all that is measured of them beside their quantities put together."""
        filled = [(start, each) for start, each in zip(starts, kept, strict=True) if each.total or each.values]
        told = [self._told(self.aggregation.measured(each, span)) for _, each in filled]
        nothing = self.aggregation.measured(Kept(), span)
        return Measured(
            _total([each.quantity for each in told]),
            events=None if nothing.events is None else tuple(chain.from_iterable(each.events or () for each in told)),
            amount=None if nothing.amount is None else _total([each.amount or ZERO for each in told]),
            buckets=tuple(each.quantity for each in told),
            bucket_starts=tuple(start for start, _ in filled if start is not None),
        )

    def _told(self, measured: Measured) -> Measured:
        """In the metric's unit, none where it is below zero and that counts as none; single events each by itself."""
        if measured.events is not None:
            events = tuple(map(self._unit_of, measured.events))
            return replace(measured, quantity=self._clamped(_total(events)), events=events)
        peaks = measured.peaks and {name: self._clamped(self._unit_of(peak)) for name, peak in measured.peaks.items()}
        whole = None if measured.unprorated is None else self._clamped(self._unit_of(measured.unprorated))
        quantity = self._clamped(self._unit_of(measured.quantity))
        return replace(measured, quantity=quantity, peaks=peaks, unprorated=whole)

    def _unit_of(self, quantity: Decimal) -> Decimal:
        return quantity if self.conversion is None else self.conversion.apply(quantity)

    def _clamped(self, quantity: Decimal) -> Decimal:
        return max(quantity, ZERO) if self.negative == "zero" else quantity

    def dimension_text(self, properties: Mapping[str, Json]) -> str:
        """The event's dimensions as PostgreSQL prints them: `{"origin": "JFK"}`; empty for a metric without.

        Dimensions that are too long to be kept apart by stand there as their SHA-256.
        """
        if not self.dimensions:
            return ""
        return key_text(jsonb_text({name: properties.get(name) for name in self.dimensions}))


def _total(quantities: Sequence[Decimal]) -> Decimal:
    total = ZERO
    for quantity in quantities:
        total = EXACT.add(total, quantity)
    return total
