"""Coupons: percentages and amounts given on a document, one after another, each on what the ones before it left."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from domain.canonical import decimal_text
from domain.definitions import DefinitionInvalid
from domain.discounts import percentage_of, spread, spread_exactly
from domain.money import Money, total

Order = Literal["as_listed", "percentage_first"]
Spreading = Literal["minor_units", "exact"]
_SPREAD: Final = {"minor_units": spread, "exact": spread_exactly}
_HUNDRED: Final = 100


class CouponInvalid(DefinitionInvalid):
    """A coupon gives nothing, gives two things, or gives more than there is; `facts` name the field and the fix."""

    code = "coupon_invalid"


@dataclass(frozen=True, slots=True)
class Coupon:
    """A percentage, or an amount of which `used` was given before; one that is renewed with each document has none.

    It ends when its uses are spent, on the day `expires_on`, or when its amount is given. `only` names the lines it
    is for; None means all.
    """

    name: str
    percent: Decimal | None = None
    amount: Money | None = None
    used: Money | None = None
    only: frozenset[str] | None = None
    uses_left: int | None = None
    expires_on: date | None = None

    def __post_init__(self) -> None:
        if (self.percent is None) == (self.amount is None):
            fix = "give a percentage or an amount"
            raise CouponInvalid("and amount are both given or both missing", field="percent", fix=fix)
        if self.percent is not None and not 0 < self.percent <= _HUNDRED:
            sentence = f"is {decimal_text(self.percent)}"
            raise CouponInvalid(sentence, field="percent", fix="give more than 0 and at most 100")
        if self.amount is not None and (self.amount.is_negative or not self.amount.is_rounded):
            raise CouponInvalid(
                f"is {self.amount.to_text()}", field="amount", fix="give whole minor units, not negative"
            )
        if self.uses_left is not None and self.uses_left < 0:
            raise CouponInvalid(f"is {self.uses_left}", field="uses_left", fix="give zero or more")

    def is_valid(self, on: date) -> bool:
        """Whether it may be used on that day."""
        return self.uses_left != 0 and (self.expires_on is None or on < self.expires_on)

    def of(self, amount: Money) -> Money:
        """What it gives on so much: in minor units, never more."""
        if self.percent is not None:
            return percentage_of(self.percent, amount)
        assert self.amount is not None
        left = self.amount if self.used is None else self.amount - self.used
        return max(min(left, amount), Money.zero(amount.currency))

    def after(self, given: Money) -> "Coupon":
        """What is left of the coupon after it gave so much; giving nothing is no use."""
        if given.is_zero:
            return self
        uses = None if self.uses_left is None else self.uses_left - 1
        if self.amount is None or self.used is None:
            return replace(self, uses_left=uses)
        return replace(self, uses_left=uses, used=self.used + given)


@dataclass(frozen=True, slots=True)
class Discountable:
    """A line before coupons, under the name that coupons may be limited to."""

    name: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Use:
    """What a coupon gave, and on which lines: one share for each line of the document."""

    coupon: Coupon
    amount: Money
    shares: tuple[Money, ...]


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The coupons that gave something, in the order they did, and what they left of each line."""

    uses: tuple[Use, ...]
    remaining: tuple[Money, ...]


def redeemed(
    lines: Sequence[Discountable],
    coupons: Sequence[Coupon],
    *,
    on: date,
    order: Order,
    spreading: Spreading = "minor_units",
) -> Redeemed:
    """The lines of a document less its coupons, which act in the order listed or percentages before amounts.

    Each acts on what is left of the lines that it is for, and is spread over them by what is left of each; it never
    makes a line negative, and gives nothing on one that is. `exact` shares are unrounded, for taxes on each line.
    """
    remaining, uses = [line.amount for line in lines], []
    for coupon in sorted(coupons, key=lambda each: order == "percentage_first" and each.percent is None):
        if not coupon.is_valid(on):
            continue
        eligible = [
            amount if coupon.only is None or line.name in coupon.only else Money.zero(amount.currency)
            for line, amount in zip(lines, remaining, strict=True)
        ]
        shares = _shares(coupon, eligible, spreading)
        if any(not share.is_zero for share in shares):
            remaining = [amount - share for amount, share in zip(remaining, shares, strict=True)]
            uses.append(Use(coupon, total(shares, shares[0].currency), shares))
    return Redeemed(tuple(uses), tuple(remaining))


def _shares(coupon: Coupon, eligible: Sequence[Money], spreading: Spreading) -> tuple[Money, ...]:
    positive = [amount for amount in eligible if amount.amount > 0]
    if not positive:
        return ()
    given = coupon.of(total(positive, positive[0].currency))
    return _SPREAD[spreading](given, eligible)
