"""Graduated: each unit costs the rate of the tier it falls in."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from domain.money import EXACT, ZERO
from domain.prices.priced import Priced, TraceStep
from domain.prices.tiers import Ladder


@dataclass(frozen=True, slots=True)
class Graduated(Ladder):
    """A ladder of which each tier prices the units in it; its flat amount is due once it is entered."""

    model: ClassVar[Literal["graduated"]] = "graduated"

    def amount_for(self, quantity: Decimal) -> Priced:
        """The exact amount. Raises `QuantityNegative` unless the price says what that means."""
        none = self.amount_for_none(quantity)
        return Priced.of(*self._steps(quantity)) if none is None else none

    def _steps(self, quantity: Decimal) -> Iterator[TraceStep]:
        below = ZERO
        for number, tier in enumerate(self.tiers, start=1):
            top = quantity if tier.up_to is None else min(quantity, tier.up_to)
            units = EXACT.subtract(top, below)
            amount = EXACT.multiply(units, tier.unit_amount)
            up_to = "open" if tier.up_to is None else tier.up_to
            yield TraceStep.of(
                "tier", amount, tier=str(number), above=below, up_to=up_to, quantity=units, unit_amount=tier.unit_amount
            )
            if tier.flat_amount:
                yield TraceStep.of("tier_flat", tier.flat_amount, tier=str(number))
            below = top
            if below == quantity:
                return
