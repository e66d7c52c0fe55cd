"""Volume: all units cost the rate of the tier that the whole quantity falls in.

More usage may cost less here: where a tier is entered, its rate holds for the units below it too.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from domain.money import EXACT
from domain.prices.priced import Priced, TraceStep
from domain.prices.tiers import Ladder


@dataclass(frozen=True, slots=True)
class Volume(Ladder):
    """A ladder of which one tier holds: that of the whole quantity, with its flat amount and no other."""

    model: ClassVar[Literal["volume"]] = "volume"

    def amount_for(self, quantity: Decimal) -> Priced:
        """The exact amount. Raises `QuantityNegative` unless the price says what that means."""
        none = self.amount_for_none(quantity)
        if none is not None:
            return none
        number, tier = next(
            (number, tier)
            for number, tier in enumerate(self.tiers, start=1)
            if tier.up_to is None or quantity <= tier.up_to
        )
        up_to = "open" if tier.up_to is None else tier.up_to
        amount = EXACT.multiply(quantity, tier.unit_amount)
        step = TraceStep.of(
            "volume_tier", amount, tier=str(number), up_to=up_to, quantity=quantity, unit_amount=tier.unit_amount
        )
        if not tier.flat_amount:
            return Priced.of(step)
        return Priced.of(step, TraceStep.of("tier_flat", tier.flat_amount, tier=str(number)))
