"""Cycles: how many a service owes up to a day, where it starts or ends within one."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from domain.money import EXACT, ZERO
from domain.periods import PeriodEmpty, day_in, month_of
from domain.proration import Bounds, ProrationRule
from domain.recurrences import Interval, Recurrence

_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class CycleRule:
    """Cycles that begin on `cycle_day` of a month, paid before or after they pass.

    A part before the first cycle day counts by its days in the interval that ends there, a part after the last one in
    the interval that begins there, each rounded half up at `scale` decimals. The first cycle day is the one on or after
    the start, in its month or whole intervals later; cycles of days begin with the service.
    """

    cycle_day: int
    interval: Interval
    in_advance: bool
    scale: int = 9
    month_days: int | None = None

    def due(self, start_on: date, *, target_on: date, end_on: date | None = None) -> Decimal:
        """How many cycles are owed on `target_on` since `start_on`; service ends before `end_on` if it does.

        Raises `PeriodEmpty` if it ends before it starts.
        """
        if end_on is not None and end_on < start_on:
            raise PeriodEmpty(f"service from {start_on} to before {end_on}", first_on=start_on)
        grid = self._grid(start_on)
        first_on = next_day(grid, start_on)
        until = self._until(grid, first_on, target_on=target_on, end_on=end_on)
        if until is None or until <= start_on or target_on < start_on:
            return ZERO
        return self._counted(grid, first_on, (start_on, until))

    def _grid(self, start_on: date) -> Recurrence:
        if self.interval.days:
            return Recurrence(self.interval, start_on)
        month = month_of(start_on)
        return Recurrence(self.interval, day_in(month, self.cycle_day), self.cycle_day)

    def _until(self, grid: Recurrence, first_on: date, *, target_on: date, end_on: date | None) -> date | None:
        """The day up to which is owed, None if nothing is yet."""
        if end_on is not None and end_on <= target_on:
            return end_on
        if self.in_advance:
            due = first_on if target_on < first_on else grid.days_at(target_on).end_on
            return due if end_on is None else min(due, end_on)
        return None if target_on < first_on else grid.days_at(target_on).first_on

    def _counted(self, grid: Recurrence, first_on: date, owed: Bounds) -> Decimal:
        """Whole cycles count one each, the parts before the first and after the last by their days."""
        start_on, until = owed
        cycles, day = ZERO, first_on
        if start_on < first_on:
            before = Recurrence(self.interval, first_on).day(-1)
            cycles = self._part((start_on, min(first_on, until)), (before, first_on))
        while (end_on := grid.days_at(day).end_on) <= until:
            cycles, day = EXACT.add(cycles, _ONE), end_on
        if day < until:
            after = Recurrence(self.interval, day).day(1)
            cycles = EXACT.add(cycles, self._part((day, until), (day, after)))
        return cycles

    def _part(self, used: Bounds, full: Bounds) -> Decimal:
        return ProrationRule("count", self.month_days).share(used, full).factor(self.scale)


def next_day(grid: Recurrence, day: date) -> date:
    """The recurring day on or after the day."""
    days = grid.days_at(day)
    return day if days.first_on == day else days.end_on
