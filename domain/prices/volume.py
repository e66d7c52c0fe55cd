"""Volume: all units cost the rate of the tier that the whole quantity falls in.

More usage may cost less here: where a tier is entered, its rate holds for the units below it too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Literal, Self, cast

from domain.canonical import Json
from domain.definitions import Definition
from domain.money import EXACT
from domain.prices.measured import Measured
from domain.prices.priced import Priced, TraceStep
from domain.prices.tiers import Ladder, Tier, parse_rungs, rate_fact

Bound = Literal["included", "excluded"]
_BOUNDS: Final = ("included", "excluded")


@dataclass(frozen=True, slots=True)
class OneTier(Ladder):
    """A ladder of which one tier holds: that of the whole quantity, with its flat amount and no other.

    A quantity of exactly `up_to` lies in that tier, or in the next one if the `bound` is excluded ("100 and more").
    """

    bound: Bound = "included"

    @classmethod
    def parse(cls, terms: Definition) -> Self:
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "tiers", "bound", "zero_usage", "negative_quantity")
        bound = terms.choice("bound", _BOUNDS, default="included")
        return cls(*parse_rungs(terms, cls.rate_field), cast("Bound", bound))

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        bound: dict[str, Json] = {} if self.bound == "included" else {"bound": self.bound}
        return {**Ladder.to_json(self), **bound}

    def price(self, measured: Measured) -> Priced:
        """As `amount_for`, with the tier chosen by the quantity before it was prorated."""
        whole = measured.quantity if measured.unprorated is None else measured.unprorated
        return self._priced(measured.quantity, whole=whole)

    def amount_for(self, quantity: Decimal) -> Priced:
        """The exact amount. Raises `QuantityNegative` unless the price says what that means."""
        return self._priced(quantity, whole=quantity)

    def _priced(self, quantity: Decimal, *, whole: Decimal) -> Priced:
        none = self.amount_for_none(quantity)
        return Priced.of(*self._steps(quantity, whole)) if none is None else none

    def _steps(self, quantity: Decimal, whole: Decimal) -> Iterator[TraceStep]:
        number, tier = next((n, tier) for n, tier in enumerate(self.tiers, start=1) if self._holds(tier, whole))
        chosen_by = {} if whole == quantity else {"chosen_by": whole}
        rate = rate_fact(tier, self.rate_field)
        if rate:
            amount = EXACT.multiply(quantity, tier.unit_amount)
            yield TraceStep.of(
                "volume_tier", amount, tier=str(number), up_to=tier.end, quantity=quantity, **chosen_by, **rate
            )
            if tier.flat_amount:
                yield TraceStep.of("tier_flat", tier.flat_amount, tier=str(number))
        else:
            yield TraceStep.of(
                "stair", tier.flat_amount, tier=str(number), up_to=tier.end, quantity=quantity, **chosen_by
            )

    def _holds(self, tier: Tier, whole: Decimal) -> bool:
        return tier.up_to is None or whole < tier.up_to or (whole == tier.up_to and self.bound == "included")


@dataclass(frozen=True, slots=True)
class Volume(OneTier):
    """All units cost the rate of the one tier, and its flat amount once."""

    model: ClassVar[Literal["volume"]] = "volume"
