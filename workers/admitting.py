"""How `validate` saves what it sifted: events, refusals with notices to producers, and what each receipt held."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import Connection

from queues import exceptions
from queues.exceptions import NewException
from queues.work import Ready
from workers.sift import Hour, Refused, Sifted, conflict, hour_of, refusal_of
from workers.store import events, notices, quotas, receipt_counts, register, sequences, totals
from workers.store.events import Candidate, place_of
from workers.unit import Unit

#: An event refused before its time could be read is counted under the hour of its receipt.
HOUR = timedelta(hours=1)


def admit(conn: Connection, sifted: Sifted) -> None:
    """Insert the candidates; what was there already becomes a duplicate or, with another body, a refusal."""
    _hold_to_quotas(conn, sifted)
    candidates = {each.event_no: each for each in sifted.candidates.values()}
    for known in events.accept(conn, list(candidates.values())):
        candidate = candidates.pop(known.event_no)
        tally = sifted.tallies[place_of(known.event_no)[0]]
        tally.accepted -= 1
        if known.is_same:
            tally.duplicate += 1
            sifted.duplicates[candidate.source_id, hour_of(candidate.happened_at)] += 1
        else:
            tally.refused += 1
            refusal = conflict(sifted.origin(candidate)[0], known.first_event_no)
            sifted.refused.append(_refused(candidate, refusal=refusal, sifted=sifted))
    if sifted.candidates:  # without any there may be no staging table to read
        totals.add_accepted(conn)
    totals.add_counts(conn, "duplicate", sifted.duplicates)
    totals.add_counts(conn, "parsed", _parsed(sifted, candidates.values()))


def _parsed(sifted: Sifted, accepted: Iterable[Candidate]) -> Counter[Hour]:
    """All events whose source and hour are known: accepted, duplicate, and refused after that point."""
    parsed = Counter(sifted.duplicates)
    parsed.update(_refused_hours(sifted))
    # Days and hours are counted first, since to make an instant for each event takes several times as long.
    days = Counter([(each.source_id, each.happened_at.toordinal(), each.happened_at.hour) for each in accepted])
    for (source_id, day, hour), number in days.items():
        parsed[source_id, datetime.combine(date.fromordinal(day), time(hour), UTC)] += number
    return parsed


def _hold_to_quotas(conn: Connection, sifted: Sifted) -> None:
    """Refuse what goes beyond a source's quota of this hour; the events that came first go through."""
    if not sifted.limited:
        return
    by_source: dict[int, list[Candidate]] = {}
    for candidate in sifted.candidates.values():
        if candidate.source_id in sifted.limited:
            by_source.setdefault(candidate.source_id, []).append(candidate)
    for candidate, sentence in quotas.beyond(conn, by_source):
        refusal = refusal_of(sifted.origin(candidate)[0], "quota_exceeded", "source", sentence)
        del sifted.candidates[candidate.key16]
        tally = sifted.tallies[place_of(candidate.event_no)[0]]
        tally.accepted -= 1
        tally.refused += 1
        sifted.refused.append(_refused(candidate, refusal=refusal, sifted=sifted))


def _refused(candidate: Candidate, *, refusal: object, sifted: Sifted) -> Refused:
    receipt_id, position = place_of(candidate.event_no)
    return Refused(
        receipt_id, position, UUID(bytes=candidate.key16), candidate.payload_hash, refusal,  # type: ignore[arg-type]
        sifted.origin(candidate)[1], candidate.source_id, candidate.happened_at,
    )  # fmt: skip


def refuse(unit: Unit, sifted: Sifted) -> None:
    """Open an exception for each refusal and owe its producer a notice."""
    if not sifted.refused:
        return
    types = {each for refused in sifted.refused if isinstance(each := refused.refusal.event.get("type"), str)}
    meters = register.meter_ids(unit.conn, types)
    exceptions.open_exceptions(unit.conn, [_exception(each, meters) for each in sifted.refused])
    totals.add_counts(unit.conn, "refused", _refused_hours(sifted))
    receipts = {ready.subject_id: ready for ready in unit.ready}
    for receipt_id, ready in receipts.items():
        mine = [each for each in sifted.refused if each.receipt_id == receipt_id]
        if mine:
            notices.refusals(unit.conn, mine, occurred_at=unit.now)
            unit.then(ready, "notify", f"notices/receipt/{receipt_id}", weight=len(mine))


def _refused_hours(sifted: Sifted) -> Counter[Hour]:
    return Counter(
        (each.source_id, hour_of(each.happened_at)) for each in sifted.refused if each.source_id and each.happened_at
    )


def _exception(refused: Refused, meters: Mapping[str, int]) -> NewException:
    event = refused.refusal.event
    return NewException(
        step="validate",
        code=refused.refusal.code,
        key16=refused.key16,
        hash=refused.hash,
        sentence=refused.refusal.sentence,
        receipt_id=refused.receipt_id,
        position=refused.position,
        source_id=refused.source_id,
        meter_id=meters.get(str(event.get("type"))),
        source=_text(event.get("source")),
        event_id=_text(event.get("id")),
        subject=_text(event.get("subject")),
        happened_at=refused.happened_at or refused.claimed_at,
        correlation_id=f"receipt/{refused.receipt_id}",
        facts={"field": refused.refusal.field, "user": refused.user},
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def record(unit: Unit, sifted: Sifted) -> None:
    """Record what each receipt held and which numbers came, and owe `enrich` to those with accepted events."""
    receipt_counts.record(unit.conn, sifted.tallies)
    sequences.mark(unit.conn, sifted.numbers, seen_at=unit.now)
    for ready in unit.ready:
        accepted = sifted.tallies[ready.subject_id].accepted
        if accepted:
            _owe(unit, ready, accepted)


def _owe(unit: Unit, ready: Ready, accepted: int) -> None:
    unit.then(ready, "enrich", ready.subject, weight=accepted)
