"""Proration: which part of a period is due, by what a rule counts, and what follows for an amount."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, Literal, TypeAlias, cast

from domain.canonical import Json
from domain.definitions import Definition
from domain.money import EXACT, ZERO, Money, allocate, exact_sum, proportion, total
from domain.periods import PeriodEmpty, WindowOutside, day_in, month_of
from domain.units import Mode, Rounding

#: Two dates, or two instants; the end is outside.
Bounds: TypeAlias = tuple[date, date]
#: What becomes of a stretch that is longer than its period, or not within it: refused, counted, or counted once.
Beyond = Literal["refuse", "count", "cap"]
#: How a part of a month is counted: by its days, over 30, or with every month's last day as its 30th.
MonthRule = Literal["actual", "actual_30", "strict_30"]

_BEYOND: Final[tuple[Beyond, ...]] = ("refuse", "count", "cap")
_MONTH_DAYS_MAX: Final = 31
_COMMERCIAL_DAYS: Final = 30
_TICK: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Proportion:
    """`part` of `whole`, in whatever both were counted; above one where more is due than a whole period."""

    part: int
    whole: int

    def __post_init__(self) -> None:
        if self.whole <= 0 or self.part < 0:
            raise PeriodEmpty(f"{self.part} of {self.whole} is no part of a period", part=self.part, whole=self.whole)

    def of(self, amount: Money) -> Money:
        """That part of the amount, unrounded to `money.QUOTIENT_DIGITS` digits."""
        return proportion(amount, part=self.part, whole=self.whole)

    def factor(self, scale: int) -> Decimal:
        """The share as a decimal, rounded half up at `scale` decimals."""
        return Rounding("half_up", scale).quotient(Decimal(self.part), Decimal(self.whole))

    def capped(self) -> "Proportion":
        """The share, at most the whole."""
        return Proportion(min(self.part, self.whole), self.whole)


@dataclass(frozen=True, slots=True)
class ProrationRule:
    """What is counted: local days between dates, or time to the microsecond between instants.

    `beyond` says what a stretch outside its period means; `cap` also charges an empty stretch whole, since it was never
    part of a period. `month_days` counts every month as that many days (30), None as it is.
    """

    beyond: Beyond = "refuse"
    month_days: int | None = None

    def __post_init__(self) -> None:
        assert self.beyond in _BEYOND, self.beyond
        assert self.month_days is None or 0 < self.month_days <= _MONTH_DAYS_MAX, self.month_days

    @classmethod
    def parse(cls, terms: Definition) -> "ProrationRule":
        """The rule of a definition such as `{"beyond": "cap"}`; an empty one counts days as they are.

        Raises the definition's refusal, which names the field and the fix.
        """
        terms.only("beyond", "month_days")
        month_days = terms.integer("month_days")
        if month_days is not None and not 0 < month_days <= _MONTH_DAYS_MAX:
            raise terms.refuse("month_days", f"is {month_days}", fix=f"give 1 to {_MONTH_DAYS_MAX}, as a rule 30")
        return cls(cast("Beyond", terms.choice("beyond", _BEYOND, default="refuse")), month_days)

    def to_json(self) -> dict[str, Json]:
        """The fields that `parse` reads back."""
        days: dict[str, Json] = {} if self.month_days is None else {"month_days": self.month_days}
        return {"beyond": self.beyond, **days}

    def share(self, used: Bounds, full: Bounds | None) -> Proportion:
        """The part that `used` is of `full`, or of one month of `month_days` if there is no period.

        Raises `WindowOutside` if it is not within, unless the rule says what that means; `PeriodEmpty`.
        """
        if full is None:
            return Proportion(self._count(used), self.month_days or 0)
        if self.beyond == "cap" and (used[0] == used[1] or full[0] == full[1]):
            return Proportion(1, 1)
        if self.beyond == "refuse" and not full[0] <= used[0] <= used[1] <= full[1]:
            raise WindowOutside(f"{used[0]} to {used[1]} is not within {full[0]} to {full[1]}")
        share = Proportion(self._count(used), self._count(full))
        return share.capped() if self.beyond == "cap" else share

    def _count(self, bounds: Bounds) -> int:
        starts, ends = bounds
        if self.month_days is None:
            return (ends - starts) // _TICK
        return (month_of(ends) - month_of(starts)) * self.month_days + ends.day - starts.day


@dataclass(frozen=True, slots=True)
class PlanChange:
    """What is given back of the old price and asked for the new one, each rounded on its own."""

    credit: Money
    charge: Money

    @property
    def net(self) -> Money:
        """What is to pay; negative if more is given back."""
        return self.credit + self.charge


def plan_change(old: Money, new: Money, *, left: Proportion, new_in_full: bool = False) -> PlanChange:
    """What a change of price comes to when `left` of the period is still to come.

    `new_in_full` asks for the whole new price, as where a new period begins on the day of the change.
    """
    charge = new if new_in_full else left.of(new)
    return PlanChange(-left.of(old).rounded(), charge.rounded())


def month_share(first_on: date, last_on: date, rule: MonthRule) -> Proportion:
    """The part of a month from one day to another, both within. Raises `PeriodEmpty` if they are out of order."""
    if last_on < first_on:
        raise PeriodEmpty(f"no day from {first_on} to {last_on}", first_on=first_on)
    if rule == "strict_30":
        months = month_of(last_on) - month_of(first_on)
        days = _COMMERCIAL_DAYS * months + _commercial_day(last_on) - _commercial_day(first_on) + 1
        return Proportion(days, _COMMERCIAL_DAYS)
    days = (last_on - first_on) // _DAY + 1
    month_days = day_in(month_of(first_on), _MONTH_DAYS_MAX).day if rule == "actual" else _COMMERCIAL_DAYS
    return Proportion(days, month_days)


def months_amount(price: Money, *, full_months: int, rest: Proportion) -> Money:
    """A monthly price over whole months and a part of one, unrounded."""
    return price.times(Decimal(full_months)) + rest.of(price)


def ratable(amount: Money, weights: Sequence[Decimal], *, mode: Mode = "half_up") -> tuple[Money, ...]:
    """The amount over periods by weight (days, time): each rounded on its own, the last takes what remains.

    So the last may have the other sign where an amount of few minor units is spread over many periods.
    Raises `AllocationImpossible` as `money.allocate` does.
    """
    parts = _rounded_shares(amount, weights, mode)[:-1]
    return (*parts, amount - total(parts, amount.currency))


def ratable_mixed(amount: Money, weights: Sequence[Decimal]) -> tuple[Money, ...]:
    """The amount over periods of which the first and the last are by weight and those between all alike.

    The first and last are rounded half up, those between are cut, and the last of these takes what remains. Two periods
    have none between, so the last takes it. Raises `AllocationImpossible` as `money.allocate` does.
    """
    between = len(weights) - 2
    if between < 1:
        return ratable(amount, weights)
    shares = _rounded_shares(amount, weights, "half_up")
    first, last = shares[0], shares[-1]
    middle = amount - first - last
    cut = Rounding("down", amount.currency.minor_units).quotient(middle.amount, Decimal(between))
    alike = (Money(cut, amount.currency),) * (between - 1)
    return (first, *alike, middle - total(alike, amount.currency), last)


def unpaid_units(quantity: Decimal, paid: Sequence[Decimal]) -> Decimal:
    """How many units lie above those already paid; a decrease gives nothing back."""
    return max(EXACT.subtract(quantity, exact_sum(paid)), ZERO)


def _commercial_day(day: date) -> int:
    is_last = day == day_in(month_of(day), _MONTH_DAYS_MAX)
    return _COMMERCIAL_DAYS if is_last else day.day


def _rounded_shares(amount: Money, weights: Sequence[Decimal], mode: Mode) -> tuple[Money, ...]:
    allocate(amount, weights)  # refuses what cannot be spread
    rounding, whole = Rounding(mode, amount.currency.minor_units), exact_sum(weights)
    return tuple(
        Money(rounding.quotient(EXACT.multiply(amount.amount, weight), whole), amount.currency) for weight in weights
    )
