"""Prepaid credits: grants of what was paid ahead; whatever becomes of one is an entry, and entries sum to its rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from domain.canonical import decimal_text
from domain.definitions import DefinitionInvalid
from domain.discounts import percentage_of
from domain.money import EXACT, Currency, Money, total

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

    Grants of a lower `priority` number are drawn first. `carried_from`: the grant whose rest this one holds.
    """

    id: str
    amount: Money
    valid_from: datetime
    expires_at: datetime | None = None
    priority: int = 0
    rollover: Rollover | None = None
    carried_from: str | None = None

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

    def is_over_at(self, at: datetime) -> bool:
        """Whether it has ended by that instant."""
        return self.expires_at is not None and self.expires_at <= at


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
    given. What is booked for any other instant is not spent twice. Where the end of one is booked already, what it has
    drawn is taken back from what expired and was carried on.
    """
    found, left, known = list[Entry](), due, list(grants)
    valid = [grant for grant in known if grant.amount.currency == due.currency and grant.is_valid(at)]
    for grant in sorted(valid, key=_order):
        amount = min(_available(grant, known, entries), left)
        if amount.amount > 0:
            found.append(Entry(grant.id, "drawn", -amount, at, reference))
            left -= amount
    over = [grant for grant in known if is_over(grant, entries)] if found else []
    return (*found, *_ended(known, over, [*entries, *found]).entries)


def returned(entries: Sequence[Entry], amount: Money, *, reference: str) -> tuple[Entry, ...]:
    """The entries that give back what a document drew, at most `amount` of it: what was drawn last comes back first.

    It comes back to the grants that it was drawn from, as of the instant at which it was drawn: what bills the same
    service again may draw it again. A grant that has ended since ends again: more of it is carried on, or expires.
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
    """What the books lack of grants that have ended by then: what is carried on of their rest, the other part expires.

    Entries are of the instant of the end, and bring what is booked to what the rest says, either way: so it does not
    matter whether an end is booked before or after what is drawn or comes back. Asked again it makes nothing new. What
    grants were carried into must be among them.
    """
    known = list(grants)
    over = [grant for grant in known if grant.is_over_at(at)]
    return _ended(known, over, entries, at=at)


def _ended(
    grants: Iterable[Grant], over: Iterable[Grant], entries: Sequence[Entry], *, at: datetime | None = None
) -> Ended:
    """The ends of those that are over; without an instant one that should carry on for the first time is left."""
    known, made, carried = list(entries), list[Entry](), list[Grant]()
    into = {grant.carried_from: grant for grant in grants if grant.carried_from is not None}
    # What is carried on ends after that which it comes from.
    ending = sorted(over, key=lambda grant: (grant.carried_from is not None, *_order(grant)))
    for grant in ending:
        assert grant.expires_at is not None
        new: list[Entry] = []
        more = _to_carry(grant, known)
        if more.amount and grant.id not in into:
            if at is None:
                continue
            made_now = into[grant.id] = _carried(grant, more)
            carried.append(made_now)
            new += [*_moved(grant, made_now, more)[:1], opened(made_now)]
            ending += [made_now] if made_now.is_over_at(at) else []
        elif more.amount:
            new += _moved(grant, into[grant.id], more)
        rest = total((each.amount for each in [*known, *new] if each.grant == grant.id), grant.amount.currency)
        if rest.amount:
            new.append(Entry(grant.id, "expired", -rest, grant.expires_at))
        known += new
        made += new
    return Ended(tuple(made), tuple(carried))


def _to_carry(grant: Grant, entries: Sequence[Entry]) -> Money:
    """How much more of its rest than is booked a grant that has ended carries on; negative: less."""
    if grant.rollover is None:
        return Money.zero(grant.amount.currency)
    own = (entry.amount for entry in entries if entry.grant == grant.id and entry.kind == "carried")
    return grant.rollover.of(_rest(grant, entries)) + total(own, grant.amount.currency)


def _moved(grant: Grant, to: Grant, amount: Money) -> list[Entry]:
    assert grant.expires_at is not None
    return [
        Entry(grant.id, "carried", -amount, grant.expires_at, to.id),
        Entry(to.id, "carried", amount, to.valid_from, grant.id),
    ]


def _rest(grant: Grant, entries: Iterable[Entry]) -> Money:
    """What documents have left of a grant, whatever of it was carried on or has expired since."""
    away = {"expired", "carried"} if grant.carried_from is None else {"expired"}
    own = (entry.amount for entry in entries if entry.grant == grant.id and entry.kind not in away)
    return total(own, grant.amount.currency)


def is_over(grant: Grant, entries: Iterable[Entry]) -> bool:
    """Whether the end of the grant is booked."""
    away = {"expired", "carried"} if grant.carried_from is None else {"expired"}
    return any(entry.grant == grant.id and entry.kind in away for entry in entries)


def _order(grant: Grant) -> tuple[int, datetime, datetime, str]:
    return grant.priority, grant.expires_at or _NEVER, grant.valid_from, grant.id


def _available(grant: Grant, grants: Iterable[Grant], entries: Sequence[Entry]) -> Money:
    """What documents may still draw of a grant, whether its end is booked or not.

    Only what they have drawn of what was carried on is gone: a rest that carries so much must stay.
    """
    left, into = _rest(grant, entries), next((each for each in grants if each.carried_from == grant.id), None)
    if into is None or grant.rollover is None:
        return left
    drawn = (each.amount for each in entries if each.grant == into.id and each.kind in {"drawn", "returned"})
    return left - _least_rest(grant.rollover, -total(drawn, left.currency), left)


def _least_rest(rollover: Rollover, carried: Money, left: Money) -> Money:
    """The least part of what is left that still carries so much on."""
    currency = left.currency
    low, high = 0, int(left.amount.scaleb(currency.minor_units, EXACT))
    while low < high:
        middle = (low + high) // 2
        if rollover.of(_of_minor_units(middle, currency)) >= carried:
            high = middle
        else:
            low = middle + 1
    return _of_minor_units(high, currency)


def _of_minor_units(count: int, currency: Currency) -> Money:
    return Money(Decimal(count).scaleb(-currency.minor_units, EXACT), currency)


def _carried(grant: Grant, amount: Money) -> Grant:
    assert grant.expires_at is not None
    assert grant.rollover is not None
    expires_at = grant.expires_at + timedelta(days=grant.rollover.days)
    return Grant(f"{grant.id}+", amount, grant.expires_at, expires_at, grant.priority, carried_from=grant.id)
