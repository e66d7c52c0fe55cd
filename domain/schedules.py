"""Schedules: what holds of one thing from day to day, such as its seats; said anew it is superseded, never edited."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import Final, Generic, TypeVar

from domain.definitions import DefinitionInvalid

#: After every day: until further notice.
OPEN_DAY: Final = date(9999, 12, 31)
#: Parts of one schedule; a change a day for ten years.
SPELLS_MAX: Final = 4_000

V = TypeVar("V")


class ScheduleInvalid(DefinitionInvalid):
    """What is said of a schedule contradicts itself; `facts` name the entry and the fix."""

    code = "schedule_invalid"


@dataclass(frozen=True, slots=True)
class Spell(Generic[V]):
    """That a value holds over whole days, from `starts_on` until before `ends_on`."""

    starts_on: date
    ends_on: date
    value: V

    def __post_init__(self) -> None:
        assert self.starts_on < self.ends_on, self


@dataclass(frozen=True, slots=True)
class Said(Generic[V]):
    """That a value holds from a day on; without an end until whatever is said or known to come next."""

    starts_on: date
    ends_on: date | None
    value: V


@dataclass(frozen=True, slots=True)
class Revision(Generic[V]):
    """Which spells in force are superseded, which take their place, and how many said ones held already."""

    superseded: tuple[Spell[V], ...]
    made: tuple[Spell[V], ...]
    same: int


def revised(in_force: Sequence[Spell[V]], said: Sequence[Said[V]]) -> Revision[V]:
    """What it takes that what is said holds, and elsewhere what held before.

    Saying the same again revises nothing. A spell that is said in part is superseded whole, and what is left of it is
    made anew, so that what was known at any time is never edited. Raises `ScheduleInvalid`.
    """
    wanted = _spells(said, known={spell.starts_on for spell in in_force})
    fresh = [spell for spell in wanted if spell not in in_force]
    superseded = [old for old in in_force if any(_overlap(old, new) for new in fresh)]
    left = [part for old in superseded for part in _left(old, fresh)]
    return Revision(tuple(superseded), tuple(sorted([*left, *fresh], key=_start)), len(wanted) - len(fresh))


def held(spells: Iterable[Spell[V]], *, on: date) -> V | None:
    """The value that holds on a day, or None."""
    return next((spell.value for spell in spells if spell.starts_on <= on < spell.ends_on), None)


def _spells(said: Sequence[Said[V]], *, known: set[date]) -> list[Spell[V]]:
    """Each entry with its end, in order of time."""
    if len(said) > SPELLS_MAX:
        raise ScheduleInvalid(f"has {len(said)} entries", field="", fix=f"say at most {SPELLS_MAX} at once")
    order = sorted(range(len(said)), key=lambda n: (said[n].starts_on, n))
    starts = known | {each.starts_on for each in said}
    spells = []
    for n in order:
        each = said[n]
        ends_on = each.ends_on or min((day for day in starts if day > each.starts_on), default=OPEN_DAY)
        if ends_on <= each.starts_on:
            raise ScheduleInvalid("is not after `from`", field=f"[{n}].to", fix="the end is the first day without it")
        spells.append(Spell(each.starts_on, ends_on, each.value))
    for (first, second), n in zip(pairwise(spells), order[1:], strict=True):
        if second.starts_on < first.ends_on:
            sentence = f"starts before the entry from {first.starts_on} has ended"
            raise ScheduleInvalid(
                sentence, field=f"[{n}].from", fix="leave `to` of that entry out, or keep one of them"
            )
    return spells


def _overlap(one: Spell[V], other: Spell[V]) -> bool:
    return one.starts_on < other.ends_on and other.starts_on < one.ends_on


def _left(old: Spell[V], fresh: Sequence[Spell[V]]) -> Iterator[Spell[V]]:
    """What of a spell no fresh one covers; the fresh ones are in order of time."""
    since = old.starts_on
    for new in fresh:
        if not _overlap(old, new):
            continue
        if since < new.starts_on:
            yield replace(old, starts_on=since, ends_on=new.starts_on)
        since = max(since, new.ends_on)
    if since < old.ends_on:
        yield replace(old, starts_on=since)


def _start(spell: Spell[V]) -> date:
    return spell.starts_on
