"""Sifts the bodies of receipts: events that may be accepted, duplicates within the batch, and refusals by reason."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from domain.canonical import canonical_json
from domain.errors import Rejection
from domain.events import key16, parse_instant, payload_hash
from domain.validation import objection, version_for
from queues.contracts import Delivery, Envelope, Refusal, Unusable, envelopes, events_of
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
    """The events of one body, as they were read and as they were checked, in order."""

    receipt_id: int
    received_at: datetime
    first_event_no: int
    user: str
    events: Sequence[object]
    envelopes: Sequence[Envelope | Refusal]


@dataclass(slots=True)
class Sifted:
    """The outcome for all receipts of one claim; candidates hold each (source, id) once."""

    candidates: dict[bytes, Candidate] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    tallies: dict[int, Tally] = field(default_factory=dict)
    duplicates: Counter[Hour] = field(default_factory=Counter)
    bodies: list[Body] = field(default_factory=list)

    def origin(self, candidate: Candidate) -> tuple[Envelope, str]:
        """The envelope of a candidate, and the user who sent it."""
        at = bisect_right(self.bodies, candidate.event_no, key=lambda body: body.first_event_no) - 1
        body = self.bodies[at]
        envelope = body.envelopes[candidate.event_no - body.first_event_no]
        assert not isinstance(envelope, Refusal), "a refusal is no candidate"
        return envelope, body.user


def sift(conn: Connection, receipts: Sequence[Receipt]) -> Sifted:
    """Read and check every body of the receipts against the register; nothing is written.

    Ages are judged by the time of the receipt, so that validating it again decides the same.
    """
    sifted = Sifted()
    for receipt in receipts:
        sifted.bodies += _bodies(receipt, sifted)
    checked = [each for body in sifted.bodies for each in body.envelopes if not isinstance(each, Refusal)]
    known = register.load(conn, sources={each["source"] for each in checked}, meters={each["type"] for each in checked})
    for body in sifted.bodies:
        _sift_body(sifted, body, known)
    return sifted


def _bodies(receipt: Receipt, sifted: Sifted) -> Iterator[Body]:
    tally = sifted.tallies.setdefault(receipt.id, Tally(bodies=len(receipt.deliveries)))
    position = 0
    for delivery in receipt.deliveries:
        user = str(delivery.properties.get("user_id") or "")
        events, refusal = events_of(delivery)
        if refusal is None and position + len(events) > EVENTS_MAX - len(receipt.deliveries):
            events, refusal = [], Refusal("batch_too_large", "", "one receipt holds too many events", {})
        if refusal is not None:
            tally.unreadable += 1
            sifted.refused.append(_unreadable(receipt.id, position, delivery, refusal, user))
            position += 1
        elif events:
            first = event_number(receipt.id, position)
            yield Body(receipt.id, receipt.received_at, first, user, events, envelopes(events))
            position += len(events)


def _unreadable(receipt_id: int, position: int, delivery: Delivery, refusal: Refusal, user: str) -> Refused:
    digest = blake2b(delivery.body, digest_size=16).digest()
    return Refused(receipt_id, position, UUID(bytes=digest), digest, refusal, user)


def _sift_body(sifted: Sifted, body: Body, known: Register) -> None:
    """Make each event a candidate, count it as a duplicate of one in this claim, or refuse it."""
    fresh: list[datetime] = []
    candidates = sifted.candidates
    for event_no, envelope in enumerate(body.envelopes, body.first_event_no):
        if isinstance(envelope, Refusal):
            _refuse(sifted, body, event_no, envelope)
            continue
        candidate = _candidate(event_no, body, envelope, known)
        if isinstance(candidate, Refusal):
            source = known.sources.get(envelope["source"])
            _refuse(sifted, body, event_no, candidate, place=(source.id if source else None, None))
            continue
        first = candidates.setdefault(candidate.key16, candidate)
        if first is candidate:
            fresh.append(candidate.happened_at)
        else:
            _meet_again(sifted, body, first, candidate)
    sifted.tallies[body.receipt_id].add(parsed=len(body.envelopes), accepted=fresh)


def _meet_again(sifted: Sifted, body: Body, first: Candidate, candidate: Candidate) -> None:
    place = candidate.source_id, candidate.happened_at
    if first.payload_hash == candidate.payload_hash:
        sifted.tallies[body.receipt_id].duplicate += 1
        sifted.duplicates[candidate.source_id, hour_of(candidate.happened_at)] += 1
    else:
        refusal = conflict(sifted.origin(candidate)[0], first.event_no)
        _refuse(sifted, body, candidate.event_no, refusal, digest=candidate.payload_hash, place=place)


def _candidate(  # noqa: PLR0911 -- each return is one reason to refuse
    event_no: int, body: Body, envelope: Envelope, known: Register
) -> Candidate | Refusal:
    source = known.sources.get(envelope["source"])
    if source is None:
        return refusal_of(envelope, "source_unknown", "source", f"{envelope['source']!r} is not registered")
    if body.user not in source.users:
        return refusal_of(
            envelope, "source_not_allowed", "source", f"user {body.user!r} may not send for {envelope['source']!r}"
        )
    versions = known.meters.get(envelope["type"])
    if versions is None:
        return refusal_of(envelope, "meter_unknown", "type", f"no meter is called {envelope['type']!r}")
    try:
        happened_at = parse_instant(envelope["time"])
        dataschema, subject = envelope.get("dataschema", ""), envelope.get("subject", "")
        version = version_for(versions, dataschema=dataschema, happened_at=happened_at)
        if version is None:
            return refusal_of(
                envelope, "schema_unknown", "dataschema", f"the meter has no version for schema {dataschema!r}"
            )
        refused = objection(version, envelope["data"], happened_at=happened_at, now=body.received_at)
        if refused is not None:
            _raise_if_unusable(envelope["data"].get(refused.field.removeprefix("data.")))
            return refusal_of(envelope, refused.code, refused.field, refused.sentence)
        data = _canonical(envelope["data"])
    except Rejection as error:
        return refusal_of(envelope, error.code, str(error.facts.get("field", "data")), error.sentence)
    return Candidate(
        event_no,
        key16(envelope["source"], envelope["id"]),
        payload_hash(envelope["type"], subject, happened_at, dataschema, data),
        source.id,
        version.meter_id,
        version.id,
        happened_at,
        envelope["id"],
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


def conflict(envelope: Envelope, first_event_no: int) -> Refusal:
    """The refusal of an event whose (source, id) came before with another body."""
    sentence = f"the same id came before with another body, as event {first_event_no}: send a correction under a new id"
    return refusal_of(envelope, "conflicting_duplicate", "id", sentence)


def hour_of(instant: datetime) -> datetime:
    """The hour that contains the instant, which is in UTC as every instant that `parse_instant` reads."""
    assert instant.tzinfo is UTC, instant
    return instant.replace(minute=0, second=0, microsecond=0)


def refusal_of(envelope: Envelope, code: str, name: str, sentence: str) -> Refusal:
    """The refusal of an event by `code`, because of the attribute `name`; it names whose event it is."""
    return Refusal(code, name, sentence, {each: envelope.get(each) for each in ("id", "source", "type", "subject")})


def _digest(event: object) -> bytes:
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
    digest = digest or _digest(body.events[event_no - body.first_event_no])
    source, event_id = refusal.event.get("source"), refusal.event.get("id")
    key = key16(source, event_id) if isinstance(source, str) and isinstance(event_id, str) else digest
    sifted.tallies[body.receipt_id].refused += 1
    sifted.refused.append(
        Refused(
            body.receipt_id,
            place_of(event_no)[1],
            UUID(bytes=key),
            digest,
            refusal,
            body.user,
            source_id=place[0],
            happened_at=place[1],
        )
    )
