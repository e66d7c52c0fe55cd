"""Graduated: each unit costs the rate of the tier it falls in."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal, Self

from domain.definitions import Definition
from domain.money import EXACT, ZERO
from domain.prices.priced import Priced, TraceStep
from domain.prices.tiers import Ladder, Tier, parse_rungs, rate_fact


@dataclass(frozen=True, slots=True)
class Slice:
    """The units of a quantity that lie in one tier, above `above`."""

    number: int
    tier: Tier
    above: Decimal
    units: Decimal


@dataclass(frozen=True, slots=True)
class GraduatedLadder(Ladder):
    """A ladder of which each tier prices the units in it; its flat amount is due once it is entered."""

    @classmethod
    def parse(cls, terms: Definition) -> Self:
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "tiers", "zero_usage", "negative_quantity")
        return cls(*parse_rungs(terms, cls.rate_field, is_capped=True))

    def amount_for(self, quantity: Decimal) -> Priced:
        """The exact amount. Raises `QuantityNegative` unless the price says what that means."""
        none = self.amount_for_none(quantity)
        if none is not None:
            return none
        return Priced.of(*(step for each in self.slices(quantity) for step in self._steps(each)))

    def slices(self, up_to: Decimal, *, above: Decimal = ZERO) -> Iterator[Slice]:
        """In which tiers the units above one quantity and up to another lie; tiers without any are left out."""
        below = ZERO
        for number, tier in enumerate(self.tiers, start=1):
            top = up_to if tier.up_to is None else min(up_to, tier.up_to)
            units = EXACT.subtract(top, max(below, above))
            if units > 0:
                yield Slice(number, tier, below, units)
            if top == up_to:
                return
            below = top

    def _steps(self, each: Slice) -> Iterator[TraceStep]:
        tier, number = each.tier, str(each.number)
        usage = EXACT.multiply(each.units, tier.unit_amount)
        rate = rate_fact(tier, self.rate_field)
        yield TraceStep.of("tier", usage, tier=number, above=each.above, up_to=tier.end, quantity=each.units, **rate)
        if tier.flat_amount:
            yield TraceStep.of("tier_flat", tier.flat_amount, tier=number)
        amount = EXACT.add(usage, tier.flat_amount)
        if tier.cap_amount is not None and amount > tier.cap_amount:
            over = EXACT.subtract(tier.cap_amount, amount)
            yield TraceStep.of("tier_cap", over, tier=number, cap_amount=tier.cap_amount)


@dataclass(frozen=True, slots=True)
class Graduated(GraduatedLadder):
    """Each unit costs the amount of its tier."""

    model: ClassVar[Literal["graduated"]] = "graduated"
