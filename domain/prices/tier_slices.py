"""Tier slices: units that come and go within a period, priced by their tiers for the part of it they were there.

Each move takes the running total through a slice of the ladder, up or down, and is charged that slice for its share.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from operator import itemgetter
from typing import Final

from domain.money import EXACT, QUOTIENT, ZERO, exact_sum
from domain.periods import Days
from domain.presence import Presence, stayed
from domain.prices.graduated import Graduated
from domain.prices.priced import Priced, TraceStep
from domain.proration import Proportion

_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Move:
    """Units that come, or go if negative, and the `part` of `whole` for which they are charged or given back."""

    units: Decimal
    part: Decimal
    whole: Decimal

    @classmethod
    def shared(cls, units: Decimal, share: Proportion) -> "Move":
        """Units that are there for a share of the period."""
        return cls(units, Decimal(share.part), Decimal(share.whole))

    @property
    def counts(self) -> bool:
        """Whether it moves the total: units that were there for nothing never came."""
        return bool(self.part) or self.units < 0


def slices_amount(ladder: Graduated, moves: Sequence[Move]) -> Priced:
    """The amount of the moves in their order, and the flat amounts of all tiers that the total ever reached.

    Nothing at all costs what the ladder says of no usage; a total that ends below zero costs nothing.
    """
    counted = _counted(moves)
    if not counted:
        return ladder.amount_for(ZERO)
    level = top = ZERO
    steps = []
    for move in counted:
        reached = EXACT.add(level, move.units)
        slice_amount = EXACT.subtract(_below(ladder, reached), _below(ladder, level))
        charged = QUOTIENT.divide(EXACT.multiply(slice_amount, move.part), move.whole)
        steps.append(TraceStep.of("slice", charged, above=level, up_to=reached, part=move.part, whole=move.whole))
        level, top = reached, max(top, reached)
    if level < 0:
        return Priced.of(TraceStep.of("total_below_zero_is_free", ZERO, quantity=level))
    usage = exact_sum(step.amount for step in steps)
    if usage < 0:
        steps.append(TraceStep.of("usage_below_zero_is_free", EXACT.minus(usage)))
    return Priced.of(*steps, *_flats(ladder, top))


@dataclass(frozen=True, slots=True)
class Stay:
    """The days that are charged, and of how many a full period is where they are only a part of one."""

    days: Days
    full_days: int | None = None

    def proportion(self, days: int) -> Proportion:
        """So many days of the full period."""
        return Proportion(max(days, 0), self.full_days or self.days.count)


def dated_moves(stay: Stay, held: Decimal, changes: Sequence[tuple[date, Decimal]]) -> tuple[Move, ...]:
    """The moves of units that were held before, for all days, and of changes on one of them, from it to the end."""
    moves = [Move.shared(held, stay.proportion(stay.days.count))] if held else []
    moves += [
        Move.shared(units, stay.proportion((stay.days.end_on - day).days))
        for day, units in sorted(changes, key=itemgetter(0))
    ]
    return tuple(moves)


def presence_moves(stay: Stay, changes: Sequence[Presence]) -> tuple[Move, ...]:
    """The moves of members: each counts from the day it comes to the day it goes, and once however often it came.

    Who came before the days is there from the first; who goes gives nothing back, but makes room in its tier.
    """
    moves = []
    for each in stayed(stay.days, changes):
        if each.days:
            moves.append(Move.shared(_ONE, stay.proportion(each.days)))
        elif each.change.change == "remove" and each.change.on >= stay.days.first_on:
            moves.append(Move(-_ONE, ZERO, _ONE))
    return tuple(moves)


def _counted(moves: Sequence[Move]) -> list[Move]:
    """Without units that were there for nothing, nor what takes such units away again."""
    counted, level = [], ZERO
    for move in moves:
        reached = EXACT.add(level, move.units)
        if not move.counts or (not move.part and reached < 0):
            continue
        counted.append(move)
        level = reached
    return counted


def _below(ladder: Graduated, level: Decimal) -> Decimal:
    """What all units up to the level cost without flat amounts; below zero they are of the first tier."""
    amount, bottom = ZERO, ZERO
    for place, tier in enumerate(ladder.tiers):
        top = level if tier.up_to is None else min(level, tier.up_to)
        if place and top <= bottom:
            break
        amount = EXACT.add(amount, EXACT.multiply(EXACT.subtract(top, bottom), tier.unit_amount))
        bottom = top
    return amount


def _flats(ladder: Graduated, top: Decimal) -> Iterator[TraceStep]:
    """The flat amounts of the tiers up to the one that holds the highest total."""
    for number, tier in enumerate(ladder.tiers, start=1):
        if tier.flat_amount:
            yield TraceStep.of("tier_flat", tier.flat_amount, tier=str(number))
        if tier.up_to is None or top <= tier.up_to:
            return
