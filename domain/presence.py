"""Presence: the days on which members were there who come and go, each day once however often they did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from typing import Literal

from domain.periods import Days


@dataclass(frozen=True, slots=True)
class Presence:
    """A member that comes or goes on a day; it is there on the day it goes, too."""

    on: date
    member: str
    change: Literal["add", "remove"]


@dataclass(slots=True)
class Stayed:
    """A change that had an effect, and for how many of the days it makes its member be there; none if that goes."""

    change: Presence
    days: int = 0


def stayed(days: Days, changes: Sequence[Presence]) -> Iterator[Stayed]:
    """The changes before the end of the days that took effect, in the order of their days.

    Who came before the days is there from the first of them. Of changes on one day the order given counts.
    """
    found: list[Stayed] = []
    there, gone_on = dict[str, Stayed](), dict[str, date]()
    for change in sorted(changes, key=attrgetter("on")):
        if change.on >= days.end_on or (change.change == "add") == (change.member in there):
            continue
        found.append(Stayed(change))
        if change.change == "add":
            there[change.member] = found[-1]
            continue
        came = there.pop(change.member)
        came.days = _count(days, came.change.on, change.on, gone_on.get(change.member))
        gone_on[change.member] = change.on
    for member, came in there.items():
        came.days = _count(days, came.change.on, days.end_on, gone_on.get(member))
    return iter(found)


def _count(days: Days, came_on: date, last_on: date, gone_on: date | None) -> int:
    """How many days from one to the other, both within; the day it last went is counted already."""
    if last_on < days.first_on:
        return 0
    return (last_on - max(came_on, days.first_on)).days + (last_on < days.end_on) - (gone_on == came_on)
