"""Sifts the bodies of receipts: events that may be accepted, duplicates within the batch, and refusals by reason."""

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
from workers.store.events import EVENTS_MAX, Candidate, event_number
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


@dataclass(slots=True)
class Sifted:
    """The outcome for all receipts of one claim; candidates hold each (source, id) once."""

    candidates: dict[bytes, Candidate] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    tallies: dict[int, Tally] = field(default_factory=dict)
    duplicates: Counter[Hour] = field(default_factory=Counter)
    envelopes: dict[int, Envelope] = field(default_factory=dict)
    users: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Raw:
    """One event of a body that could be read, at its place."""

    receipt_id: int
    position: int
    event: object
    user: str


def sift(conn: Connection, receipts: Sequence[Receipt], *, now: datetime) -> Sifted:
    """Read and check every body of the receipts against the register; nothing is written."""
    sifted = Sifted()
    raws = [raw for receipt in receipts for raw in _events(receipt, sifted)]
    checked = envelopes([raw.event for raw in raws])
    known = register.load(
        conn,
        sources={each["source"] for each in checked if not isinstance(each, Refusal)},
        meters={each["type"] for each in checked if not isinstance(each, Refusal)},
    )
    for raw, envelope in zip(raws, checked, strict=True):
        sifted.tallies[raw.receipt_id].parsed += 1
        if isinstance(envelope, Refusal):
            _refuse(sifted, raw, envelope, digest=_digest(raw.event))
        else:
            _admit(sifted, raw, envelope, known, now)
    return sifted


def _events(receipt: Receipt, sifted: Sifted) -> Iterator[_Raw]:
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
        for event in events:
            yield _Raw(receipt.id, position, event, user)
            position += 1


def _unreadable(receipt_id: int, position: int, delivery: Delivery, refusal: Refusal, user: str) -> Refused:
    digest = blake2b(delivery.body, digest_size=16).digest()
    return Refused(receipt_id, position, UUID(bytes=digest), digest, refusal, user)


def _admit(sifted: Sifted, raw: _Raw, envelope: Envelope, known: Register, now: datetime) -> None:
    """Make the event a candidate, count it as a duplicate of one in this batch, or refuse it."""
    source = known.sources.get(envelope["source"])
    candidate = _candidate(raw, envelope, known, now)
    if isinstance(candidate, Refusal):
        _refuse(sifted, raw, candidate, digest=_digest(raw.event), place=(source.id if source else None, None))
        return
    first = sifted.candidates.setdefault(candidate.key16, candidate)
    tally = sifted.tallies[raw.receipt_id]
    if first is candidate:
        tally.accepted += 1
        when = candidate.happened_at
        tally.happened_min = when if tally.happened_min is None or when < tally.happened_min else tally.happened_min
        tally.happened_max = when if tally.happened_max is None or when > tally.happened_max else tally.happened_max
        sifted.envelopes[candidate.event_no] = envelope
        sifted.users[candidate.event_no] = raw.user
    elif first.payload_hash == candidate.payload_hash:
        tally.duplicate += 1
        sifted.duplicates[candidate.source_id, hour_of(candidate.happened_at)] += 1
    else:
        place = candidate.source_id, candidate.happened_at
        _refuse(sifted, raw, conflict(envelope, first.event_no), digest=candidate.payload_hash, place=place)


def _candidate(  # noqa: PLR0911 -- each return is one reason to refuse
    raw: _Raw, envelope: Envelope, known: Register, now: datetime
) -> Candidate | Refusal:
    source = known.sources.get(envelope["source"])
    if source is None:
        return _refusal(envelope, "source_unknown", "source", f"{envelope['source']!r} is not registered")
    if raw.user not in source.users:
        return _refusal(
            envelope, "source_not_allowed", "source", f"user {raw.user!r} may not send for {envelope['source']!r}"
        )
    versions = known.meters.get(envelope["type"])
    if versions is None:
        return _refusal(envelope, "meter_unknown", "type", f"no meter is called {envelope['type']!r}")
    try:
        happened_at = parse_instant(envelope["time"])
        dataschema, subject = envelope.get("dataschema", ""), envelope.get("subject", "")
        version = version_for(versions, dataschema=dataschema, happened_at=happened_at)
        if version is None:
            return _refusal(
                envelope, "schema_unknown", "dataschema", f"the meter has no version for schema {dataschema!r}"
            )
        refused = objection(version, envelope["data"], happened_at=happened_at, now=now)
        if refused is not None:
            _raise_if_unusable(envelope["data"].get(refused.field.removeprefix("data.")))
            return _refusal(envelope, refused.code, refused.field, refused.sentence)
        data = _canonical(envelope["data"])
    except Rejection as error:
        return _refusal(envelope, error.code, str(error.facts.get("field", "data")), error.sentence)
    return Candidate(
        event_no=event_number(raw.receipt_id, raw.position),
        key16=key16(envelope["source"], envelope["id"]),
        payload_hash=payload_hash(envelope["type"], subject, happened_at, dataschema, data),
        source_id=source.id,
        meter_id=version.meter_id,
        meter_version_id=version.id,
        happened_at=happened_at,
        event_id=envelope["id"],
        subject=subject,
        data=data,
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
    return _refusal(envelope, "conflicting_duplicate", "id", sentence)


def hour_of(instant: datetime) -> datetime:
    """The UTC hour that contains the instant."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _refusal(envelope: Envelope, code: str, name: str, sentence: str) -> Refusal:
    return Refusal(code, name, sentence, {each: envelope.get(each) for each in ("id", "source", "type", "subject")})


def _digest(event: object) -> bytes:
    return blake2b(repr(event).encode(errors="backslashreplace"), digest_size=16).digest()


#: Where an event counts in the control totals, as far as that is known when it is refused.
Place = tuple[int | None, datetime | None]


def _refuse(sifted: Sifted, raw: _Raw, refusal: Refusal, *, digest: bytes, place: Place = (None, None)) -> None:
    source, event_id = refusal.event.get("source"), refusal.event.get("id")
    key = key16(source, event_id) if isinstance(source, str) and isinstance(event_id, str) else digest
    sifted.tallies[raw.receipt_id].refused += 1
    sifted.refused.append(
        Refused(
            raw.receipt_id,
            raw.position,
            UUID(bytes=key),
            digest,
            refusal,
            raw.user,
            source_id=place[0],
            happened_at=place[1],
        )
    )
