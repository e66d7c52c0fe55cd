"""Capacity: one amount for the period, that of the lowest tier whose limits hold for all greatest values.

More usage may cost less here: nothing keeps a higher tier from being cheaper.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal, cast

from domain.canonical import Json, decimal_text
from domain.definitions import ENTRIES_MAX, Definition
from domain.money import ZERO
from domain.prices.measured import Measured, NotMeasured
from domain.prices.priced import (
    NEGATIVE,
    NegativeQuantity,
    Priced,
    PriceInvalid,
    QuantityNegative,
    TraceStep,
    UsageNotPriced,
)
from domain.prices.tiers import ZERO_USAGE, ZeroUsage


@dataclass(frozen=True, slots=True)
class CapacityTier:
    """`amount` for peaks up to and including the limits by name; None, or no limit of that name: any peak."""

    amount: Decimal
    limits: Mapping[str, Decimal | None]

    def holds(self, peaks: Mapping[str, Decimal]) -> bool:
        """Whether every peak is within its limit."""
        bounds = ((self.limits.get(name), peak) for name, peak in peaks.items())
        return all(limit is None or peak <= limit for limit, peak in bounds)


@dataclass(frozen=True, slots=True)
class Capacity:
    """Tiers in ascending order, the last one without a limit; the amount is never multiplied by a quantity.

    Where the tiers name a single peak, the quantity is that peak if the metric keeps no peaks by name.
    """

    model: ClassVar[Literal["capacity"]] = "capacity"
    tiers: tuple[CapacityTier, ...]
    zero_usage: ZeroUsage
    negative_quantity: NegativeQuantity = "refuse"

    def __post_init__(self) -> None:
        if not 0 < len(self.tiers) <= ENTRIES_MAX:
            raise PriceInvalid(f"has {len(self.tiers)} tiers", field="tiers", fix=f"give 1 to {ENTRIES_MAX} tiers")
        if not self.names:
            raise PriceInvalid("names no peak", field="tiers[0].limits", fix="name every peak that is to be looked at")
        for place, tier in enumerate(self.tiers):
            before = self.tiers[place - 1] if place else None
            _check(tier, before, f"tiers[{place}]", is_last=place == len(self.tiers) - 1)

    @property
    def names(self) -> frozenset[str]:
        """The peaks that it looks at."""
        return frozenset(name for tier in self.tiers for name in tier.limits)

    @classmethod
    def parse(cls, terms: Definition) -> "Capacity":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "tiers", "zero_usage", "negative_quantity")
        negative = terms.choice("negative_quantity", NEGATIVE, default="refuse")
        return cls(
            tuple(_parse_tier(tier) for tier in terms.objects("tiers")),
            cast("ZeroUsage", terms.choice("zero_usage", ZERO_USAGE)),
            cast("NegativeQuantity", negative),
        )

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        tiers: list[Json] = [
            {"amount": decimal_text(tier.amount), "limits": _limits_json(tier.limits)} for tier in self.tiers
        ]
        return {"tiers": tiers, "zero_usage": self.zero_usage, "negative_quantity": self.negative_quantity}

    def price(self, measured: Measured) -> Priced:
        """The amount of the tier that is reached; where all peaks are zero, as `zero_usage` says.

        Raises `NotMeasured`, `QuantityNegative`, or `UsageNotPriced` for a peak that no tier names.
        """
        peaks = {name: peak for name, peak in self._peaks(measured).items() if self._counts(name, peak)}
        if self.zero_usage == "none" and not any(peaks.values()):
            return Priced.of(TraceStep.of("no_usage", ZERO, quantity=ZERO))
        number, tier = next((n, tier) for n, tier in enumerate(self.tiers, start=1) if tier.holds(peaks))
        told = ", ".join(f"{name} {decimal_text(peak)}" for name, peak in sorted(peaks.items()))
        return Priced.of(TraceStep.of("capacity_tier", tier.amount, tier=str(number), peaks=told))

    def _peaks(self, measured: Measured) -> Mapping[str, Decimal]:
        if measured.peaks is not None:
            return measured.peaks
        if len(self.names) > 1:
            raise NotMeasured(f"the metric keeps one quantity, not {', '.join(sorted(self.names))}", model=self.model)
        return dict.fromkeys(self.names, measured.quantity)

    def _counts(self, name: str, peak: Decimal) -> bool:
        if name not in self.names:
            raise UsageNotPriced(f"no tier says how much {name:.80} it is for", name=name[:80])
        if peak < 0 and self.negative_quantity == "refuse":
            raise QuantityNegative(f"{name} is {decimal_text(peak)}", quantity=peak)
        return peak >= 0


def _limits_json(limits: Mapping[str, Decimal | None]) -> dict[str, Json]:
    return {name: None if limit is None else decimal_text(limit) for name, limit in sorted(limits.items())}


def _parse_tier(tier: Definition) -> CapacityTier:
    tier.only("amount", "limits")
    return CapacityTier(tier.decimal("amount"), tier.limits("limits"))


def _check(tier: CapacityTier, before: CapacityTier | None, field: str, *, is_last: bool) -> None:
    """Refuses a tier that cannot be reached, or that leaves a peak without a price."""
    if tier.amount < 0:
        raise PriceInvalid("is below zero", field=f"{field}.amount", fix="give zero or more")
    for name, limit in tier.limits.items():
        if limit is not None and limit < 0:
            raise PriceInvalid("is below zero", field=f"{field}.limits.{name}", fix="give zero or more")
    if is_last and any(limit is not None for limit in tier.limits.values()):
        fix = "leave the limits of the last tier null, or add a tier without limits after it"
        raise PriceInvalid("ends the tiers, so peaks above have no price", field=f"{field}.limits", fix=fix)
    if before is None:
        return
    is_higher = False
    for name in {*before.limits, *tier.limits}:
        low, high = before.limits.get(name), tier.limits.get(name)
        if high is not None and (low is None or high < low):
            fix = "give at least the limit of the tier before"
            raise PriceInvalid("is lower than in the tier before", field=f"{field}.limits.{name}", fix=fix)
        is_higher = is_higher or low != high
    if not is_higher:
        fix = "raise one of its limits, or remove the tier"
        raise PriceInvalid("are those of the tier before", field=f"{field}.limits", fix=fix)
