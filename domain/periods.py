"""Periods: from local dates of a zone to instants, and the part of an amount that a stretch of days is due."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.errors import Rejection
from domain.money import Money, proportion

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A hundred years of months; a larger count is a mistake.
PERIODS_MAX: Final = 1_200
#: Before every instant: since ever.
EVER: Final = datetime.min.replace(tzinfo=UTC)
#: After every instant: until further notice.
OPEN_END: Final = datetime.max.replace(tzinfo=UTC)

_DAYS_CACHED: Final = 65_536
_ZONES_CACHED: Final = 1_024
_SECOND: Final = timedelta(seconds=1)
_MONTHS: Final = 12
_ANCHOR_DAY_MAX: Final = 31


class ZoneUnknown(Rejection):
    """The name is not a zone of the IANA time zone database."""

    code = "zone_unknown"


class PeriodEmpty(Rejection):
    """The period would end before it begins, or hold no instant."""

    code = "period_empty"


class WindowOutside(Rejection):
    """The days in use are not within the full period."""

    code = "window_outside"


@dataclass(frozen=True, slots=True)
class Days:
    """Whole local days, from `first_on` until before `end_on`."""

    first_on: date
    end_on: date

    def __post_init__(self) -> None:
        if self.end_on <= self.first_on:
            raise PeriodEmpty(f"no day from {self.first_on} to before {self.end_on}", first_on=self.first_on)

    @property
    def count(self) -> int:
        """How many days."""
        return (self.end_on - self.first_on).days

    def holds(self, other: "Days") -> bool:
        """Whether every day of `other` is one of these."""
        return self.first_on <= other.first_on and other.end_on <= self.end_on


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of time `[starts_at, ends_at)` between two instants in UTC."""

    starts_at: datetime
    ends_at: datetime

    def __post_init__(self) -> None:
        assert not self.starts_at.utcoffset(), self.starts_at
        assert not self.ends_at.utcoffset(), self.ends_at
        if self.ends_at <= self.starts_at:
            raise PeriodEmpty(f"no instant from {self.starts_at} to before {self.ends_at}", starts_at=self.starts_at)

    def contains(self, instant: datetime) -> bool:
        """Whether the instant lies in it; the end does not."""
        return self.starts_at <= instant < self.ends_at

    def holds(self, other: "Window") -> bool:
        """Whether all of `other` lies in it."""
        return self.starts_at <= other.starts_at and other.ends_at <= self.ends_at


@dataclass(frozen=True, slots=True)
class BillingPeriod:
    """When service is charged together: whole local days of a zone and the instants that bound them.

    The instants are settled once, when the period is made; a later release of the zone database does not move them.
    """

    zone: str
    days: Days
    window: Window

    @property
    def starts_at(self) -> datetime:
        """The first instant, in UTC."""
        return self.window.starts_at

    @property
    def ends_at(self) -> datetime:
        """The first instant after it, in UTC."""
        return self.window.ends_at

    def contains(self, instant: datetime) -> bool:
        """Whether the instant lies in it; the end does not."""
        return self.window.contains(instant)

    @property
    def label(self) -> str:
        """A name for people: `2013-01` for a calendar month, else `2013-01-15/2013-02-15`."""
        first_on, end_on = self.days.first_on, self.days.end_on
        if first_on.day == 1 and end_on == day_in(month_of(first_on) + 1, 1):
            return f"{first_on:%Y-%m}"
        return f"{first_on}/{end_on}"


@dataclass(frozen=True, slots=True)
class MonthlyCycle:
    """Stretches of whole months in a zone, each `months` long.

    They begin on `anchor_day`, or on the last day of a month that is shorter, of `anchor_month` and of every month that
    is a whole number of stretches away from it.
    """

    zone: str
    anchor_day: int = 1
    months: int = 1
    anchor_month: int = 1

    def __post_init__(self) -> None:
        assert 1 <= self.anchor_day <= _ANCHOR_DAY_MAX, self.anchor_day
        assert 1 <= self.anchor_month <= _MONTHS, self.anchor_month
        assert _MONTHS % self.months == 0, self.months

    def period_at(self, instant: datetime) -> BillingPeriod:
        """The one period that contains the instant."""
        month = self._month_at(local_date(instant, self.zone))
        period = self._period(month)
        # Where a clock goes back over midnight the last minutes of a day come again after the next has begun.
        return period if instant < period.ends_at else self._period(month + self.months)

    def periods_from(self, first_on: date) -> "Iterator[BillingPeriod]":
        """The period of that local day and all later ones."""
        month = self._month_at(first_on)
        while True:
            yield self._period(month)
            month += self.months

    def _month_at(self, day: date) -> int:
        month = month_of(day)
        begun = month if day_in(month, self.anchor_day) <= day else month - 1
        return begun - (begun - (self.anchor_month - 1)) % self.months

    def _period(self, month: int) -> BillingPeriod:
        first_on, end_on = day_in(month, self.anchor_day), day_in(month + self.months, self.anchor_day)
        return billing_period(self.zone, Days(first_on, end_on))


def billing_period(zone: str, days: Days) -> BillingPeriod:
    """The period of whole local days. Raises `ZoneUnknown`, or `PeriodEmpty` for days that the zone left out."""
    return BillingPeriod(zone, days, Window(first_instant(days.first_on, zone), first_instant(days.end_on, zone)))


def month_periods(zone: str, first_on: date, count: int) -> tuple[BillingPeriod, ...]:
    """`count` calendar months, the first being the one of the local day `first_on`."""
    assert 0 <= count <= PERIODS_MAX, count
    return tuple(islice(MonthlyCycle(zone).periods_from(first_on), count))


def month_containing(instant: datetime, zone: str) -> BillingPeriod:
    """The calendar month of the zone that contains the instant."""
    return MonthlyCycle(zone).period_at(instant)


@lru_cache(maxsize=_DAYS_CACHED)
def first_instant(day: date, zone: str) -> datetime:
    """The first instant, in UTC, at which a calendar in the zone shows `day` or a later one.

    That is midnight; where clocks were put forward over midnight, the instant of the change; where midnight comes
    twice, the first. A day that a zone left out has the first instant of the next.
    Raises `ZoneUnknown`.
    """
    place = _zone(zone)
    midnight = datetime.combine(day, time(), place)
    first = midnight.astimezone(UTC)
    if first.astimezone(place).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return first
    # Midnight was skipped: with the offset of after the change it lies before the change, with that of before, not.
    too_early, late_enough = midnight.replace(fold=1).astimezone(UTC), first
    while late_enough - too_early > _SECOND:
        middle = too_early + (late_enough - too_early) // _SECOND // 2 * _SECOND
        if middle.astimezone(place).date() < day:
            too_early = middle
        else:
            late_enough = middle
    return late_enough


def local_date(instant: datetime, zone: str) -> date:
    """What a calendar in the zone shows at the instant. Raises `ZoneUnknown`."""
    return instant.astimezone(_zone(zone)).date()


def days_between(starts_at: datetime, ends_at: datetime, zone: str) -> int:
    """How many times the calendar of the zone turns a day from one instant to the other."""
    return (local_date(ends_at, zone) - local_date(starts_at, zone)).days


def prorated(amount: Money, *, used: Days, full: Days) -> Money:
    """The part of `amount` for the days of `used` in `full`, unrounded.

    Days are counted whole, in the legal entity's calendar. Raises `WindowOutside` if `used` is not within `full`.
    """
    if not full.holds(used):
        raise WindowOutside(f"{used.first_on} to {used.end_on} is not within {full.first_on} to {full.end_on}")
    return proportion(amount, part=used.count, whole=full.count)


def prorated_by_time(amount: Money, *, used: Window, full: Window) -> Money:
    """The part of `amount` for the time of `used` in `full`, to the microsecond, unrounded.

    Raises `WindowOutside` if `used` is not within `full`.
    """
    if not full.holds(used):
        raise WindowOutside(f"{used.starts_at} to {used.ends_at} is not within {full.starts_at} to {full.ends_at}")
    tick = timedelta(microseconds=1)
    return proportion(
        amount, part=(used.ends_at - used.starts_at) // tick, whole=(full.ends_at - full.starts_at) // tick
    )


@lru_cache(maxsize=_ZONES_CACHED)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ZoneUnknown(f"{name!r} is no IANA time zone", zone=name) from error


def month_of(day: date) -> int:
    """Months since year 0, so that the next month is one more."""
    return day.year * _MONTHS + day.month - 1


def day_in(month: int, anchor_day: int) -> date:
    """The day of that number in a month of `month_of`, or its last day if it is shorter."""
    year, index = divmod(month, _MONTHS)
    next_year, next_index = divmod(month + 1, _MONTHS)
    length = (date(next_year, next_index + 1, 1) - date(year, index + 1, 1)).days
    return date(year, index + 1, min(anchor_day, length))
