"""Buckets: the hours, days or months of a billing period by which a metric may be taken."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final, Literal

from domain.periods import BillingPeriod, MonthlyCycle, Window, first_instant

Bucket = Literal["hour", "day", "month"]
BUCKETS: Final[tuple[Bucket, ...]] = ("hour", "day", "month")
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


def buckets_of(period: BillingPeriod, bucket: Bucket) -> tuple[Window, ...]:
    """The buckets of a period in order: they leave nothing out and never overlap.

    Days and months are those of the period's zone; hours are counted from the first instant of each local day, so that
    a day on which clocks change has 23 or 25 of them, or ends with half of one. What lies outside is cut off.
    """
    match bucket:
        case "hour":
            return tuple(hour for day in _days(period) for hour in _hours(day))
        case "day":
            return tuple(_days(period))
        case "month":
            return tuple(_months(period))


def _days(period: BillingPeriod) -> Iterator[Window]:
    for number in range(period.days.count):
        day: date = period.days.first_on + number * _DAY
        starts_at, ends_at = first_instant(day, period.zone), first_instant(day + _DAY, period.zone)
        if starts_at < ends_at:  # not a day that the zone left out
            yield Window(starts_at, ends_at)


def _hours(day: Window) -> Iterator[Window]:
    starts_at = day.starts_at
    while starts_at < day.ends_at:
        ends_at = min(starts_at + _HOUR, day.ends_at)
        yield Window(starts_at, ends_at)
        starts_at = ends_at


def _months(period: BillingPeriod) -> Iterator[Window]:
    for month in MonthlyCycle(period.zone).periods_from(period.days.first_on):
        if month.starts_at >= period.ends_at:
            return
        yield Window(max(month.starts_at, period.starts_at), min(month.ends_at, period.ends_at))
