"""A price with its adjustments: every step of them is in the trace, and the steps sum to the amount."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Generic, Protocol, TypeVar

from domain.canonical import Json
from domain.commitments import WindowedCommitment, below_minimum, over_maximum
from domain.money import EXACT, ZERO
from domain.prices.adjustments import Adjustments, free_in
from domain.prices.measured import Measured, OfQuantity
from domain.prices.priced import Priced, PriceInvalid, TraceStep


class Model(Protocol):
    """What every price model is."""

    @property
    def model(self) -> str:
        """Its name."""

    def price(self, measured: Measured) -> Priced:
        """The exact amount of what was measured."""

    def to_json(self) -> dict[str, Json]:
        """Its terms."""


M_co = TypeVar("M_co", bound=Model, covariant=True)


@dataclass(frozen=True, slots=True)
class Adjusted(Generic[M_co]):
    """A price of one of the models, and what a contract changes about it."""

    of: M_co
    adjustments: Adjustments

    def __post_init__(self) -> None:
        if self.adjustments.changes_quantity and not isinstance(self.of, OfQuantity):
            fix = f"remove convert, free_units and windowed; {self.of.model} has terms of its own for them"
            sentence = f"changes the quantity, and {self.of.model} prices more than a quantity"
            raise PriceInvalid(sentence, field="adjustments", fix=fix)

    @property
    def model(self) -> str:
        """The name of the model that is adjusted."""
        return self.of.model

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        return {**self.of.to_json(), "adjustments": self.adjustments.to_json()}

    def amount_for(self, quantity: Decimal) -> Priced:
        """The exact amount of a quantity for a whole period."""
        return self.price(Measured(quantity))

    def price(self, measured: Measured) -> Priced:
        """The exact amount of what was measured in a whole period, with what was changed as steps of their own."""
        steps = self.unbounded(measured).steps
        return Priced.of(*steps, *self.bounds(Priced.of(*steps).amount, measured.service_days))

    def unbounded(self, measured: Measured) -> Priced:
        """The amount before what bounds the period: after the percentage."""
        steps = list(self._usage(measured))
        discount = self._discount(Priced.of(*steps).amount)
        return Priced.of(*steps) if discount is None else Priced.of(*steps, discount)

    def bounds(self, amount: Decimal, service_days: tuple[int, int] | None) -> Iterator[TraceStep]:
        """What an amount off, the maximum and the minimum change about the amount of a whole period, in their order."""
        for adjust in (self._amount_off, self._maximum, partial(self._minimum, service_days)):
            step = adjust(amount)
            if step is not None:
                amount = EXACT.add(amount, step.amount)
                yield step

    def _usage(self, measured: Measured) -> Iterator[TraceStep]:
        """The price of the usage, bucket by bucket if that is how it is committed; free units go to earlier ones."""
        by, before = self.adjustments, ZERO
        buckets = self._buckets(measured)
        if not buckets:
            yield from self.of.price(replace(measured, quantity=ZERO)).steps
        for bucket in buckets:
            quantity = by.converted(bucket.quantity)
            if by.convert is not None:
                yield TraceStep.of("converted", ZERO, quantity=bucket.quantity, converted=quantity)
            _, free = free_in(by.free_units, before, quantity)
            if free:
                yield TraceStep.of("free_units", ZERO, quantity=free)
            before = EXACT.add(before, quantity)
            priced = self.of.price(self._reduced(bucket, EXACT.subtract(quantity, free), free))
            yield from priced.steps
            if by.windowed is not None:
                yield from _commitment(by.windowed, priced.amount)
        if by.windowed is not None:
            yield from _idle(by.windowed, measured.idle_buckets)

    def _buckets(self, measured: Measured) -> Sequence[Measured]:
        """What is priced alone: the buckets that hold usage if a commitment is about them, else all at once."""
        if self.adjustments.windowed is None or measured.buckets is None:
            return (measured,)
        return [replace(measured, quantity=quantity, unprorated=None) for quantity in measured.buckets]

    def _reduced(self, measured: Measured, quantity: Decimal, free: Decimal) -> Measured:
        """What the price sees: the converted quantity less what is free, and so before it was prorated."""
        if measured.unprorated is None:
            return replace(measured, quantity=quantity)
        whole = EXACT.subtract(self.adjustments.converted(measured.unprorated), free)
        return replace(measured, quantity=quantity, unprorated=max(whole, ZERO))

    def _discount(self, amount: Decimal) -> TraceStep | None:
        percentage, discount = self.adjustments.percentage, self.adjustments.discount(amount)
        return TraceStep.of("discount", EXACT.minus(discount), percentage=percentage, of=amount) if discount else None

    def _amount_off(self, amount: Decimal) -> TraceStep | None:
        off = max(min(self.adjustments.amount_off, amount), ZERO)
        return (
            TraceStep.of("amount_off", EXACT.minus(off), amount_off=self.adjustments.amount_off, of=amount)
            if off
            else None
        )

    def _maximum(self, amount: Decimal) -> TraceStep | None:
        maximum = self.adjustments.maximum
        if maximum is None:
            return None
        above = over_maximum(amount, maximum)
        return TraceStep.of("maximum", EXACT.minus(above), maximum=maximum, of=amount) if above else None

    def _minimum(self, service_days: tuple[int, int] | None, amount: Decimal) -> TraceStep | None:
        if self.adjustments.minimum is None:
            return None
        due = self.adjustments.minimum_for(service_days)
        lacking = below_minimum(amount, due)
        if not lacking:
            return None
        facts: dict[str, Decimal | str] = {"minimum": due, "of": amount}
        if service_days is not None and self.adjustments.minimum.is_prorated:
            facts["service_days"] = "{} of {}".format(*service_days)
        return TraceStep.of("minimum", lacking, **facts)


def _commitment(windowed: WindowedCommitment, cost: Decimal) -> Iterator[TraceStep]:
    """What the commitment adds to the cost of a window's usage."""
    committed = windowed.of(cost)
    above = EXACT.subtract(cost, committed.utilized)
    extra = EXACT.subtract(committed.overage, above)
    if extra:
        yield TraceStep.of("window_overage", extra, above=above, overage_factor=windowed.overage_factor)
    if committed.true_up:
        yield TraceStep.of("window_true_up", committed.true_up, commitment=windowed.amount, of=cost)


def _idle(windowed: WindowedCommitment, windows: int) -> Iterator[TraceStep]:
    """What windows owe in which nothing was used: no price, since nothing was used, and the commitment in full."""
    true_up = EXACT.multiply(windowed.of(ZERO).true_up, Decimal(windows))
    if true_up:
        yield TraceStep.of("window_true_up", true_up, commitment=windowed.amount, windows=Decimal(windows))
