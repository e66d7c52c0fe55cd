"""Recurrences: days of a zone that come again every so many months, weeks or days, and the periods between them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from domain.errors import Rejection
from domain.periods import PERIODS_MAX, Days, Window, day_in, first_instant, local_date, month_of

#: "P1M", "P3M", "P1Y", "P2W", "P10D": the durations of ISO 8601 that are whole days, in one unit.
_DURATION: Final = re.compile(r"P([1-9][0-9]{0,3})([YMWD])", re.ASCII)
_MONTHS_OF: Final = {"Y": 12, "M": 1}
_DAYS_OF: Final = {"W": 7, "D": 1}
_MIDNIGHT: Final = time()


class IntervalInvalid(Rejection):
    """The text is not a number of years, months, weeks or days such as `P3M`."""

    code = "interval_invalid"


class TooManyPeriods(Rejection):
    """More periods lie between two instants than a century has months."""

    code = "too_many_periods"


@dataclass(frozen=True, slots=True)
class Interval:
    """So many months or so many days; months are as long as they are."""

    months: int = 0
    days: int = 0

    def __post_init__(self) -> None:
        assert (self.months > 0) != (self.days > 0), self
        assert min(self.months, self.days) == 0, self

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """The interval of an ISO 8601 duration such as `P1M`. Raises `IntervalInvalid`."""
        match = _DURATION.fullmatch(text)
        if match is None:
            raise IntervalInvalid(f"{text!r:.40} is no whole number of years, months, weeks or days", interval=text)
        number, unit = int(match[1]), match[2]
        return cls(months=number * _MONTHS_OF.get(unit, 0), days=number * _DAYS_OF.get(unit, 0))


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The local days that lie whole intervals before or after `anchor_on`; each begins at `at` of the zone's clock.

    Months clamp and return: what recurs on the 31st falls on the last day of a shorter month and on the 31st of the
    next. `anchor_day` is that day where the anchor itself was clamped. A time that the zone's clock skips comes as much
    later as the clock was put forward; one that comes twice is the first.
    """

    interval: Interval
    anchor_on: date
    anchor_day: int = 0
    at: time = _MIDNIGHT
    zone: str = "UTC"

    def day(self, place: int) -> date:
        """The recurring day that lies `place` intervals after the anchor, before it if negative."""
        if self.interval.days:
            return self.anchor_on + timedelta(days=place * self.interval.days)
        month = month_of(self.anchor_on) + place * self.interval.months
        return day_in(month, self.anchor_day or self.anchor_on.day)

    def instant(self, place: int) -> datetime:
        """When that day begins, in UTC. Raises `ZoneUnknown`."""
        begins = first_instant(self.day(place), self.zone)
        if self.at == _MIDNIGHT:
            return begins
        return datetime.combine(self.day(place), self.at, ZoneInfo(self.zone)).astimezone(UTC)

    def days_at(self, day: date) -> Days:
        """The period of whole days that holds the day."""
        place = self._last_place(day)
        return Days(self.day(place), self.day(place + 1))

    def period_at(self, instant: datetime) -> Window:
        """The one period that contains the instant. Raises `ZoneUnknown`."""
        place = self._place_at(instant)
        return Window(self.instant(place), self.instant(place + 1))

    def next_after(self, instant: datetime) -> datetime:
        """The first recurring instant that is later. Raises `ZoneUnknown`."""
        return self.instant(self._place_at(instant) + 1)

    def periods_between(self, starts_at: datetime, until: datetime) -> tuple[Window, ...]:
        """The periods from `starts_at` to the one that holds the last instant before `until`, which is whole.

        The first is shorter where service starts within one.
        Raises `PeriodEmpty`, `ZoneUnknown`, or `TooManyPeriods` above `PERIODS_MAX`.
        """
        service = Window(starts_at, until)
        periods = tuple(islice(self._periods_from(service), PERIODS_MAX + 1))
        if len(periods) > PERIODS_MAX:
            raise TooManyPeriods(f"more than {PERIODS_MAX} periods from {starts_at} to {until}", starts_at=starts_at)
        return periods

    def _periods_from(self, service: Window) -> Iterator[Window]:
        place, starts_at = self._place_at(service.starts_at), service.starts_at
        while starts_at < service.ends_at:
            place += 1
            ends_at = self.instant(place)
            if ends_at > starts_at:  # else the zone left the whole day out
                yield Window(starts_at, ends_at)
                starts_at = ends_at

    def _place_at(self, instant: datetime) -> int:
        """Where the period begins that contains the instant; clocks may have moved it past its local day."""
        place = self._last_place(local_date(instant, self.zone))
        while self.instant(place) > instant:
            place -= 1
        while self.instant(place + 1) <= instant:
            place += 1
        return place

    def _last_place(self, day: date) -> int:
        """The last place whose day is not later."""
        if self.interval.days:
            return (day - self.anchor_on).days // self.interval.days
        place = (month_of(day) - month_of(self.anchor_on)) // self.interval.months
        return place if self.day(place) <= day else place - 1


def calendar_days(day: date, interval: Interval, *, week_begins_on: int = 0) -> Days:
    """The calendar week, month, quarter or year that holds the day; a week begins on Monday (0) to Sunday (6).

    Months are counted from January, weeks from the first of that weekday in the year 1.
    """
    assert 0 <= week_begins_on < _DAYS_OF["W"], week_begins_on
    return Recurrence(interval, date(1, 1, 1 + week_begins_on if interval.days else 1)).days_at(day)
