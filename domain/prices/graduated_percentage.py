"""Graduated percentage: each unit of money that was turned over costs the percentage of the tier it falls in."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from domain.prices.graduated import GraduatedLadder
from domain.prices.tiers import RateField


@dataclass(frozen=True, slots=True)
class GraduatedPercentage(GraduatedLadder):
    """As `Graduated`, with `rate_percent` in its tiers (1 is one hundredth); its tiers hold the part of a unit."""

    model: ClassVar[Literal["graduated_percentage"]] = "graduated_percentage"
    rate_field: ClassVar[RateField] = "rate_percent"
