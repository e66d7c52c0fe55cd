"""The audit log as a chain: each entry's hash covers its texts and the hash before it, so what is changed shows."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

#: What stands where the hash before the first entry would be.
NO_HASH: Final = bytes(32)

#: tampered: the texts are not what was hashed; unlinked: it does not follow the entry before it; missing: numbers are
#: left out; disordered: a number comes again or too late; truncated: entries after the last one are gone; forged: the
#: head, or what is known from outside, says something else; headless: nothing says where the log ends; unguarded: what
#: writes and keeps the log is switched off.
ProblemKind = Literal["tampered", "unlinked", "missing", "disordered", "truncated", "forged", "headless", "unguarded"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One change, in exactly the texts that were hashed; `recorded_at` is in UTC with microseconds."""

    no: int
    prev_hash: bytes
    hash: bytes
    recorded_at: str
    person: str
    token_id: str | None
    approval_id: str | None
    reason: str
    action: str
    subject: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Head:
    """The number and hash of an entry, kept apart from it: by the database of the last, by outsiders of a past one."""

    no: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one number of the chain."""

    no: int
    kind: ProblemKind
    sentence: str


def chain_hash(entry: Entry) -> bytes:
    """The hash that an entry must have: of the hash before it and each text after its length in bytes of UTF-8."""
    texts = (
        str(entry.no), entry.recorded_at, entry.person, entry.token_id, entry.approval_id, entry.reason, entry.action,
        entry.subject, entry.before, entry.after,
    )  # fmt: skip
    return sha256(entry.prev_hash + b"".join(_part(text) for text in texts)).digest()


def _part(text: str | None) -> bytes:
    """No two rows of texts read the same, and no text reads as none."""
    if text is None:
        return b"-"
    content = text.encode()
    return b"%d:%b" % (len(content), content)


def verify(
    entries: Iterable[Entry], *, head: Callable[[], Head | None], known: Iterable[Head] = ()
) -> Iterator[Problem]:
    """What is wrong with a whole chain, from its first entry on, in the order in which it is found.

    `head` is asked after the last entry for what the log itself says is its end; `known` are heads that outsiders were
    told, which nobody who rewrote the chain and its head could change.
    """
    told = {each.no: each.hash for each in known}
    last = Head(0, NO_HASH)
    for entry in entries:
        yield from _in_place(entry, last)
        if entry.hash != chain_hash(entry):
            yield Problem(entry.no, "tampered", f"entry {entry.no} is not what was recorded: its hash differs")
        yield from _as_told(entry, told)
        last = Head(max(entry.no, last.no), entry.hash)
    yield from _at_end(last, head())
    if told and max(told) > last.no:
        sentence = f"entry {max(told)} is known outside, but the log ends with {last.no}"
        yield Problem(last.no + 1, "truncated", sentence)


def _in_place(entry: Entry, last: Head) -> Iterator[Problem]:
    """Whether the entry is the next one; one that is missing is named once, and the chain goes on after it."""
    if entry.no <= last.no:
        yield Problem(entry.no, "disordered", f"entry {entry.no} comes after entry {last.no}")
    elif entry.no > last.no + 1:
        gone = f"entry {last.no + 1} is" if entry.no == last.no + 2 else f"entries {last.no + 1} to {entry.no - 1} are"
        yield Problem(last.no + 1, "missing", f"{gone} missing")
    elif entry.prev_hash != last.hash:
        yield Problem(entry.no, "unlinked", f"entry {entry.no} does not follow entry {last.no} as that is now")


def _as_told(entry: Entry, told: Mapping[int, bytes]) -> Iterator[Problem]:
    if told.get(entry.no, entry.hash) != entry.hash:
        sentence = f"entry {entry.no} has another hash than is known outside: the chain up to it was rewritten"
        yield Problem(entry.no, "forged", sentence)


def _at_end(last: Head, head: Head | None) -> Iterator[Problem]:
    if head is None:
        if last.no:
            yield Problem(last.no, "headless", f"nothing says that the log ends with entry {last.no}")
    elif head.no > last.no:
        yield Problem(last.no + 1, "truncated", f"the head says {head.no}, but the log ends with entry {last.no}")
    elif head.no < last.no or head.hash != last.hash:
        yield Problem(head.no, "forged", f"the head does not fit entry {last.no}, the last one")
