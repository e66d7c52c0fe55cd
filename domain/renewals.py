"""Renewals: when the term of a contract is over, when somebody has to say so, and what happens if nobody does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from domain.definitions import DefinitionInvalid
from domain.periods import day_in, month_of
from domain.schedules import Spell

#: People are told at least so many days before a contract ends; earlier where notice takes longer.
TOLD_DAYS: Final = 30


class RenewalInvalid(DefinitionInvalid):
    """What is said of the terms of a contract contradicts itself."""

    code = "schedule_invalid"


@dataclass(frozen=True, slots=True)
class Renewal:
    """Terms of so many months one after the other, from the first day on; notice is so many days before the end."""

    first_on: date
    term_months: int
    auto_renew: bool
    notice_days: int

    def __post_init__(self) -> None:
        assert self.term_months > 0, self
        assert self.notice_days >= 0, self


@dataclass(frozen=True, slots=True)
class Due:
    """The next end of a term: the first day that is not in it, the last one for notice, and what follows."""

    ends_on: date
    notice_until: date
    then: Literal["renews", "ends"]


def next_due(renewal: Renewal, *, on: date) -> Due:
    """The end of the term that the day lies in; before the first term, the end of the first.

    Each term is counted from the first day, so that one from the 31st ends on the 31st again where the month has one.
    A contract that does not renew by itself has one term.
    """
    n = 1
    if renewal.auto_renew:
        while month_after(renewal.first_on, n * renewal.term_months) <= on:
            n += 1
    ends_on = month_after(renewal.first_on, n * renewal.term_months)
    notice_until = ends_on - timedelta(days=renewal.notice_days + 1)
    return Due(ends_on, notice_until, "renews" if renewal.auto_renew else "ends")


def contract_end(spells: Sequence[Spell[Renewal]]) -> date | None:
    """The first day without the contract, or None if it goes on until somebody ends it; spells in order of time.

    It ends with a term that does not renew, unless other terms begin by that day. Raises `RenewalInvalid` where they
    begin later: a contract that has ended does not begin anew.
    """
    for n, spell in enumerate(spells):
        ends_on = next_due(spell.value, on=spell.starts_on).ends_on
        if spell.value.auto_renew or ends_on > spell.ends_on:
            continue
        later = [after.starts_on for after in spells[n + 1 :]]
        if not later:
            return ends_on
        if later[0] > ends_on:
            sentence = f"has terms from {later[0]}, after it has ended on {ends_on}"
            raise RenewalInvalid(sentence, field="renewals", fix=f"let them begin on {ends_on}, or add a contract")
    return None


def month_after(day: date, months: int) -> date:
    """The same day so many months later, or the last of that month if it has no such day."""
    return day_in(month_of(day) + months, day.day)
