"""Completeness: which numbers of a source's series have come, which are missing, and between which events they lie.

A source that numbers its events lets us see what never arrived. What came is kept as runs; whatever order the events
came in, however they were split and however often they came, the runs are the same, and so is what is missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

#: The first number of a series, unless the source's master data say otherwise.
FIRST_NUMBER: Final = 1
#: What open exceptions about missing numbers are called.
GAP: Final = "sequence_gap"
#: The basis of the money at risk of such an exception.
ESTIMATED_LOSS: Final = "estimated loss"


class Run(NamedTuple):
    """Numbers that came without a break, the times of the first and the last event, and when one was first seen."""

    first: int
    last: int
    first_at: datetime
    last_at: datetime
    seen_at: datetime


class Gap(NamedTuple):
    """Numbers that are missing: `missing` of those from `first` to `last`.

    They happened between `happened_at` and `happened_until`, as far as their neighbours tell, and have been missing
    since `since`, when a higher number was first seen.
    """

    first: int
    last: int
    missing: int
    happened_at: datetime
    happened_until: datetime
    since: datetime


def runs_of(numbers: Iterable[tuple[int, datetime]], *, seen_at: datetime) -> list[Run]:
    """The runs that events with these numbers and times make, the lowest first."""
    made: list[Run] = []
    ordered = sorted(numbers)  # so of events with the same number the earliest begins a run and the latest ends one
    begun = 0
    for n, (number, last_at) in enumerate(ordered, start=1):
        if n == len(ordered) or ordered[n][0] > number + 1:
            first, first_at = ordered[begun]
            made.append(Run(first, number, first_at, last_at, seen_at))
            begun = n
    return made


def merged(runs: Iterable[Run]) -> list[Run]:
    """The runs joined wherever they overlap or touch, the lowest first."""
    made: list[Run] = []
    for run in sorted(runs):
        if made and run.first <= made[-1].last + 1:
            made[-1] = _joined(made[-1], run)
        else:
            made.append(run)
    return made


def _joined(low: Run, high: Run) -> Run:
    """Both as one; where both begin or end with the same number, its earliest or latest event counts."""
    first_at = min(low.first_at, high.first_at) if low.first == high.first else low.first_at
    if low.last == high.last:
        last_at = max(low.last_at, high.last_at)
    else:
        last_at = low.last_at if low.last > high.last else high.last_at
    return Run(low.first, max(low.last, high.last), first_at, last_at, min(low.seen_at, high.seen_at))


def received(runs: Iterable[Run], *, start: int) -> int:
    """How many different numbers from `start` on have come; `runs` are merged."""
    return sum(run.last - max(run.first, start) + 1 for run in runs if run.last >= start)


class Rest(NamedTuple):
    """Runs that nobody looks at one by one: how many of the numbers from the start on they hold, and when."""

    received: int
    earliest_at: datetime
    latest_at: datetime
    seen_at: datetime


def gaps(runs: Iterable[Run], *, start: int, gaps_max: int, rest: Rest | None = None) -> list[Gap]:
    """What is missing from `start` up to the highest number seen, the highest gap first.

    `runs` are merged, the highest first; `rest` stands for those below them, if there are so many that they are not
    read. All below the first `gaps_max - 1` gaps is told as one, whose `missing` is less than its stretch, so that a
    source whose numbers are no series costs little more than one whose numbers are.
    """
    found: list[Gap] = []
    above: Run | None = None
    since: datetime | None = None
    for run in runs:
        if above is not None and since is not None:
            at, until = sorted((run.last_at, above.first_at))
            _add(found, Gap(max(run.last + 1, start), above.first - 1, 0, at, until, since), gaps_max)
        since = run.seen_at if since is None else min(since, run.seen_at)
        above = run
    if above is not None and since is not None:
        rest = rest or Rest(0, above.first_at, above.first_at, since)
        at, until = min(rest.earliest_at, above.first_at), max(rest.latest_at, above.first_at)
        low = Gap(start, above.first - 1, -rest.received, at, until, min(since, rest.seen_at))
        _add(found, low, gaps_max)
    return found


def _add(found: list[Gap], gap: Gap, gaps_max: int) -> None:
    """Add a gap, of whose numbers as many have come as `missing` is below zero."""
    gap = gap._replace(missing=gap.missing + gap.last - gap.first + 1)
    if gap.missing <= 0:
        return
    if len(found) < gaps_max:
        found.append(gap)
        return
    low = found[-1]
    found[-1] = Gap(
        gap.first,
        low.last,
        gap.missing + low.missing,
        min(gap.happened_at, low.happened_at),
        max(gap.happened_until, low.happened_until),
        min(gap.since, low.since),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """An exception about missing numbers, open or dismissed by a person who does not expect them any more."""

    id: int
    first: int
    last: int
    missing: int
    state: Literal["open", "dismissed"]


@dataclass(frozen=True, slots=True)
class Change:
    """Which gaps have to be told, and which exceptions are to be resolved for which reason."""

    to_open: Sequence[Gap]
    to_close: Sequence[tuple[int, str]]


def change(found: Sequence[Gap], told: Sequence[Told], *, seen_before: datetime) -> Change:
    """What makes the open exceptions say exactly what is missing.

    A gap is told when it was seen before that instant, or when part of it has been told. What lies within a stretch
    that was dismissed stays dismissed.
    """
    still_open = [each for each in told if each.state == "open"]
    dismissed = [each for each in told if each.state == "dismissed"]
    known = {(each.first, each.last, each.missing) for each in still_open}
    wanted = [
        gap
        for gap in found
        if (gap.since <= seen_before or (gap.first, gap.last, gap.missing) in known or _meets(gap, still_open))
        and not any(each.first <= gap.first and gap.last <= each.last for each in dismissed)
    ]
    right = {(gap.first, gap.last, gap.missing) for gap in wanted}
    return Change(
        [gap for gap in wanted if (gap.first, gap.last, gap.missing) not in known],
        [(each.id, _reason(each, wanted)) for each in still_open if (each.first, each.last, each.missing) not in right],
    )


def _meets(gap: Gap, told: Sequence[Told]) -> bool:
    return any(each.first <= gap.last and gap.first <= each.last for each in told)


def _reason(told: Told, wanted: Sequence[Gap]) -> str:
    if any(told.first <= gap.last and gap.first <= told.last for gap in wanted):
        return "replaced: part of it has arrived, the rest is told anew"
    return f"healed: nothing is missing any more from {told.first} to {told.last}"
