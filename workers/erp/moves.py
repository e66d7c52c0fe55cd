"""What may be done next about a document on its way into an ERP, and whether the ERP holds what we sent; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from domain.journal import Posting
from workers.erp.protocol import ErpDocument, Found, Limits, ReadBack

#: Where a posting stands.
State = Literal["planned", "sending", "unknown", "confirmed", "rejected", "superseded"]

#: Look-ups that must find nothing after the quiet time before a document is sent again.
NOT_FOUND_MIN: Final = 2
#: Between two of them, at least.
LOOK_AGAIN_S: Final = 1.0
#: A lost answer is looked up at such intervals until the quiet time is over.
LOOK_EVERY_S_MAX: Final = 60.0


@dataclass(frozen=True, slots=True)
class Confirm:
    """The ERP holds a posted document under our key: read it back and compare."""

    ref: str


@dataclass(frozen=True, slots=True)
class Send:
    """Nothing is in the air: ask the ERP to book the document, from the draft it may hold on."""

    draft_ref: str | None


@dataclass(frozen=True, slots=True)
class Wait:
    """A call may still have an effect, or a second look is due; `is_conclusive` counts this look as one of them."""

    delay_s: float
    is_conclusive: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Only a person can say whether the ERP holds it."""


Move: TypeAlias = Confirm | Send | Wait | GiveUp


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a posting has come; `quiet_s`: for how many seconds from now a call already made may have an effect."""

    state: State
    quiet_s: float
    draft_ref: str | None
    not_found: int


def next_move(posting: Standing, found: Found | None, *, limits: Limits) -> Move:
    """What may be done now about a posting that is not confirmed, after the ERP was asked for its key."""
    if found is not None and found.is_posted:
        return Confirm(found.ref)
    draft_ref = found.ref if found is not None else posting.draft_ref
    if posting.state in ("planned", "rejected"):
        return Send(draft_ref)
    if posting.quiet_s > 0:
        return Wait(min(max(posting.quiet_s, LOOK_AGAIN_S), LOOK_EVERY_S_MAX))
    return Send(draft_ref) if found is not None else _after_nothing(posting, limits)


def _after_nothing(posting: Standing, limits: Limits) -> Move:
    """What may be done after a call was begun, the ERP has been quiet since, and it finds nothing."""
    if not limits.key_is_unique:
        return GiveUp()
    if posting.not_found + 1 < NOT_FOUND_MIN:
        return Wait(LOOK_AGAIN_S, is_conclusive=True)
    return Send(posting.draft_ref)


def differences(asked: ErpDocument, back: ReadBack) -> list[str]:
    """In what the ERP's document differs from ours, by name; empty if in nothing."""
    ours, theirs = asked.totals, back.totals
    names = [name for name in ("net", "tax", "gross", "lines") if getattr(ours, name) != getattr(theirs, name)]
    if back.key != asked.key:
        names.append("key")
    if back.document_number not in (None, asked.number):
        names.append("number")
    if back.debtor not in (None, asked.debtor or ""):
        names.append("debtor")
    if back.entry is not None and _comparable(back.entry) != _comparable(asked.entry.postings):
        names.append("entry")
    return names


def _comparable(postings: Sequence[Posting]) -> list[tuple[str, str, Decimal]]:
    return sorted((each.ledger_account, each.amount.currency.code, each.amount.amount) for each in postings)
