"""Tiers: the ladder that several price models read, and what makes it whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Literal, TypeAlias, cast

from domain.canonical import Json, decimal_text
from domain.definitions import ENTRIES_MAX, Definition
from domain.money import EXACT, ZERO
from domain.prices.measured import OfQuantity
from domain.prices.priced import NEGATIVE, NegativeQuantity, Priced, PriceInvalid, TraceStep, below_zero, texts_of

ZeroUsage = Literal["none", "first_tier_flat"]
ZERO_USAGE: Final = ("none", "first_tier_flat")
#: How a tier says what a unit in it costs: an amount, a percentage of the unit, or nothing but its flat amount.
RateField = Literal["unit_amount", "rate_percent", "flat_amount"]


@dataclass(frozen=True, slots=True)
class Tier:
    """Units above the tier before and up to and including `up_to` (None: all further ones).

    Each costs `unit_amount`; `flat_amount` is due once as soon as the tier is entered; both together are at most
    `cap_amount`.
    """

    up_to: Decimal | None
    unit_amount: Decimal
    flat_amount: Decimal = ZERO
    cap_amount: Decimal | None = None

    @property
    def end(self) -> Decimal | str:
        """Where it ends, as a step of the trace tells it."""
        return "open" if self.up_to is None else self.up_to


@dataclass(frozen=True, slots=True)
class Ladder(OfQuantity):
    """Tiers in ascending order, the last one open.

    `zero_usage` says whether the first tier's flat amount is due when nothing was used, `negative_quantity` whether a
    quantity below zero is refused or costs nothing.
    """

    rate_field: ClassVar[RateField] = "unit_amount"
    tiers: tuple[Tier, ...]
    zero_usage: ZeroUsage
    negative_quantity: NegativeQuantity = "refuse"

    def __post_init__(self) -> None:
        if not 0 < len(self.tiers) <= ENTRIES_MAX:
            raise PriceInvalid(f"has {len(self.tiers)} tiers", field="tiers", fix=f"give 1 to {ENTRIES_MAX} tiers")
        faults = list(_faults(self.tiers, self.rate_field))
        if faults:
            raise PriceInvalid.all_of(faults)

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        tiers = [_tier_json(tier, self.rate_field) for tier in self.tiers]
        return {"tiers": tiers, "zero_usage": self.zero_usage, "negative_quantity": self.negative_quantity}

    def amount_for_none(self, quantity: Decimal) -> Priced | None:
        """What a quantity of zero or less costs; None for more. Raises `QuantityNegative`."""
        if quantity < 0:
            return below_zero(quantity, is_refused=self.negative_quantity == "refuse")
        if quantity:
            return None
        first = self.tiers[0]
        if self.zero_usage == "none" or not first.flat_amount:
            return Priced.of(TraceStep.of("no_usage", ZERO, quantity=ZERO))
        flat = TraceStep.of("tier_flat", first.flat_amount, tier="1", quantity=ZERO)
        if first.cap_amount is None or first.flat_amount <= first.cap_amount:
            return Priced.of(flat)
        over = EXACT.subtract(first.cap_amount, first.flat_amount)
        return Priced.of(flat, TraceStep.of("tier_cap", over, tier="1", cap_amount=first.cap_amount))


#: The fields of every ladder, in the order of its construction.
Rungs: TypeAlias = tuple[tuple[Tier, ...], ZeroUsage, NegativeQuantity]


def parse_rungs(terms: Definition, rate_field: RateField, *, is_capped: bool = False) -> Rungs:
    """What all ladders have. Raises `PriceInvalid`."""
    tiers = tuple(_parse_tier(tier, rate_field, is_capped=is_capped) for tier in terms.objects("tiers"))
    if "zero_usage" not in terms.entries and tiers and tiers[0].flat_amount:
        fix = "say first_tier_flat if the flat amount is due without usage, none if it is not"
        raise terms.refuse("zero_usage", "is missing, and the first tier has a flat amount", fix=fix)
    zero_usage = terms.choice("zero_usage", ZERO_USAGE, default="none")
    negative = terms.choice("negative_quantity", NEGATIVE, default="refuse")
    return tiers, cast("ZeroUsage", zero_usage), cast("NegativeQuantity", negative)


def rate_fact(tier: Tier, rate_field: RateField) -> dict[str, Decimal]:
    """What a unit of the tier costs, in the words of its terms."""
    match rate_field:
        case "unit_amount":
            return {rate_field: tier.unit_amount}
        case "rate_percent":
            return {rate_field: tier.unit_amount.scaleb(2, EXACT)}
        case "flat_amount":
            return {}


def _tier_json(tier: Tier, rate_field: RateField) -> dict[str, Json]:
    rate = {name: decimal_text(number) for name, number in rate_fact(tier, rate_field).items()}
    return {
        "up_to": None if tier.up_to is None else decimal_text(tier.up_to),
        **rate,
        "flat_amount": decimal_text(tier.flat_amount),
        **texts_of(cap_amount=tier.cap_amount),
    }


def _parse_tier(tier: Definition, rate_field: RateField, *, is_capped: bool) -> Tier:
    tier.only(*dict.fromkeys(("up_to", rate_field, "flat_amount")), *(("cap_amount",) if is_capped else ()))
    if "up_to" not in tier.entries:
        raise tier.refuse("up_to", "is missing", fix="give the last unit of the tier, or null in the last tier")
    up_to, rate = tier.optional_decimal("up_to"), tier.decimal(rate_field)
    if rate_field == "flat_amount":
        return Tier(up_to, ZERO, rate)
    flat_amount = tier.optional_decimal("flat_amount")
    return Tier(
        up_to,
        rate.scaleb(-2, EXACT) if rate_field == "rate_percent" else rate,
        ZERO if flat_amount is None else flat_amount,
        tier.optional_decimal("cap_amount"),
    )


def _faults(tiers: Sequence[Tier], rate_field: RateField) -> Iterator[PriceInvalid]:
    """Each tier that leaves units without a price, gives them two, or pays for them."""
    below = ZERO
    for place, tier in enumerate(tiers):
        numbers = {rate_field: tier.unit_amount, "flat_amount": tier.flat_amount, "cap_amount": tier.cap_amount}
        for name, number in numbers.items():
            if number is not None and number < 0:
                yield PriceInvalid("is below zero", field=f"tiers[{place}].{name}", fix="give zero or more")
        end = _end_fault(tier, below=below, is_last=place == len(tiers) - 1)
        if end is not None:
            yield PriceInvalid(end[0], field=f"tiers[{place}].up_to", fix=end[1])
        below = below if tier.up_to is None else max(below, tier.up_to)


def _end_fault(tier: Tier, *, below: Decimal, is_last: bool) -> tuple[str, str] | None:
    """What is wrong with where a tier ends, and what to do; None if nothing is."""
    if is_last:
        fix = "leave up_to of the last tier null, or add an open tier after it"
        return None if tier.up_to is None else ("ends the ladder, so units above it have no price", fix)
    if tier.up_to is None:
        return "is open although tiers follow", "give its last unit, or remove the tiers after it"
    if tier.up_to <= below:
        fix = f"give more than {decimal_text(below)}, where the tier before ends"
        return f"is {decimal_text(tier.up_to)}, so the tier is empty or overlaps the one before", fix
    return None
