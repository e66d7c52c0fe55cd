"""Stairstep: one amount for the whole quantity, that of the tier it falls in.

More usage may cost less here: nothing keeps a higher stair from being cheaper.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from domain.prices.tiers import RateField
from domain.prices.volume import OneTier


@dataclass(frozen=True, slots=True)
class Stairstep(OneTier):
    """Tiers with nothing but a flat amount, of which one is due; never the sum of all tiers that were entered."""

    model: ClassVar[Literal["stairstep"]] = "stairstep"
    rate_field: ClassVar[RateField] = "flat_amount"
