"""Breakers: what must not be told to a customer before a person has looked at it."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from domain.canonical import Json, decimal_text
from domain.money import EXACT, ZERO, Money

Breaker = Literal["lines_too_many", "total_jumps", "total_negative", "currency_changed", "usage_missing"]
_HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a legal entity's breakers trip; None, or False, is never.

    `lines_max` in a day for an account; `jump_percent` of the last period's total, if the two are more than
    `jump_from` apart.
    """

    lines_max: int | None = 10_000
    jump_percent: Decimal | None = None
    jump_from: Decimal = ZERO
    usage_missing: bool = False
    total_negative: bool = True
    currency_changed: bool = True


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known of a contract's draft: the total of its period with it, and that of the period before.

    `lines` are those of the account in a day; `earlier` is None where nothing was billed before; `currencies` are
    those of the account's documents so far; quantities are what was used, in any unit.
    """

    total: Money
    earlier: Money | None
    lines: int
    currencies: frozenset[str]
    used: Decimal
    used_earlier: Decimal


@dataclass(frozen=True, slots=True)
class Tripped:
    """A breaker that holds a draft, and why, in words and facts."""

    breaker: Breaker
    sentence: str
    facts: dict[str, Json]


def tripped(draft: Draft, limits: Limits) -> tuple[Tripped, ...]:
    """The breakers that hold the draft; none means that it may go out."""
    return tuple(_tripped(draft, limits))


def _tripped(draft: Draft, limits: Limits) -> Iterator[Tripped]:
    code = draft.total.currency.code
    if limits.lines_max is not None and draft.lines > limits.lines_max:
        sentence = f"{draft.lines} lines in a day, more than {limits.lines_max}"
        yield Tripped("lines_too_many", sentence, {"lines": draft.lines, "lines_max": limits.lines_max})
    if draft.earlier is not None and _jumps(draft.total, draft.earlier, limits):
        yield Tripped(
            "total_jumps",
            f"{draft.total.to_text()} {code} after {draft.earlier.to_text()} {code} in the period before",
            {"total": draft.total.to_text(), "earlier": draft.earlier.to_text()},
        )
    if limits.total_negative and draft.total.is_negative:
        sentence = f"the period comes to {draft.total.to_text()} {code}"
        yield Tripped("total_negative", sentence, {"total": draft.total.to_text()})
    if limits.currency_changed and draft.currencies and code not in draft.currencies:
        earlier: list[Json] = [*sorted(draft.currencies)]
        sentence = f"the first document in {code}, after {', '.join(sorted(draft.currencies))}"
        yield Tripped("currency_changed", sentence, {"currency": code, "earlier": earlier})
    if limits.usage_missing and draft.used_earlier > 0 and draft.used == 0:
        facts: dict[str, Json] = {"used_earlier": decimal_text(draft.used_earlier)}
        yield Tripped("usage_missing", "nothing was used, and something was in the period before", facts)


def _jumps(total: Money, earlier: Money, limits: Limits) -> bool:
    """Whether the two totals are further apart than the limits allow; a first amount after none is no jump."""
    if limits.jump_percent is None or earlier.is_zero:
        return False
    apart = abs(EXACT.subtract(total.amount, earlier.amount))
    allowed = EXACT.multiply(abs(earlier.amount), limits.jump_percent)
    return apart > limits.jump_from and EXACT.multiply(apart, _HUNDRED) > allowed


def is_released(now: Tripped, total: Money, *, seen: Money) -> bool:
    """Whether a release, given when the total was `seen`, still holds: the same sign, and no more money than then."""
    if now.breaker == "currency_changed":
        return True
    return total.is_negative == seen.is_negative and abs(total.amount) <= abs(seen.amount)
