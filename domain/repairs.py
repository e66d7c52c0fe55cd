"""Repairs: what may be done about a document of which several systems hold different things, forward or back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from domain.errors import Rejection

#: Forward: the same document again. Back: the document void. Or only the journal, where the document is void already.
Kind = Literal["resend", "void", "reverse_journal"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: What the ERP holds under the document's key, as far as we know. `draft`: created there and not booked.
#: `document_without_journal`: invoice in, journal out. `other_document`: booked, and differs from ours. `document`:
#: read back and equal.
ErpHolds = Literal["nothing", "draft", "document_without_journal", "other_document", "document", "unknown"]
#: What the tax engine was told. `maybe_committed`: it was asked to commit, and no answer is known.
TaxHolds = Literal["nothing", "maybe_committed", "committed", "void"]
#: What our books hold of the document.
Books = Literal["not_issued", "issued", "void"]
#: One act of a repair: done once, in a transaction of its own.
Act = Literal["send_again", "withdraw", "void_tax", "reverse_entry", "void_document"]

#: What each act does, for people.
MEANINGS: Final[Mapping[Act, str]] = {
    "send_again": "post it again: same number, same key, looked up before anything is sent",
    "withdraw": "look in the ERP once more; if it holds nothing, never send the document again",
    "void_tax": "tell the tax engine that the document is void",
    "reverse_entry": "book the entry that undoes the document's journal entry",
    "void_document": "make the document void: its number is kept, its usage is billed by the next run",
}


class RepairRefused(Rejection):
    """A repair that would not be safe: what is in its way is in the sentence."""

    code = "repair_refused"


@dataclass(frozen=True, slots=True)
class Holdings:
    """What each system holds of one document.

    `later` is the number, or the draft, of a document that bills the difference to this one.
    """

    number: str
    books: Books
    has_entry: bool
    is_reversed: bool
    erp: ErpHolds
    tax: TaxHolds
    later: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The acts of a repair in their order. The release of the usage is the last, when nothing else is left to undo."""

    kind: Kind
    acts: tuple[Act, ...]


@dataclass(frozen=True, slots=True)
class Unsafe:
    """Why a kind of repair must not be done now."""

    kind: Kind
    sentence: str


Option: TypeAlias = Plan | Unsafe


def options(holdings: Holdings) -> tuple[Option, ...]:
    """The forward repair and the undo of the document, or why each is not safe."""
    if holdings.books == "void":
        return (reverse_journal(holdings),)
    return (forward(holdings), undo(holdings))


def planned(kind: Kind, holdings: Holdings) -> Plan:
    """The plan of that kind. Raises `RepairRefused`."""
    option = {"resend": forward, "void": undo, "reverse_journal": reverse_journal}[kind](holdings)
    if isinstance(option, Unsafe):
        raise RepairRefused(option.sentence, number=holdings.number, kind=kind)
    return option


def forward(holdings: Holdings) -> Option:
    """Post the document again, which is safe whatever the ERP holds: it is looked up first, and compared."""
    number = holdings.number
    if holdings.books != "issued":
        return Unsafe("resend", f"{number} is {_words(holdings.books)}: there is nothing to send")
    if holdings.erp == "document":
        return Unsafe("resend", f"the ERP has confirmed {number}: there is nothing to repair")
    return Plan("resend", ("send_again",))


def undo(holdings: Holdings) -> Option:
    """Make the document void in every system that holds anything of it."""
    reason = _why_not_undone(holdings)
    if reason is not None:
        return Unsafe("void", reason)
    acts: list[Act] = ["withdraw"]
    if holdings.tax in ("committed", "maybe_committed"):
        acts.append("void_tax")
    if holdings.has_entry and not holdings.is_reversed:
        acts.append("reverse_entry")
    return Plan("void", (*acts, "void_document"))


def reverse_journal(holdings: Holdings) -> Option:
    """Journal in, document out: book what undoes the entry of a document that is void."""
    if holdings.books != "void":
        return Unsafe("reverse_journal", f"{holdings.number} is {_words(holdings.books)}: its entry stands")
    if not holdings.has_entry or holdings.is_reversed:
        return Unsafe("reverse_journal", f"{holdings.number} is void, and nothing of it is left to undo")
    return Plan("reverse_journal", ("reverse_entry",))


def _why_not_undone(holdings: Holdings) -> str | None:
    number = holdings.number
    if holdings.books != "issued":
        return f"{number} is {_words(holdings.books)}: there is nothing to undo"
    if holdings.erp == "document":
        return f"the ERP has confirmed {number}: what it asks for is given back by a credit note"
    if holdings.erp in ("document_without_journal", "other_document"):
        return f"the ERP holds {number}: correct it there, then send it again, which compares both"
    if holdings.erp == "unknown":
        return f"it is not known whether the ERP holds {number}: send it again, which looks it up first"
    if holdings.later is not None:
        return f"{holdings.later} bills the difference to {number}: undo that one first"
    return None


def _words(books: Books) -> str:
    return books.replace("_", " ")
