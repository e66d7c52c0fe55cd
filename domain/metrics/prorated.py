"""Prorated quantities: units and members of a period, each for the whole local days on which it was there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from domain.money import EXACT, ZERO
from domain.periods import Days, Window, local_date
from domain.units import Rounding

_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Proration:
    """The period, the zone whose days count, of how many days the full period is, and how the total is rounded."""

    period: Window
    zone: str
    day_count: int
    rounding: Rounding = field(default_factory=Rounding)

    def __post_init__(self) -> None:
        assert self.day_count > 0, self.day_count

    @property
    def days(self) -> Days:
        """The local days that the period touches."""
        last_on = local_date(self.period.ends_at - _TICK, self.zone)
        return Days(local_date(self.period.starts_at, self.zone), last_on + timedelta(days=1))

    def of_days(self, unit_days: Decimal) -> Decimal:
        """Units times days over the days of the full period, divided and rounded once."""
        return self.rounding.quotient(unit_days, Decimal(self.day_count))


def prorated_sum(readings: Iterable[tuple[datetime, Decimal]], proration: Proration) -> Decimal:
    """Units from the day they came on to the end of the period; those from before it for all of the day count.

    The day of the event counts. What comes after the period is none of it.
    """
    total, end_on = ZERO, proration.days.end_on
    for happened_at, units in readings:
        if happened_at >= proration.period.ends_at:
            continue
        is_earlier = happened_at < proration.period.starts_at
        days = proration.day_count if is_earlier else (end_on - local_date(happened_at, proration.zone)).days
        total = EXACT.add(total, EXACT.multiply(units, Decimal(days)))
    return proration.of_days(total)


def prorated_unique(operations: Iterable[tuple[datetime, str, bool]], proration: Proration) -> Decimal:
    """Members for each day on any part of which they were there; the day of their removal counts.

    `operations` are (instant, member, whether it was added or else removed), in any order; at one instant what was
    added can be removed.
    """
    by_member: dict[str, list[tuple[datetime, bool]]] = {}
    for happened_at, member, is_added in operations:
        if happened_at < proration.period.ends_at:
            by_member.setdefault(member, []).append((happened_at, is_added))
    present = _days_present(by_member, proration)
    return proration.of_days(Decimal(sum(map(len, present.values()))))


def _days_present(
    by_member: Mapping[str, Sequence[tuple[datetime, bool]]], proration: Proration
) -> dict[str, set[date]]:
    days, starts_at = proration.days, proration.period.starts_at
    last_on = days.end_on - timedelta(days=1)
    present: dict[str, set[date]] = {}
    for member, happened in by_member.items():
        on = present.setdefault(member, set())
        since: datetime | None = None
        for at, is_added in sorted(happened, key=lambda each: (each[0], not each[1])):
            if is_added and since is None:
                since = at
            elif not is_added and since is not None:
                if at >= starts_at:
                    on |= _days(max(since, starts_at), local_date(at, proration.zone), proration.zone)
                since = None
        if since is not None:
            on |= _days(max(since, starts_at), last_on, proration.zone)
    return present


def _days(since: datetime, last_on: date, zone: str) -> set[date]:
    first_on = local_date(since, zone)
    return {first_on + timedelta(days=number) for number in range((last_on - first_on).days + 1)}
