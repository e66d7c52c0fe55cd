"""Control totals: how much passed each hop, and the two identities that say whether all of it is accounted for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Final, Literal

from domain.canonical import decimal_text
from domain.money import EXACT, ZERO

#: Hashes are added modulo this, so the order of arrival does not matter and a swap of two events shows.
HASH_MODULUS: Final = 2**64

Measure = Literal["count", "sum", "hash"]
IdentityName = Literal["events", "usage"]


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """How many, how much, and a sum of their hashes."""

    count: int = 0
    sum: Decimal = ZERO
    hash: int = 0

    @classmethod
    def of(cls, quantity: Decimal, hash64: int) -> "ControlTotal":
        """The total of one."""
        return cls(1, quantity, hash64 % HASH_MODULUS)

    def __add__(self, other: "ControlTotal") -> "ControlTotal":
        total = EXACT.add(self.sum, other.sum)
        return ControlTotal(self.count + other.count, total, (self.hash + other.hash) % HASH_MODULUS)

    def __neg__(self) -> "ControlTotal":
        return ControlTotal(-self.count, EXACT.minus(self.sum), -self.hash % HASH_MODULUS)

    def __sub__(self, other: "ControlTotal") -> "ControlTotal":
        return self + -other


@dataclass(frozen=True, slots=True)
class Scope:
    """What totals are about: a source, a metric (None: all, or none matched) and a UTC hour such as 2013-01-05T12."""

    source: str
    metric: str | None
    hour: str


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One measure of one identity that does not add up somewhere."""

    identity: IdentityName
    scope: Scope
    measure: Measure
    expected: Decimal
    found: Decimal

    @property
    def sentence(self) -> str:
        """What does not add up, and by how much."""
        by = decimal_text(EXACT.subtract(self.found, self.expected))
        where = f"{self.scope.source}, {self.scope.metric or 'no metric'}, {self.scope.hour}"
        expected, found = decimal_text(self.expected), decimal_text(self.found)
        return f"{self.identity} of {where}: {self.measure} is {found} instead of {expected} ({by})"


@dataclass(frozen=True, slots=True)
class EventTotals:
    """What became of the events that could be parsed."""

    parsed: int
    accepted: int
    duplicate: int
    refused: int


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """What became of usage."""

    attributed: ControlTotal
    billed: ControlTotal
    excluded: ControlTotal
    in_exception: ControlTotal
    in_flight: ControlTotal


def compared(
    expected: ControlTotal, found: ControlTotal, *, identity: IdentityName, scope: Scope
) -> Iterator[Mismatch]:
    """The measures in which two totals differ."""
    measures: tuple[tuple[Measure, Decimal, Decimal], ...] = (
        ("count", Decimal(expected.count), Decimal(found.count)),
        ("sum", expected.sum, found.sum),
        ("hash", Decimal(expected.hash), Decimal(found.hash)),
    )
    for measure, wanted, got in measures:
        if wanted != got:
            yield Mismatch(identity, scope, measure, wanted, got)


def events_mismatches(totals: Mapping[Scope, EventTotals]) -> tuple[Mismatch, ...]:
    """Where parsed = accepted + duplicate + refused does not hold."""
    return tuple(
        Mismatch("events", scope, "count", Decimal(events.parsed), Decimal(fates))
        for scope, events in totals.items()
        if (fates := events.accepted + events.duplicate + events.refused) != events.parsed
    )


def usage_mismatches(totals: Mapping[Scope, UsageTotals]) -> tuple[Mismatch, ...]:
    """Where attributed = billed + excluded + in exception + in flight does not hold, in count, sum or hash."""
    return tuple(
        mismatch
        for scope, usage in totals.items()
        for mismatch in compared(usage.attributed, _fates(usage), identity="usage", scope=scope)
    )


def _fates(usage: UsageTotals) -> ControlTotal:
    return reduce(ControlTotal.__add__, (usage.billed, usage.excluded, usage.in_exception, usage.in_flight))
