"""Registers: from the readings of a cumulative register to what was used between them, over resets and roll-overs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

from domain.money import EXACT, ZERO
from domain.refused import Refused

#: A roll-over that would be more than one part in so many of the capacity is none, unless the rules say how much is.
PLAUSIBLE_PART: Final = 2
#: The codes under which a reading is doubted that lies among the others of its register.
CODES_OF_READINGS: Final = ("register_reading_ambiguous", "register_reading_implausible", "register_readings_conflict")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a register showed at an instant. `is_reset`: it began at zero since its reading before, or is another one.

    At one instant a register may have a last reading and then one after its reset. `line` is where it stands.
    """

    at: datetime
    value: Decimal
    is_reset: bool = False
    line: int = field(default=0, compare=False)

    @property
    def place(self) -> tuple[datetime, bool]:
        """Where it belongs among the readings of its register."""
        return self.at, self.is_reset


@dataclass(frozen=True, slots=True)
class Rules:
    """What is known of a register. `capacity` is the first value it cannot show: 100000 of one with five digits.

    `jump_max` is the most that may be used between two readings, `gap_max` the longest time that may lie between them.
    `takes_lower`: a lower reading that is no roll-over is a reset, also where nobody says so.
    """

    capacity: Decimal | None = None
    jump_max: Decimal | None = None
    gap_max: timedelta | None = None
    takes_lower: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """What was used from the reading before until `reading`, at whose time it counts, however long that took.

    `base` is what it was counted from: the value before, or zero after a reset. `since` is None if nothing was before.
    """

    reading: Reading
    base: Decimal
    since: datetime | None
    quantity: Decimal
    has_rolled_over: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """Readings without a reset between them: `quantity = last - first + roll_overs * capacity`."""

    starts_at: datetime
    ends_at: datetime
    first: Decimal
    last: Decimal
    quantity: Decimal = ZERO
    readings: int = 1
    roll_overs: int = 0
    is_after_reset: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """Two readings that lie further apart than they should; what was used between them counts at the later one."""

    since: datetime
    until: datetime


@dataclass(slots=True)
class Series:
    """What the readings of one register come to, in the order of their time."""

    differences: list[Difference] = field(default_factory=list)
    refused: list[tuple[Reading, Refused]] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    #: The readings that were taken; the last one is what the next file goes on from.
    taken: list[Reading] = field(default_factory=list)
    #: Readings that say again what another one says.
    repeats: int = 0


def series(readings: Iterable[Reading], *, rules: Rules, known: Sequence[Reading] = ()) -> Series:
    """What one register's readings come to, in whatever order they stand; `known` are those taken before, if any.

    The first reading ever is where counting begins, unless it is marked as a reset. A lower one is a roll-over if the
    capacity makes that plausible, and starts from zero if it is marked as a reset. Whatever is neither is refused, and
    the next one is compared with the last that was taken: nothing that was used is lost with it. Files of readings and
    the metric `register` both go by this.
    """
    found = Series()
    before = frozenset(known)
    last = max(known, key=lambda each: each.place, default=None)
    for reading in _settled(readings, found):
        if reading in before:
            found.repeats += 1
            continue
        step = _step(last, reading, rules)
        if isinstance(step, Refused):
            found.refused.append((reading, step))
            continue
        _add(found, last, step, rules)
        found.taken.append(reading)
        last = reading
    return found


def _settled(readings: Iterable[Reading], found: Series) -> Iterator[Reading]:
    """The readings by time, each once; two that disagree are both refused, since nobody can say which one is right."""
    places: dict[tuple[datetime, bool], list[Reading]] = {}
    for reading in readings:
        places.setdefault(reading.place, []).append(reading)
    for place in sorted(places):
        same = sorted(places[place], key=lambda each: (each.value, each.line))
        if len({each.value for each in same}) > 1:
            found.refused += [(each, _conflict(each)) for each in same]
            continue
        found.repeats += len(same) - 1
        yield same[0]


_Step: TypeAlias = Difference | Reading | Refused


def _step(last: Reading | None, reading: Reading, rules: Rules) -> _Step:
    """What is used since the last reading; the reading itself where counting begins; or why it is refused."""
    impossible = _impossible(last, reading, rules)
    if impossible is not None:
        return impossible
    if reading.is_reset:
        since = last.at if last is not None else None
        return _plausible(Difference(reading, ZERO, since, reading.value), rules)
    if last is None:
        return reading
    if reading.value < last.value:
        return _lower(last, reading, rules)
    return _plausible(Difference(reading, last.value, last.at, EXACT.subtract(reading.value, last.value)), rules)


def _impossible(last: Reading | None, reading: Reading, rules: Rules) -> Refused | None:
    if reading.value < 0:
        return Refused("register_reading_implausible", "reading", f"no register shows {reading.value}, below zero")
    if rules.capacity is not None and reading.value >= rules.capacity:
        sentence = f"a register that holds less than {rules.capacity} cannot show {reading.value}"
        return Refused("register_reading_implausible", "reading", sentence)
    return _too_late(last, reading) if last is not None and reading.place <= last.place else None


def _too_late(last: Reading, reading: Reading) -> Refused:
    if reading.place == last.place:
        return _conflict(reading)
    sentence = f"the register was read at {last.at.isoformat()} already, and that difference holds this one"
    return Refused("register_reading_late", "time", sentence)


def _conflict(reading: Reading) -> Refused:
    sentence = f"the register has another reading than {reading.value} at {reading.at.isoformat()}"
    return Refused("register_readings_conflict", "reading", sentence)


def _plausible(difference: Difference, rules: Rules) -> Difference | Refused:
    if rules.jump_max is not None and difference.quantity > rules.jump_max:
        sentence = f"{difference.quantity} since {difference.base} is more than the {rules.jump_max} that may be used"
        return Refused("register_reading_implausible", "reading", sentence)
    return difference


def _lower(last: Reading, reading: Reading, rules: Rules) -> Difference | Refused:
    """A lower reading: a roll-over if that is plausible, else a reset where all are, else nobody can say what it is."""
    over = _over(last, reading, rules)
    if over is not None and _may_be_used(over, rules):
        return Difference(reading, last.value, last.at, over, has_rolled_over=True)
    if rules.takes_lower:
        reset = replace(reading, is_reset=True)
        return _plausible(Difference(reset, ZERO, last.at, reading.value), rules)
    sentence = f"{reading.value} is lower than {last.value} at {last.at.isoformat()}"
    if over is None:
        return Refused("register_reading_ambiguous", "reading", f"{sentence}, and is not marked as a reset")
    sentence = f"{sentence}; a roll-over would be {over}, which is too much, and it is not marked as a reset"
    return Refused("register_reading_ambiguous", "reading", sentence)


def _over(last: Reading, reading: Reading, rules: Rules) -> Decimal | None:
    """What a roll-over would have counted; None for a register of which nobody knows where it shows zero again."""
    if rules.capacity is None or last.value >= rules.capacity:
        return None
    return EXACT.add(EXACT.subtract(rules.capacity, last.value), reading.value)


def _may_be_used(over: Decimal, rules: Rules) -> bool:
    """Whether so much over the capacity may be used: what may at all, or not more than a part of the capacity."""
    if rules.jump_max is not None:
        return over <= rules.jump_max
    return rules.capacity is not None and EXACT.multiply(over, PLAUSIBLE_PART) <= rules.capacity


def _add(found: Series, last: Reading | None, step: Difference | Reading, rules: Rules) -> None:
    reading = step.reading if isinstance(step, Difference) else step
    if last is not None and rules.gap_max is not None and reading.at - last.at > rules.gap_max:
        found.gaps.append(Gap(last.at, reading.at))
    if isinstance(step, Reading):
        found.segments.append(Segment(step.at, step.at, step.value, step.value))
        return
    found.differences.append(step)
    if reading.is_reset:
        segment = Segment(reading.at, reading.at, ZERO, reading.value, reading.value, is_after_reset=True)
        found.segments.append(segment)
        return
    assert last is not None, "a difference without a reset has a reading before it"
    before = found.segments.pop() if found.segments else Segment(last.at, last.at, last.value, last.value)
    found.segments.append(
        Segment(
            before.starts_at,
            reading.at,
            before.first,
            reading.value,
            EXACT.add(before.quantity, step.quantity),
            before.readings + 1,
            before.roll_overs + step.has_rolled_over,
            before.is_after_reset,
        )
    )
