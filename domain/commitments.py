"""Commitments: what is paid at least, what is paid at most, and what is promised for each window of time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.money import EXACT, QUOTIENT, ZERO
from domain.periods import Window


@dataclass(frozen=True, slots=True)
class Committed:
    """What one window comes to: usage within the commitment, usage above it at the overage factor, and the true-up."""

    utilized: Decimal
    overage: Decimal
    true_up: Decimal

    @property
    def amount(self) -> Decimal:
        """All that the window costs."""
        return EXACT.add(EXACT.add(self.utilized, self.overage), self.true_up)


@dataclass(frozen=True, slots=True)
class WindowedCommitment:
    """An amount promised for each window of time, each window on its own.

    Below it the window is topped up if `is_trued_up`; what lies above it costs `overage_factor` times as much.
    """

    amount: Decimal
    is_trued_up: bool
    overage_factor: Decimal = Decimal(1)

    def of(self, cost: Decimal) -> Committed:
        """What a window comes to whose usage costs so much."""
        utilized = min(cost, self.amount)
        overage = EXACT.multiply(EXACT.subtract(cost, utilized), self.overage_factor)
        true_up = EXACT.subtract(self.amount, utilized) if self.is_trued_up else ZERO
        return Committed(utilized, overage, true_up)


def over_maximum(amount: Decimal, maximum: Decimal, *, billed: Decimal = ZERO) -> Decimal:
    """How much of an amount lies above what the maximum leaves after what was billed before.

    Never more than the amount: what was billed too much before is a correction's business, not a discount's.
    """
    above = EXACT.subtract(EXACT.add(amount, billed), maximum)
    return max(min(above, amount), ZERO)


def below_minimum(amount: Decimal, minimum: Decimal, *, billed: Decimal = ZERO) -> Decimal:
    """How much an amount and what was billed before lack to the minimum; nothing if they reach it."""
    return max(EXACT.subtract(minimum, EXACT.add(amount, billed)), ZERO)


def prorated_minimum(minimum: Decimal, *, part: int, whole: int) -> Decimal:
    """The minimum for `part` of `whole` days, cut at `money.QUOTIENT_DIGITS` digits; in full if both are equal."""
    assert 0 <= part <= whole, (part, whole)
    assert whole, whole
    return minimum if part == whole else QUOTIENT.divide(EXACT.multiply(minimum, Decimal(part)), Decimal(whole))


def owed_in(windows: Iterable[Window], service: Window) -> frozenset[datetime]:
    """The starts of the windows of time that lie in the service, or are cut by it: each is committed to in full."""
    return frozenset(
        each.starts_at for each in windows if each.starts_at < service.ends_at and each.ends_at > service.starts_at
    )
