"""Blocks: tiers of so many blocks each, a started block charged whole; all tiers are charged, or the highest alone.

With `all_tiers` each tier prices the blocks that fill it. With `top_tier` the tier that the quantity reaches prices
everything, so more usage may cost less.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Literal, cast

from domain.canonical import Json, decimal_text
from domain.definitions import ENTRIES_MAX, Definition
from domain.money import EXACT, ZERO
from domain.prices.measured import OfQuantity
from domain.prices.priced import NEGATIVE, NegativeQuantity, Priced, PriceInvalid, TraceStep, below_zero, started

Charged = Literal["all_tiers", "top_tier"]
_CHARGED: Final = ("all_tiers", "top_tier")


@dataclass(frozen=True, slots=True)
class BlockTier:
    """At most `max_blocks` blocks of this tier alone (None: all further ones), each of `block_size` units."""

    block_size: Decimal
    block_amount: Decimal
    max_blocks: Decimal | None


@dataclass(frozen=True, slots=True)
class Blocks(OfQuantity):
    """Tiers that are filled in their order, the last one open."""

    model: ClassVar[Literal["blocks"]] = "blocks"
    charged: Charged
    tiers: tuple[BlockTier, ...]
    negative_quantity: NegativeQuantity = "refuse"

    def __post_init__(self) -> None:
        if not 0 < len(self.tiers) <= ENTRIES_MAX:
            raise PriceInvalid(f"has {len(self.tiers)} tiers", field="tiers", fix=f"give 1 to {ENTRIES_MAX} tiers")
        for place, tier in enumerate(self.tiers):
            _check(tier, f"tiers[{place}]", is_last=place == len(self.tiers) - 1)

    @classmethod
    def parse(cls, terms: Definition) -> "Blocks":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "charged", "tiers", "negative_quantity")
        charged = terms.choice("charged", _CHARGED)
        tiers = tuple(_parse_tier(tier) for tier in terms.objects("tiers"))
        negative = terms.choice("negative_quantity", NEGATIVE, default="refuse")
        return cls(cast("Charged", charged), tiers, cast("NegativeQuantity", negative))

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        tiers = [
            {
                "block_size": decimal_text(tier.block_size),
                "block_amount": decimal_text(tier.block_amount),
                "max_blocks": None if tier.max_blocks is None else decimal_text(tier.max_blocks),
            }
            for tier in self.tiers
        ]
        return {"charged": self.charged, "tiers": tiers, "negative_quantity": self.negative_quantity}

    def amount_for(self, quantity: Decimal) -> Priced:
        """The exact amount. Raises `QuantityNegative` unless the price says what that means."""
        if quantity < 0:
            return below_zero(quantity, is_refused=self.negative_quantity == "refuse")
        if not quantity:
            return Priced.of(TraceStep.of("no_usage", ZERO, quantity=ZERO))
        filled = list(self._filled(quantity))
        if self.charged == "top_tier":
            number, tier, _ = filled[-1]
            filled = [(number, tier, quantity)]
        return Priced.of(*(_step(number, tier, units) for number, tier, units in filled))

    def _filled(self, quantity: Decimal) -> Iterator[tuple[int, BlockTier, Decimal]]:
        """(number, tier, units in it) of the tiers that the quantity fills or enters."""
        left = quantity
        for number, tier in enumerate(self.tiers, start=1):
            room = left if tier.max_blocks is None else EXACT.multiply(tier.max_blocks, tier.block_size)
            units = min(left, room)
            yield number, tier, units
            left = EXACT.subtract(left, units)
            if not left:
                return


def _step(number: int, tier: BlockTier, units: Decimal) -> TraceStep:
    blocks = started(units, tier.block_size)
    return TraceStep.of(
        "block_tier",
        EXACT.multiply(blocks, tier.block_amount),
        tier=str(number),
        quantity=units,
        blocks=blocks,
        block_size=tier.block_size,
        block_amount=tier.block_amount,
    )


def _parse_tier(tier: Definition) -> BlockTier:
    tier.only("block_size", "block_amount", "max_blocks")
    if "max_blocks" not in tier.entries:
        raise tier.refuse("max_blocks", "is missing", fix="give the blocks of this tier, or null in the last tier")
    return BlockTier(tier.decimal("block_size"), tier.decimal("block_amount"), tier.optional_decimal("max_blocks"))


def _check(tier: BlockTier, field: str, *, is_last: bool) -> None:
    if tier.block_size <= 0:
        raise PriceInvalid("is not above zero", field=f"{field}.block_size", fix="give the units of one block")
    if tier.block_amount < 0:
        raise PriceInvalid("is below zero", field=f"{field}.block_amount", fix="give zero or more")
    most = tier.max_blocks
    if is_last and most is not None:
        fix = "leave it null, or add an open tier after it, at zero if further units are free"
        raise PriceInvalid("ends the tiers, so units above it have no price", field=f"{field}.max_blocks", fix=fix)
    if not is_last and (most is None or most <= 0 or most != most.to_integral_value()):
        fix = "give a whole number above zero; null is for the last tier"
        raise PriceInvalid("is not a number of blocks", field=f"{field}.max_blocks", fix=fix)
