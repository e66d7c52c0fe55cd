"""Deadlines: when a billing period is billed and by when it is closed, and whether its run will be in time."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

from domain.closing import Stage
from domain.codes import code_named
from domain.periods import first_instant

#: What waits for a person this shortly before its deadline is at risk: nothing tells when the person comes.
WARN_BEFORE: Final = timedelta(days=1)

#: Blockers that stand for work on its way, which operations look after; of the others their code says whose they are.
_OF_OPERATIONS: Final = frozenset(
    {
        "receipts_unaggregated",
        "events_do_not_add_up",
        "usage_does_not_add_up",
        "work_open",
        "postings_unconfirmed",
        "usage_in_flight",
    }
)

Pace = Literal["closed", "on_time", "at_risk", "late"]
Actor = Literal["finance", "operations", "nobody"]


@dataclass(frozen=True, slots=True)
class CloseDays:
    """Of a cycle: so many days after a period's end it is billed, and so many after it is closed; None: not said."""

    zone: str
    bill_after_days: int | None = None
    deadline_days: int | None = None

    def billed_at(self, ends_on: date) -> datetime | None:
        """From when on the run of a period is asked for by itself; `ends_on` is the first day after the period."""
        return None if self.bill_after_days is None else self._after(ends_on, self.bill_after_days)

    def closed_by(self, ends_on: date) -> datetime | None:
        """The first instant at which a period that is not closed is late."""
        return None if self.deadline_days is None else self._after(ends_on, self.deadline_days)

    def _after(self, ends_on: date, days: int) -> datetime:
        return first_instant(ends_on + timedelta(days=days), self.zone)


@dataclass(frozen=True, slots=True)
class Drain:
    """Work of a run: how much is owed, and how much of it was done in the time looked at."""

    owed: int
    done: int
    within: timedelta

    def ends_at(self, now: datetime) -> datetime | None:
        """When all of it is done if it goes on like this; None if nothing moves."""
        if self.owed == 0:
            return now
        return None if self.done == 0 else now + self.within * self.owed // self.done


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a period is: closed or not, what of its run is owed, and whether it waits for a person."""

    is_closed: bool
    waits_for_person: bool
    drain: Drain


@dataclass(frozen=True, slots=True)
class Behind:
    """A period whose deadline is in danger: how far it is, when it ends if it goes on like this, and who acts."""

    pace: Pace
    stage: Stage
    closed_by: datetime
    forecast: datetime | None
    blockers: tuple[str, ...]
    acts: Actor


def forecast(progress: Progress, *, now: datetime) -> datetime | None:
    """When the run comes to its end by itself; None if it is closed, waits for a person, or nothing moves."""
    if progress.is_closed or progress.waits_for_person:
        return None
    return progress.drain.ends_at(now)


def pace(progress: Progress, *, closed_by: datetime, now: datetime) -> Pace:
    """Whether it is closed, will be in time, may not be, or is late."""
    if progress.is_closed:
        return "closed"
    if now >= closed_by:
        return "late"
    ends_at = forecast(progress, now=now)
    if ends_at is None:
        return "at_risk" if closed_by - now <= WARN_BEFORE else "on_time"
    return "at_risk" if ends_at >= closed_by else "on_time"


def who_acts(codes: tuple[str, ...], *, waits_for_person: bool) -> Actor:
    """Who brings a run further that these blockers, the first of them first, are in the way of."""
    if not codes:
        return "finance" if waits_for_person else "nobody"
    is_technical = codes[0] in _OF_OPERATIONS or code_named(codes[0]).kind == "technical"
    return "operations" if is_technical else "finance"
