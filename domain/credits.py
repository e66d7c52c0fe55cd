"""Prepaid credits: grants of what was paid ahead; whatever becomes of one is an entry, and entries sum to its rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from domain.canonical import decimal_text
from domain.definitions import DefinitionInvalid
from domain.discounts import percentage_of
from domain.money import Currency, Money, total

Kind = Literal["granted", "drawn", "returned", "expired", "carried"]
_HUNDRED: Final = 100
#: Ten years: whoever carries credit on for longer means for ever, and gives it no end.
ROLLOVER_DAYS_MAX: Final = 3_660
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class CreditInvalid(DefinitionInvalid):
    """A grant of credit is over nothing, or over before it begins; `facts` name the field and the fix."""

    code = "credit_invalid"


@dataclass(frozen=True, slots=True)
class Rollover:
    """How much of what is left at its end a grant carries into a new one: a percentage, an amount, or the lesser.

    The new grant lasts for `days` and carries nothing on itself.
    """

    days: int
    percent: Decimal = Decimal(100)
    amount: Money | None = None

    def __post_init__(self) -> None:
        if not 0 < self.days <= ROLLOVER_DAYS_MAX:
            fix = f"give 1 to {ROLLOVER_DAYS_MAX} days"
            raise CreditInvalid(f"is {self.days}", field="rollover.days", fix=fix)
        if not 0 < self.percent <= _HUNDRED:
            sentence = f"is {decimal_text(self.percent)}"
            raise CreditInvalid(sentence, field="rollover.percent", fix="give more than 0 and at most 100")
        if self.amount is not None and (self.amount.is_negative or not self.amount.is_rounded):
            fix = "give whole minor units, zero or more"
            raise CreditInvalid(f"is {self.amount.to_text()}", field="rollover.amount", fix=fix)

    def of(self, left: Money) -> Money:
        """What is carried on of what is left."""
        carried = min(percentage_of(self.percent, left), left)
        return carried if self.amount is None else min(carried, self.amount)


@dataclass(frozen=True, slots=True)
class Grant:
    """An amount that was paid ahead or given, to be drawn over `[valid_from, expires_at)`; None is without an end.

    Grants of a lower `priority` number are drawn first.
    """

    id: str
    amount: Money
    valid_from: datetime
    expires_at: datetime | None = None
    priority: int = 0
    rollover: Rollover | None = None

    def __post_init__(self) -> None:
        if self.amount.amount <= 0 or not self.amount.is_rounded:
            fix = "give whole minor units, more than zero"
            raise CreditInvalid(f"is {self.amount.to_text()}", field="amount", fix=fix)
        if self.expires_at is not None and self.expires_at <= self.valid_from:
            raise CreditInvalid("is not after valid_from", field="expires_at", fix="give a later end, or none")
        if self.rollover is not None and self.expires_at is None:
            raise CreditInvalid("never begins", field="rollover", fix="give an end, or remove the rollover")
        if self.rollover is not None and self.rollover.amount is not None:
            _ = self.rollover.amount + self.amount  # raises where currencies differ

    def is_valid(self, at: datetime) -> bool:
        """Whether it may be drawn at that instant."""
        return self.valid_from <= at < (self.expires_at or _NEVER)


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of a grant, never edited: `amount` is signed, `reference` is the document, or the grant carried to."""

    grant: str
    kind: Kind
    amount: Money
    at: datetime
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """What the end of grants makes: entries, and the grants that are carried on."""

    entries: tuple[Entry, ...]
    carried: tuple[Grant, ...]


def opened(grant: Grant) -> Entry:
    """The first entry of a grant."""
    return Entry(grant.id, "granted", grant.amount, grant.valid_from)


def balance(grants: Iterable[Grant], entries: Iterable[Entry], *, at: datetime, currency: Currency) -> Money:
    """What could be drawn at that instant, of all grants that are valid then; later entries are left out."""
    valid = {grant.id for grant in grants if grant.amount.currency == currency and grant.is_valid(at)}
    return total((entry.amount for entry in entries if entry.grant in valid and entry.at <= at), currency)


def drawn(
    grants: Iterable[Grant], entries: Sequence[Entry], due: Money, *, at: datetime, reference: str
) -> tuple[Entry, ...]:
    """The entries that pay what is due as far as credit goes: one for each grant that is drawn, none if nothing is.

    Grants are drawn by priority, then the one that ends first, then the oldest, then by id; in whatever order they are
    given. Of each no more than is left at that instant and ever after: what is booked for later is not spent twice.
    """
    found, left = [], due
    valid = [grant for grant in grants if grant.amount.currency == due.currency and grant.is_valid(at)]
    for grant in sorted(valid, key=_order):
        amount = min(_left(grant, entries, at), left)
        if amount.amount > 0:
            found.append(Entry(grant.id, "drawn", -amount, at, reference))
            left -= amount
    return tuple(found)


def returned(entries: Sequence[Entry], amount: Money, *, reference: str) -> tuple[Entry, ...]:
    """The entries that give back what a document drew, at most `amount` of it: what was drawn last comes back first.

    It comes back to the grants that it was drawn from, as of the instant at which it was drawn: what bills the same
    service again may draw it again. A grant that has ended since ends again, with what came back.
    """
    held: dict[tuple[str, datetime], Money] = {}
    for entry in entries:
        if entry.reference == reference and entry.kind in {"drawn", "returned"}:
            key = entry.grant, entry.at
            held[key] = held.get(key, Money.zero(amount.currency)) - entry.amount
    found, left = [], amount
    for (grant, at), out in reversed(held.items()):
        back = min(out, left)
        if back.amount > 0:
            found.append(Entry(grant, "returned", back, at, reference))
            left -= back
    return tuple(found)


def ended(grants: Iterable[Grant], entries: Sequence[Entry], *, at: datetime) -> Ended:
    """What becomes of grants that have ended by then and still hold something: part is carried on, the rest expires.

    Entries are of the instant of the end. Asked again it makes nothing new, but for what came back since: that expires.
    """
    made: list[Entry] = []
    carried: list[Grant] = []
    for grant in sorted(grants, key=_order):
        if grant.expires_at is None or grant.expires_at > at:
            continue
        own = [entry for entry in entries if entry.grant == grant.id]
        left, was_ended = total((entry.amount for entry in own), grant.amount.currency), _was_ended(own)
        if left.amount <= 0:
            continue
        rest = left
        if grant.rollover is not None and not was_ended and grant.rollover.of(left).amount > 0:
            new = _carried(grant, grant.rollover, left)
            carried.append(new)
            made += [Entry(grant.id, "carried", -new.amount, grant.expires_at, new.id), opened(new)]
            rest -= new.amount
        if rest.amount > 0:
            made.append(Entry(grant.id, "expired", -rest, grant.expires_at))
    return Ended(tuple(made), tuple(carried))


def _order(grant: Grant) -> tuple[int, datetime, datetime, str]:
    return grant.priority, grant.expires_at or _NEVER, grant.valid_from, grant.id


def _left(grant: Grant, entries: Iterable[Entry], at: datetime) -> Money:
    """The least that the grant holds at that instant or at any later one."""
    own = sorted((entry for entry in entries if entry.grant == grant.id), key=lambda entry: entry.at)
    held = total((entry.amount for entry in own if entry.at <= at), grant.amount.currency)
    least = held
    for entry in own:
        if entry.at > at:
            held += entry.amount
            least = min(least, held)
    return least


def _was_ended(own: Iterable[Entry]) -> bool:
    return any(entry.kind in {"expired", "carried"} for entry in own)


def _carried(grant: Grant, rollover: Rollover, left: Money) -> Grant:
    assert grant.expires_at is not None
    expires_at = grant.expires_at + timedelta(days=rollover.days)
    return Grant(f"{grant.id}+", rollover.of(left), grant.expires_at, expires_at, grant.priority)
