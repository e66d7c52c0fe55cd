"""Tiers: the ladder that several price models read, and what makes it whole."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, Self, cast

from domain.canonical import Json, decimal_text
from domain.definitions import ENTRIES_MAX, Definition
from domain.money import ZERO
from domain.prices.measured import OfQuantity
from domain.prices.priced import NEGATIVE, NegativeQuantity, Priced, PriceInvalid, TraceStep, below_zero

ZeroUsage = Literal["none", "first_tier_flat"]
_ZERO_USAGE: Final = ("none", "first_tier_flat")


@dataclass(frozen=True, slots=True)
class Tier:
    """Units above the tier before and up to and including `up_to` (None: all further ones).

    Each costs `unit_amount`; `flat_amount` is due once as soon as the tier is entered.
    """

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Ladder(OfQuantity):
    """Tiers in ascending order, the last one open.

    `zero_usage` says whether the first tier's flat amount is due when nothing was used, `negative_quantity` whether a
    quantity below zero is refused or costs nothing.
    """

    tiers: tuple[Tier, ...]
    zero_usage: ZeroUsage
    negative_quantity: NegativeQuantity = "refuse"

    def __post_init__(self) -> None:
        if not 0 < len(self.tiers) <= ENTRIES_MAX:
            raise PriceInvalid(f"has {len(self.tiers)} tiers", field="tiers", fix=f"give 1 to {ENTRIES_MAX} tiers")
        below = ZERO
        for place, tier in enumerate(self.tiers):
            below = _checked(tier, place=place, below=below, is_last=place == len(self.tiers) - 1)

    @classmethod
    def parse(cls, terms: Definition) -> Self:
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "tiers", "zero_usage", "negative_quantity")
        tiers = tuple(_parse_tier(tier) for tier in terms.objects("tiers"))
        if "zero_usage" not in terms.entries and tiers and tiers[0].flat_amount:
            fix = "say first_tier_flat if the flat amount is due without usage, none if it is not"
            raise terms.refuse("zero_usage", "is missing, and the first tier has a flat amount", fix=fix)
        zero_usage = terms.choice("zero_usage", _ZERO_USAGE, default="none")
        negative = terms.choice("negative_quantity", NEGATIVE, default="refuse")
        return cls(tiers, cast("ZeroUsage", zero_usage), cast("NegativeQuantity", negative))

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        tiers = [
            {
                "up_to": None if tier.up_to is None else decimal_text(tier.up_to),
                "unit_amount": decimal_text(tier.unit_amount),
                "flat_amount": decimal_text(tier.flat_amount),
            }
            for tier in self.tiers
        ]
        return {"tiers": tiers, "zero_usage": self.zero_usage, "negative_quantity": self.negative_quantity}

    def amount_for_none(self, quantity: Decimal) -> Priced | None:
        """What a quantity of zero or less costs; None for more. Raises `QuantityNegative`."""
        if quantity < 0:
            return below_zero(quantity, is_refused=self.negative_quantity == "refuse")
        if quantity:
            return None
        flat = self.tiers[0].flat_amount
        if self.zero_usage == "first_tier_flat" and flat:
            return Priced.of(TraceStep.of("tier_flat", flat, tier="1", quantity=ZERO))
        return Priced.of(TraceStep.of("no_usage", ZERO, quantity=ZERO))


def _parse_tier(tier: Definition) -> Tier:
    tier.only("up_to", "unit_amount", "flat_amount")
    if "up_to" not in tier.entries:
        raise tier.refuse("up_to", "is missing", fix="give the last unit of the tier, or null in the last tier")
    flat_amount = tier.optional_decimal("flat_amount")
    return Tier(
        tier.optional_decimal("up_to"), tier.decimal("unit_amount"), ZERO if flat_amount is None else flat_amount
    )


def _checked(tier: Tier, *, place: int, below: Decimal, is_last: bool) -> Decimal:
    """The tier's upper bound; refuses a tier that leaves units without a price or gives them two."""
    field = f"tiers[{place}]"
    for name, amount in (("unit_amount", tier.unit_amount), ("flat_amount", tier.flat_amount)):
        if amount < 0:
            raise PriceInvalid("is below zero", field=f"{field}.{name}", fix="give zero or more")
    if is_last:
        if tier.up_to is not None:
            fix = "leave up_to of the last tier null, or add an open tier after it"
            raise PriceInvalid("ends the ladder, so units above it have no price", field=f"{field}.up_to", fix=fix)
        return below
    if tier.up_to is None:
        fix = "give its last unit, or remove the tiers after it"
        raise PriceInvalid("is open although tiers follow", field=f"{field}.up_to", fix=fix)
    if tier.up_to <= below:
        fix = f"give more than {decimal_text(below)}, where the tier before ends"
        raise PriceInvalid(f"is {decimal_text(tier.up_to)}, so the tier is empty", field=f"{field}.up_to", fix=fix)
    return tier.up_to
