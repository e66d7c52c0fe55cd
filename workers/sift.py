"""Sifts the bodies of receipts: events that may be accepted, duplicates within the batch, and refusals by reason."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from domain.canonical import canonical_json
from domain.errors import Rejection
from domain.events import instant_or_none, key16, parse_instant, payload_hash
from domain.validation import objection, version_for
from queues.contracts import Checked, Delivery, Reading, Refusal, Unusable, read
from workers.store import register
from workers.store.events import EVENTS_MAX, Candidate, event_number, place_of
from workers.store.receipts import Receipt
from workers.store.register import Register

#: Agrees with `canonical_json` for all that it encodes at all; a property test compares them.
_encode = msgspec.json.Encoder(decimal_format="number", order="sorted").encode

Hour = tuple[int, datetime]


@dataclass(frozen=True, slots=True)
class Refused:
    """An event or a body that is not taken; becomes an exception row and a refusal to its producer."""

    receipt_id: int
    position: int
    key16: UUID
    hash: bytes
    refusal: Refusal
    user: str
    source_id: int | None = None
    happened_at: datetime | None = None
    claimed_at: datetime | None = None  # when it says it happened; the totals count by `happened_at` alone


@dataclass(slots=True)
class Tally:
    """What one receipt held; `parsed = accepted + duplicate + refused` when all is decided."""

    bodies: int = 0
    unreadable: int = 0
    parsed: int = 0
    duplicate: int = 0
    refused: int = 0
    accepted: int = 0
    happened_min: datetime | None = None
    happened_max: datetime | None = None

    def add(self, *, parsed: int, accepted: Sequence[datetime]) -> None:
        """Count the events of a body, and those accepted by the instants at which they happened."""
        self.parsed += parsed
        self.accepted += len(accepted)
        if accepted:
            self.happened_min = min(accepted) if self.happened_min is None else min(self.happened_min, *accepted)
            self.happened_max = max(accepted) if self.happened_max is None else max(self.happened_max, *accepted)


@dataclass(frozen=True, slots=True)
class Body:
    """The events of one body, in order."""

    receipt_id: int
    received_at: datetime
    first_event_no: int
    user: str
    reading: Reading


@dataclass(slots=True)
class Sifted:
    """The outcome for all receipts of one claim; candidates hold each (source, id) once."""

    candidates: dict[bytes, Candidate] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    tallies: dict[int, Tally] = field(default_factory=dict)
    duplicates: Counter[Hour] = field(default_factory=Counter)
    bodies: list[Body] = field(default_factory=list)
    limited: frozenset[int] = frozenset()  # sources that have a quota
    numbers: dict[int, list[tuple[int, datetime]]] = field(default_factory=dict)  # by source, with the event's time

    def names(self, attribute: Literal["source", "type"]) -> set[str]:
        """The sources, or the meters, that its events name."""
        found = (each for body in self.bodies for each in body.reading.checked if not isinstance(each, Refusal))
        return {getattr(each, attribute) for each in found}

    def origin(self, candidate: Candidate) -> tuple[Checked, str]:
        """The event that a candidate was made of, and the user who sent it."""
        at = bisect_right(self.bodies, candidate.event_no, key=lambda body: body.first_event_no) - 1
        body = self.bodies[at]
        event = body.reading.checked[candidate.event_no - body.first_event_no]
        assert not isinstance(event, Refusal), "a refusal is no candidate"
        return event, body.user


def sift(conn: Connection, receipts: Sequence[Receipt]) -> Sifted:
    """Read and check every body of the receipts against the register; nothing is written.

    Ages are judged by the time of the receipt, so that validating it again decides the same.
    """
    sifted = opened(receipts)
    judge(sifted, register.load(conn, sources=sifted.names("source"), meters=sifted.names("type")))
    return sifted


def opened(receipts: Sequence[Receipt]) -> Sifted:
    """The events in the bodies of the receipts, read and not judged yet; what cannot be read is refused."""
    sifted = Sifted()
    for receipt in receipts:
        sifted.bodies += _bodies(receipt, sifted)
    return sifted


def judge(sifted: Sifted, known: Register) -> None:
    """Check every event that was read against the sources and meters that are known."""
    sifted.limited = frozenset(each.id for each in known.sources.values() if each.quota_per_hour is not None)
    for body in sifted.bodies:
        _sift_body(sifted, body, known)


def _bodies(receipt: Receipt, sifted: Sifted) -> Iterator[Body]:
    tally = sifted.tallies.setdefault(receipt.id, Tally(bodies=len(receipt.deliveries)))
    position = 0
    for delivery in receipt.deliveries:
        user = str(delivery.properties.get("user_id") or "")
        reading = read(delivery)
        if isinstance(reading, Reading) and position + len(reading.checked) > EVENTS_MAX - len(receipt.deliveries):
            reading = Refusal("batch_too_large", "", "one receipt holds too many events", {})
        if isinstance(reading, Refusal):
            tally.unreadable += 1
            sifted.refused.append(_unreadable(receipt.id, position, delivery, reading, user))
            position += 1
        elif reading.checked:
            yield Body(receipt.id, receipt.received_at, event_number(receipt.id, position), user, reading)
            position += len(reading.checked)


def _unreadable(receipt_id: int, position: int, delivery: Delivery, refusal: Refusal, user: str) -> Refused:
    digest = blake2b(delivery.body, digest_size=16).digest()
    return Refused(receipt_id, position, UUID(bytes=digest), digest, refusal, user)


def _sift_body(sifted: Sifted, body: Body, known: Register) -> None:
    """Make each event a candidate, count it as a duplicate of one in this claim, or refuse it."""
    fresh: list[datetime] = []
    candidates = sifted.candidates
    for event_no, event in enumerate(body.reading.checked, body.first_event_no):
        if isinstance(event, Refusal):
            _refuse(sifted, body, event_no, event)
            continue
        candidate = _candidate(event_no, body, event, known)
        if event.sequence:
            _number(sifted, body, event, candidate, known)
        if isinstance(candidate, Refusal):
            source = known.sources.get(event.source)
            _refuse(sifted, body, event_no, candidate, place=(source.id if source else None, None))
            continue
        first = candidates.setdefault(candidate.key16, candidate)
        if first is candidate:
            fresh.append(candidate.happened_at)
        else:
            _meet_again(sifted, body, first, candidate)
    sifted.tallies[body.receipt_id].add(parsed=len(body.reading.checked), accepted=fresh)


def _number(sifted: Sifted, body: Body, event: Checked, candidate: Candidate | Refusal, known: Register) -> None:
    """Note that an event of this number has come, also if it is refused or a duplicate, unless it may not be sent."""
    source = known.sources.get(event.source)
    if source is not None and body.user in source.users:
        happened_at = body.received_at if isinstance(candidate, Refusal) else candidate.happened_at
        sifted.numbers.setdefault(source.id, []).append((int(event.sequence), happened_at))


def _meet_again(sifted: Sifted, body: Body, first: Candidate, candidate: Candidate) -> None:
    place = candidate.source_id, candidate.happened_at
    if first.payload_hash == candidate.payload_hash:
        sifted.tallies[body.receipt_id].duplicate += 1
        sifted.duplicates[candidate.source_id, hour_of(candidate.happened_at)] += 1
    else:
        refusal = conflict(sifted.origin(candidate)[0], first.event_no)
        _refuse(sifted, body, candidate.event_no, refusal, digest=candidate.payload_hash, place=place)


def _candidate(  # noqa: PLR0911 -- each return is one reason to refuse
    event_no: int, body: Body, event: Checked, known: Register
) -> Candidate | Refusal:
    source = known.sources.get(event.source)
    if source is None:
        return refusal_of(event, "source_unknown", "source", f"{event.source!r} is not registered")
    if body.user not in source.users:
        return refusal_of(
            event, "source_not_allowed", "source", f"user {body.user!r} may not send for {event.source!r}"
        )
    versions = known.meters.get(event.type)
    if versions is None:
        return refusal_of(event, "meter_unknown", "type", f"no meter is called {event.type!r}")
    try:
        happened_at = parse_instant(event.time)
        dataschema, subject = event.dataschema, event.subject
        version = version_for(versions, dataschema=dataschema, happened_at=happened_at)
        if version is None:
            return refusal_of(
                event, "schema_unknown", "dataschema", f"the meter has no version for schema {dataschema!r}"
            )
        refused = objection(version, event.data, happened_at=happened_at, now=body.received_at)
        if refused is not None:
            _raise_if_unusable(event.data.get(refused.field.removeprefix("data.")))
            return refusal_of(event, refused.code, refused.field, refused.sentence)
        data = _canonical(event.data)
    except Rejection as error:
        return refusal_of(event, error.code, str(error.facts.get("field", "data")), error.sentence)
    return Candidate(
        event_no,
        key16(event.source, event.id),
        payload_hash(event.type, subject, happened_at, dataschema, data),
        source.id,
        version.meter_id,
        version.id,
        happened_at,
        event.id,
        subject,
        data,
    )


def _canonical(data: dict[str, object]) -> bytes:
    """The canonical text of the data: by the fast encoder, and by the reference wherever that one has doubts."""
    try:
        encoded = _encode(data)
    except (TypeError, ValueError, RecursionError):  # an `Unusable`, half a surrogate pair, too deep
        encoded = b""
    if not encoded or b"\\u0000" in encoded:
        for value in data.values():
            _raise_if_unusable(value)
        return canonical_json(data).encode()  # type: ignore[arg-type]
    return encoded


def _raise_if_unusable(value: object) -> None:
    """Refuse by the name of what is wrong with a number rather than by the field that it is no use for."""
    if isinstance(value, Unusable):
        raise value.rejection


def conflict(event: Checked, first_event_no: int) -> Refusal:
    """The refusal of an event whose (source, id) came before with another body."""
    sentence = f"the same id came before with another body, as event {first_event_no}: send a correction under a new id"
    return refusal_of(event, "conflicting_duplicate", "id", sentence)


def hour_of(instant: datetime) -> datetime:
    """The hour that contains the instant, which is in UTC as every instant that `parse_instant` reads."""
    assert instant.tzinfo is UTC, instant
    return instant.replace(minute=0, second=0, microsecond=0)


def refusal_of(event: Checked, code: str, name: str, sentence: str) -> Refusal:
    """The refusal of an event by `code`, because of the attribute `name`; it names whose event it is."""
    named = {"id": event.id, "source": event.source, "type": event.type, "subject": event.subject or None}
    return Refusal(code, name, sentence, named)


def _digest(reading: Reading, index: int) -> bytes:
    """Tells a refused event from another that claims its id: the event as far as it was understood."""
    checked = reading.checked[index]
    event = reading.written[index] if isinstance(checked, Refusal) else checked
    return blake2b(repr(event).encode(errors="backslashreplace"), digest_size=16).digest()


#: Where an event counts in the control totals, as far as that is known when it is refused.
Place = tuple[int | None, datetime | None]


def _refuse(  # noqa: PLR0913 -- two of them only where more is known than what was sent
    sifted: Sifted,
    body: Body,
    event_no: int,
    refusal: Refusal,
    *,
    digest: bytes | None = None,
    place: Place = (None, None),
) -> None:
    digest = digest or _digest(body.reading, event_no - body.first_event_no)
    source, event_id = refusal.event.get("source"), refusal.event.get("id")
    key = key16(source, event_id) if isinstance(source, str) and isinstance(event_id, str) else digest
    sifted.tallies[body.receipt_id].refused += 1
    position = place_of(event_no)[1]
    event = body.reading.checked[event_no - body.first_event_no]
    claimed_at = None if isinstance(event, Refusal) else instant_or_none(event.time)
    refused = Refused(body.receipt_id, position, UUID(bytes=key), digest, refusal, body.user, *place, claimed_at)
    sifted.refused.append(refused)
