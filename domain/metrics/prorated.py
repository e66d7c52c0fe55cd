"""Prorated quantities: units and members of a period, each for the whole local days on which it was there."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from domain.metrics.aggregation import Span
from domain.money import EXACT, ZERO
from domain.periods import Days, Window, local_date
from domain.presence import Presence, stayed
from domain.units import Rounding

_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Proration:
    """The period, the zone whose days count, of how many days the full period is, and how the total is rounded.

    From the day `ends_on` on nothing is there any more, where it ends before the period does.
    """

    period: Window
    zone: str
    day_count: int
    rounding: Rounding = field(default_factory=Rounding)
    ends_on: date | None = None

    def __post_init__(self) -> None:
        assert self.day_count > 0, self.day_count
        assert self.ends_on is None or self.ends_on > local_date(self.period.starts_at, self.zone), self.ends_on

    @property
    def days(self) -> Days:
        """The local days that the period touches, as far as anything is there."""
        last_on = local_date(self.period.ends_at - _TICK, self.zone)
        return Days(local_date(self.period.starts_at, self.zone), self.ends_on or last_on + timedelta(days=1))

    @property
    def held_days(self) -> int:
        """For how many days what came before the period is there."""
        return self.day_count if self.ends_on is None else self.days.count

    def of_days(self, unit_days: Decimal) -> Decimal:
        """Units times days over the days of the full period, divided and rounded once."""
        return self.rounding.quotient(unit_days, Decimal(self.day_count))


def proration_of(span: Span) -> Proration:
    """Of a billing period by its own days; where the subscription ends in it, to the day before that day.

    So a member of a subscription that ends on the day it begins is there for that one day.
    """
    period = span.billing
    ends_on = local_date(span.ends_at, period.zone) if span.ends_at < period.ends_at else None
    if ends_on is not None:
        ends_on = max(ends_on, period.days.first_on + timedelta(days=1))
    return Proration(period.window, period.zone, period.days.count, ends_on=ends_on)


def prorated_sum(readings: Iterable[tuple[datetime, Decimal]], proration: Proration) -> Decimal:
    """Units from the day they came on to the end of the days; those from before the period for all of them.

    The day of the event counts. What comes after the period is none of it.
    """
    total, end_on = ZERO, proration.days.end_on
    for happened_at, units in readings:
        if happened_at >= proration.period.ends_at:
            continue
        is_earlier = happened_at < proration.period.starts_at
        days = proration.held_days if is_earlier else (end_on - local_date(happened_at, proration.zone)).days
        total = EXACT.add(total, EXACT.multiply(units, Decimal(max(days, 0))))
    return proration.of_days(total)


def prorated_unique(operations: Iterable[tuple[datetime, str, bool]], proration: Proration) -> Decimal:
    """Members for each day on any part of which they were there; the day of their removal counts.

    `operations` are (instant, member, whether it was added or else removed), in any order; at one instant what was
    added can be removed.
    """
    before: dict[str, bool] = {}
    changes: list[Presence] = []
    for happened_at, member, is_added in sorted(operations, key=lambda each: (each[0], not each[2])):
        if happened_at < proration.period.starts_at:
            before[member] = is_added
        elif happened_at < proration.period.ends_at:
            on = local_date(happened_at, proration.zone)
            changes.append(Presence(on, member, "add" if is_added else "remove"))
    there = [Presence(proration.days.first_on, member, "add") for member, is_added in before.items() if is_added]
    return proration.of_days(Decimal(sum(each.days for each in stayed(proration.days, [*there, *changes]))))
