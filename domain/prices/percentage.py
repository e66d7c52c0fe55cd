"""Percentage: a percentage of the money that each event turned over, and an amount for each event."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal, cast

from domain.canonical import Json, decimal_text
from domain.definitions import Definition
from domain.money import EXACT, ZERO
from domain.prices.measured import Measured, NotMeasured
from domain.prices.priced import (
    NEGATIVE,
    NegativeQuantity,
    Priced,
    PriceInvalid,
    TraceStep,
    below_zero,
    refuse_below_zero,
    texts_of,
)


@dataclass(frozen=True, slots=True)
class Percentage:
    """`rate_percent` of each event's quantity (1 is one hundredth) and `fixed_amount` for each event.

    The first `free_events` are free, and the first `free_amount` of the quantities, in the order of the events'
    times; what ends first ends both. An event that is free in part pays the fixed amount. What one event costs, the
    fixed amount with it, is at least `event_minimum` and at most `event_maximum`; one that is free costs nothing.
    An event below zero is refused or costs nothing.
    """

    model: ClassVar[Literal["percentage"]] = "percentage"
    rate_percent: Decimal
    fixed_amount: Decimal = ZERO
    free_events: int | None = None
    free_amount: Decimal | None = None
    event_minimum: Decimal | None = None
    event_maximum: Decimal | None = None
    negative_quantity: NegativeQuantity = "refuse"

    def __post_init__(self) -> None:
        bounds = {"event_minimum": self.event_minimum, "event_maximum": self.event_maximum}
        refuse_below_zero(rate_percent=self.rate_percent, fixed_amount=self.fixed_amount, **bounds)
        for name, free in (("free_events", self.free_events), ("free_amount", self.free_amount)):
            if free is not None and free <= 0:
                raise PriceInvalid("is not above zero", field=name, fix="leave it out if nothing is free")
        if (
            self.event_minimum is not None
            and self.event_maximum is not None
            and self.event_minimum > self.event_maximum
        ):
            raise PriceInvalid("is above event_maximum", field="event_minimum", fix="give at most event_maximum")

    @classmethod
    def parse(cls, terms: Definition) -> "Percentage":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", *cls.__slots__)
        fixed = terms.optional_decimal("fixed_amount")
        negative = terms.choice("negative_quantity", NEGATIVE, default="refuse")
        return cls(
            terms.decimal("rate_percent"),
            ZERO if fixed is None else fixed,
            terms.integer("free_events"),
            terms.optional_decimal("free_amount"),
            terms.optional_decimal("event_minimum"),
            terms.optional_decimal("event_maximum"),
            cast("NegativeQuantity", negative),
        )

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        events: dict[str, Json] = {} if self.free_events is None else {"free_events": self.free_events}
        return {
            "rate_percent": decimal_text(self.rate_percent),
            "fixed_amount": decimal_text(self.fixed_amount),
            **events,
            **texts_of(
                free_amount=self.free_amount, event_minimum=self.event_minimum, event_maximum=self.event_maximum
            ),
            "negative_quantity": self.negative_quantity,
        }

    @property
    def is_of_sum(self) -> bool:
        """Whether the sum of the events says it all, so that a metric need not keep each event."""
        by_event = self.free_events, self.event_minimum, self.event_maximum
        return not self.fixed_amount and all(option is None for option in by_event)

    def price(self, measured: Measured) -> Priced:
        """The exact amount. Raises `NotMeasured`, and `QuantityNegative` unless the price says what that means."""
        events = self._events(measured)
        steps: list[TraceStep] = []
        taken_back = [event for event in events if event < 0]
        if taken_back:
            steps += below_zero(_sum(taken_back), is_refused=self.negative_quantity == "refuse").steps
            events = [event for event in events if event >= 0]
        paid, free_events, free = self._paid(events)
        if free_events or free:
            steps.append(TraceStep.of("free_events", ZERO, events=str(free_events), quantity=free))
        steps += self._steps(paid)
        return Priced.of(*steps) if steps else Priced.of(TraceStep.of("no_usage", ZERO, quantity=ZERO))

    def _events(self, measured: Measured) -> Sequence[Decimal]:
        if measured.events is not None:
            return measured.events
        if not self.is_of_sum:
            raise NotMeasured("the metric does not keep what each event came to", model=self.model)
        return (measured.quantity,) if measured.quantity else ()

    def _paid(self, events: Sequence[Decimal]) -> tuple[list[Decimal], int, Decimal]:
        """(What is to be paid of each event that is not wholly free, events that are, their quantity and parts)."""
        if self.free_events is None and self.free_amount is None:
            return list(events), 0, ZERO
        left = self.free_amount
        free = ZERO
        for place, event in enumerate(events):
            if place == self.free_events or (left is not None and not left):
                return list(events[place:]), place, free
            covered = event if left is None else min(event, left)
            free = EXACT.add(free, covered)
            if covered < event:
                return [EXACT.subtract(event, covered), *events[place + 1 :]], place, free
            left = None if left is None else EXACT.subtract(left, covered)
        return [], len(events), free

    def _steps(self, paid: Sequence[Decimal]) -> Iterator[TraceStep]:
        if not paid:
            return
        quantity, events = _sum(paid), Decimal(len(paid))
        rate = self.rate_percent
        yield TraceStep.of("percentage", _percent(quantity, rate), quantity=quantity, events=events, rate_percent=rate)
        if self.fixed_amount:
            amount = EXACT.multiply(events, self.fixed_amount)
            yield TraceStep.of("fixed_per_event", amount, events=events, fixed_amount=self.fixed_amount)
        if self.event_minimum is None and self.event_maximum is None:
            return
        amounts = [EXACT.add(_percent(event, rate), self.fixed_amount) for event in paid]
        if self.event_minimum is not None:
            raised = [EXACT.subtract(self.event_minimum, each) for each in amounts if each < self.event_minimum]
            yield from _bound("event_minimum", raised, self.event_minimum)
        if self.event_maximum is not None:
            cut = [EXACT.subtract(self.event_maximum, each) for each in amounts if each > self.event_maximum]
            yield from _bound("event_maximum", cut, self.event_maximum)


def _bound(rule: str, moved: Sequence[Decimal], bound: Decimal) -> Iterator[TraceStep]:
    """The step that brings those events to their bound, if there are any."""
    if moved:
        yield TraceStep.of(rule, _sum(moved), events=Decimal(len(moved)), bound=bound)


def _percent(quantity: Decimal, rate_percent: Decimal) -> Decimal:
    return EXACT.multiply(quantity, rate_percent).scaleb(-2, EXACT)


def _sum(numbers: Sequence[Decimal]) -> Decimal:
    total = ZERO
    for number in numbers:
        total = EXACT.add(total, number)
    return total
