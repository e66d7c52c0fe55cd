"""Replay: a person sends it again. A dead work row becomes ready, a refused event is received anew, usage is decided.

Nothing is edited: a replayed event comes in a receipt of its own, so every identity holds as for any other event.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, text

from queues.contracts import Delivery
from queues.topology import INTAKE_QUEUE, queue_name
from queues.work import Hintable
from workers.sift import sift
from workers.store import attributions, fence, parked, places, receipts
from workers.store.backlog import ExceptionRow, exceptions_by_id
from workers.store.receipts import Receipt
from workers.unit import database_now

#: Exceptions replayed by one command; a code with more is replayed again.
EXCEPTIONS_MAX = 1_000

#: What is sent again: a work row, an event that was refused, or usage that was parked.
Kind = Literal["work", "event", "usage"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a replay of one exception would come to now."""

    exception: ExceptionRow
    kind: Kind | None
    outcome: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was sent again, by kind, and the work that does it."""

    counts: Mapping[str, int]
    hints: Sequence[Hintable]


def kind_of(row: ExceptionRow) -> Kind | None:
    """How the exception can be sent again; None if it is not open or nothing is left of what caused it."""
    if row.state != "open":
        return None
    if row.work_id is not None:
        return "work"
    if row.event_no is not None and row.step == "enrich":
        return "usage"
    return "event" if row.receipt_id is not None else None


def forecast(conn: Connection, ids: Sequence[int]) -> Sequence[Forecast]:
    """Try the replay of the exceptions as far as it can be tried; the caller rolls the transaction back.

    Work rows are not tried, since a step may call the outside: what is said of them is why they died.
    """
    fence.share(conn)
    rows = exceptions_by_id(conn, ids)
    usage = _try_usage(conn, [row for row in rows if kind_of(row) == "usage"])
    return [usage.get(row.id) or _forecast(conn, row) for row in rows]


def _forecast(conn: Connection, row: ExceptionRow) -> Forecast:
    kind = kind_of(row)
    if kind == "event":
        return _try_event(conn, row)
    if kind == "work":
        return Forecast(row, kind, "runs again", f"the step {row.step} runs again; it died of: {row.sentence}")
    return Forecast(row, None, "nothing", f"it is {row.state}: there is nothing to send again")


def _try_usage(conn: Connection, rows: Sequence[ExceptionRow]) -> dict[int, Forecast]:
    if not rows:
        return {}
    (batch,) = attributions.new_batches(conn, "healed", [None])
    outcome = attributions.heal(conn, [row.id for row in rows], batch_no=batch)
    if isinstance(outcome, list):
        sentence = "its billing period is made first; then it is decided"
        return {row.id: Forecast(row, "usage", "billable", sentence) for row in rows}
    after = {row.id: row.reason for row in conn.execute(
        text("select id, reason from exceptions where id = any(cast(:ids as bigint[])) and state = 'resolved'"),
        {"ids": [row.id for row in rows]},
    )}  # fmt: skip
    forecasts = {}
    for row in rows:
        fate = str(after.get(row.id, "")).removeprefix("healed: ") or "unchanged"
        sentence = f"it stays open: {row.sentence}" if fate == "unchanged" else f"it would be {fate}"
        forecasts[row.id] = Forecast(row, "usage", fate, sentence)
    return forecasts


def _try_event(conn: Connection, row: ExceptionRow) -> Forecast:
    delivery = _delivery(conn, row)
    if delivery is None:
        gone = receipts.erasure(conn, row.receipt_id or 0)
        if gone is not None:
            sentence = f"its body was erased on {gone.erased_at:%Y-%m-%d}, sha256 {', '.join(gone.sha256)}"
            return Forecast(row, None, "nothing", sentence)
        return Forecast(row, None, "nothing", "it cannot be written again exactly: its producer has to send it")
    sifted = sift(conn, [Receipt(0, INTAKE_QUEUE, database_now(conn), (delivery,))])
    if sifted.refused:
        refusal = sifted.refused[0].refusal
        return Forecast(row, "event", refusal.code, f"it would be refused again: {refusal.sentence}")
    for candidate in sifted.candidates.values():
        known = conn.execute(
            text("select payload_hash from event_keys where key16 = :key"), {"key": candidate.key16.hex()}
        ).scalar_one_or_none()
        if known is not None:
            is_same = bytes(known) == candidate.payload_hash
            code = "duplicate" if is_same else "conflicting_duplicate"
            return Forecast(row, "event", code, "an event with its id has been accepted meanwhile")
    return Forecast(row, "event", "accepted", "it would be accepted")


def replay(conn: Connection, ids: Sequence[int], *, person: str, reason: str) -> Replayed:
    """Send again what the exceptions are about, in the caller's transaction; hint what is returned after it.

    Work rows and events close their exceptions as replayed, and open them again if they are refused again; parked
    usage closes its own when it is decided.
    """
    rows = exceptions_by_id(conn, ids)
    by_kind: dict[Kind, list[ExceptionRow]] = {"work": [], "event": [], "usage": []}
    for row in rows:
        kind = kind_of(row)
        if kind is not None:
            by_kind[kind].append(row)
    hints = [*_wake_work(conn, by_kind["work"]), *_wake_usage(conn, by_kind["usage"])]
    sent = {row.id: delivery for row in by_kind["event"] if (delivery := _delivery(conn, row)) is not None}
    if sent:
        hints += receipts.store(conn, INTAKE_QUEUE, list(sent.values()), lane="replay")
    _close(conn, [*(row.id for row in by_kind["work"]), *sent], person=person, reason=reason)
    counts = Counter(work=len(by_kind["work"]), event=len(sent), usage=len(by_kind["usage"]))
    return Replayed({kind: n for kind, n in counts.items() if n}, hints)


def _delivery(conn: Connection, row: ExceptionRow) -> Delivery | None:
    place = places.place_of(conn, row.receipt_id or 0, row.position or 0)
    return places.alone(place) if place else None


def _close(conn: Connection, ids: Sequence[int], *, person: str, reason: str) -> None:
    conn.execute(
        text("""update exceptions set state = 'replayed', closed_at = now(), closed_by = :person, reason = :reason
             where id = any(cast(:ids as bigint[])) and state = 'open'"""),
        {"ids": list(ids), "person": person, "reason": reason},
    )


def _wake_work(conn: Connection, rows: Sequence[ExceptionRow]) -> list[Hintable]:
    found = conn.execute(
        text("""update work set state = 'ready', lane = 'replay', attempts = 0, starts = 0, due_at = now(),
               hinted_at = now(), hints = 1, lease_until = null, done_at = null, outcome = 'replay', error = null
             where id = any(cast(:ids as bigint[])) and state = 'dead'
             returning id, step, lane, connection_id, weight, correlation_id"""),
        {"ids": [row.work_id for row in rows]},
    )
    return [
        Hintable(row.id, row.step, queue_name(row.step, row.lane, row.connection_id), row.weight, row.correlation_id)
        for row in found
    ]


def _wake_usage(conn: Connection, rows: Sequence[ExceptionRow]) -> list[Hintable]:
    """Owe `enrich` a look at the usage; what waits for nothing waits for this replay from now on."""
    if not rows:
        return []
    waits = {(row.waits_kind, row.waits_key) for row in rows if row.waits_kind not in {None, "replay"}}
    free = [row.id for row in rows if row.waits_kind in {None, "replay"}]
    if free:
        conn.execute(
            text("""update exceptions set waits_kind = 'replay', waits_key = :key
                 where id = any(cast(:ids as bigint[])) and state = 'open'"""),
            {"ids": free, "key": str(free[0])},
        )
        waits.add(("replay", str(free[0])))
    keys = sorted((str(kind), str(key)) for kind, key in waits)
    return parked.wake(conn, keys, correlation_id=f"replay/{rows[0].id}")
