"""What becomes of the items of a replay: released portion by portion, and told by what their work has done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from queues import work
from queues.contracts import STRUCTURED, Delivery
from queues.topology import INTAKE_QUEUE, queue_name
from queues.work import Hintable, NewWork
from workers.store import amendments, places, receipts
from workers.store.events import POSITION_BITS
from workers.store.places import Place
from workers.store.replays import Replay

#: Items released at once: some seconds of one worker, so that a pause takes effect soon.
PORTION = 500
#: Items whose end is looked at in one go.
SETTLED_MAX = 10_000


@dataclass(slots=True)
class _Row:
    """An item on its way out, and what is written of it."""

    exception_id: int
    sort: str | None
    exception_state: str
    dead_work_id: int | None
    origin_receipt: int | None
    origin_position: int | None
    event_no: int | None
    metric_id: int
    state: str = "sent"
    work_id: int | None = None
    receipt_id: int | None = None
    position: int | None = None
    outcome: str | None = None

    def skip(self, why: str) -> None:
        """It is not sent, and stays what it is."""
        self.state, self.outcome = "skipped", why


#: The portion is chosen in order of arrival, and locked in that of the ids, as whoever else holds exceptions does.
_TAKE = text("""
with picked as materialized (
  select i.exception_id from replay_items i join exceptions x on x.id = i.exception_id
  where i.replay_id = :id and i.state = 'waiting' order by x.receipt_id, x.position, x.id limit :rows)
select i.exception_id, i.sort, x.state, x.work_id, x.receipt_id, x.position, x.event_no, x.metric_id
from replay_items i join exceptions x on x.id = i.exception_id
where i.replay_id = :id and i.state = 'waiting' and i.exception_id in (select exception_id from picked)
order by i.exception_id for no key update
""")
_WRITE = text("""
update replay_items i set state = t.state, portion = :portion, work_id = t.work_id, receipt_id = t.receipt_id,
  position = t.position, outcome = t.outcome
from unnest(cast(:exceptions as bigint[]), cast(:states as text[]), cast(:works as bigint[]),
  cast(:receipts as bigint[]), cast(:positions as integer[]), cast(:outcomes as text[]))
  as t (exception_id, state, work_id, receipt_id, position, outcome)
where i.replay_id = :id and i.exception_id = t.exception_id
""")


def release(conn: Connection, replay: Replay, *, rows: int = PORTION) -> list[Hintable]:
    """Send the next portion of the replay in the lane `replay`; what is to be hinted after the commit.

    What was closed meanwhile is skipped. Work rows and events close their exceptions as replayed, and open them again
    if they are refused again; usage closes its own when it is decided.
    """
    taken = sorted((_Row(*row) for row in conn.execute(_TAKE, {"id": replay.id, "rows": rows})), key=_arrival)
    if not taken:
        return []
    portion: int = conn.execute(
        text("update replays set portions = portions + 1, released_at = now() where id = :id returning portions"),
        {"id": replay.id},
    ).scalar_one()
    for row in taken:
        if row.exception_state != "open":
            row.skip(f"it is {row.exception_state}")
    sent = [row for row in taken if row.state == "sent"]
    hints = _wake(conn, [row for row in sent if row.sort == "work"])
    hints += _receive(conn, replay, [row for row in sent if row.sort == "event"])
    hints += _owe_usage(conn, replay, portion, [row for row in sent if row.sort == "usage"])
    _close(conn, replay, [row.exception_id for row in sent if row.state == "sent" and row.sort != "usage"])
    columns = {
        "exceptions": "exception_id", "states": "state", "works": "work_id", "receipts": "receipt_id",
        "positions": "position", "outcomes": "outcome",
    }  # fmt: skip
    values = {name: [getattr(row, field) for row in taken] for name, field in columns.items()}
    conn.execute(_WRITE, {**values, "id": replay.id, "portion": portion})
    return hints


def _arrival(row: _Row) -> tuple[int, int]:
    """Of two versions of one event the earlier must win again; what never was in a receipt has no order."""
    return row.origin_receipt or 0, row.origin_position or 0


def _wake(conn: Connection, rows: Sequence[_Row]) -> list[Hintable]:
    found = conn.execute(
        text("""update work set state = 'ready', lane = 'replay', attempts = 0, starts = 0, due_at = now(),
               hinted_at = now(), hints = 1, lease_until = null, done_at = null, outcome = 'replay', error = null
             where id = any(cast(:ids as bigint[])) and state = 'dead'
             returning id, step, lane, connection_id, weight, correlation_id"""),
        {"ids": [row.dead_work_id for row in rows]},
    ).all()
    woken = {each.id for each in found}
    for row in rows:
        row.work_id = row.dead_work_id
        if row.work_id not in woken:
            row.skip("its work is not dead any more")
    return [
        Hintable(each.id, each.step, queue_name(each.step, each.lane, each.connection_id), each.weight,
                 each.correlation_id)
        for each in found
    ]  # fmt: skip


def _receive(conn: Connection, replay: Replay, rows: Sequence[_Row]) -> list[Hintable]:
    """Receive the events anew, together; a body that could not be read comes alone: nobody knows what it holds."""
    found = places.places_of(conn, [(row.origin_receipt or 0, row.origin_position or 0) for row in rows])
    together: list[tuple[_Row, Delivery]] = []
    hints: list[Hintable] = []
    for row in rows:
        place = found.get((row.origin_receipt or 0, row.origin_position or 0))
        delivery = _delivery(replay, row, place) if place else None
        if place is None or delivery is None:
            gone = receipts.erasure(conn, row.origin_receipt or 0)
            row.skip(gone.sentence if gone else "it cannot be written again exactly: its producer has to send it")
        elif place.event is None:
            hints += _store(conn, [(row, delivery)])
        else:
            together.append((row, delivery))
    return hints + (_store(conn, together) if together else [])


def _delivery(replay: Replay, row: _Row, place: Place) -> Delivery | None:
    if replay.edited is None:
        return places.alone(place)
    origin = {"exception": row.exception_id, "receipt": row.origin_receipt, "position": row.origin_position}
    added = {"edited_from": origin, "edited_by": replay.requested_by, "content_type": STRUCTURED, "headers": {}}
    return Delivery(replay.edited.encode(), {**place.delivery.properties, **added})


def _store(conn: Connection, deliveries: Sequence[tuple[_Row, Delivery]]) -> list[Hintable]:
    hints = receipts.store(conn, INTAKE_QUEUE, [delivery for _, delivery in deliveries], lane="replay")
    receipt_id = int(hints[0].correlation_id.rpartition("/")[2])
    for position, (row, _) in enumerate(deliveries):
        row.work_id, row.receipt_id, row.position = hints[0].id, receipt_id, position
    return hints


def _owe_usage(conn: Connection, replay: Replay, portion: int, rows: Sequence[_Row]) -> list[Hintable]:
    if not rows:
        return []
    if replay.edited is not None:
        for row in rows:
            amendments.add(conn, replay, exception_id=row.exception_id)
    subject = f"replay/{replay.id}/{portion}"
    owed = [NewWork("enrich", subject, f"replay/{replay.id}", weight=len(rows), lane="replay")]
    hints = work.insert(conn, owed)
    for row in rows:
        row.work_id = hints[0].id
    return hints


def _close(conn: Connection, replay: Replay, ids: Sequence[int]) -> None:
    conn.execute(
        text("""update exceptions set state = 'replayed', closed_at = now(), closed_by = :person, reason = :reason
             where id = any(cast(:ids as bigint[])) and state = 'open'"""),
        {"ids": list(ids), "person": replay.requested_by, "reason": replay.reason},
    )


def usages(conn: Connection, replay_id: int, *, portion: int) -> list[int]:
    """The exceptions of enrich that were sent in this portion of the replay."""
    found = conn.execute(
        text("""select exception_id from replay_items where replay_id = :id and portion = :portion and sort = 'usage'
             and state = 'sent' order by 1"""),
        {"id": replay_id, "portion": portion},
    )
    return list(found.scalars())


#: An event is told by the notice of its refusal or by its key; usage by its exception; work by itself.
_ENDED = text(f"""
with ended as materialized (
  select i.replay_id, i.exception_id, i.sort, w.state as work_state, w.outcome as work_outcome, x.state, x.reason,
    n.body -> 'data' ->> 'code' as refused,
    x.event_id is null or k.event_no = (i.receipt_id << {POSITION_BITS} | i.position) as is_accepted
  from replay_items i join exceptions x on x.id = i.exception_id
  left join work w on w.id = i.work_id
  left join notices n on i.sort = 'event' and n.key = 'receipt/' || i.receipt_id || '/refusal/' || i.position
  left join event_keys k on i.sort = 'event' and k.key16 = x.key16
  where i.state = 'sent' and (w.state is null or w.state <> 'ready')
    and (cast(:replay as bigint) is null or i.replay_id = :replay) limit :rows),
told as (
  select replay_id, exception_id, case when work_state = 'dead' then work_outcome when sort = 'work' then work_outcome
      when refused is not null then refused when sort = 'event' and is_accepted then 'accepted'
      when sort = 'event' then 'duplicate' when state = 'resolved' and reason like 'healed: %' then substr(reason, 9)
      when state = 'open' then 'unchanged' else 'it is ' || state end as outcome,
    case when work_state = 'dead' or refused is not null then 'refused' when sort in ('work', 'event') then 'done'
      when reason in ('healed: billable', 'healed: excluded') then 'done'
      when state = 'open' or reason like 'healed: %' then 'refused' else 'skipped' end as state
  from ended)
select replay_id, exception_id, state, outcome from told
""")
_SETTLED = text("""
update replay_items i set state = t.state, outcome = t.outcome
from unnest(cast(:replays as bigint[]), cast(:exceptions as bigint[]), cast(:states as text[]),
  cast(:outcomes as text[])) as t (replay_id, exception_id, state, outcome)
where i.replay_id = t.replay_id and i.exception_id = t.exception_id
""")


def settle(conn: Connection, replay_id: int | None = None) -> None:
    """Tell of the items that are sent, of one replay or of all, what their work has come to, where it has ended."""
    while found := conn.execute(_ENDED, {"replay": replay_id, "rows": SETTLED_MAX}).all():
        columns = {"replays": "replay_id", "exceptions": "exception_id", "states": "state", "outcomes": "outcome"}
        conn.execute(_SETTLED, {name: [getattr(row, field) for row in found] for name, field in columns.items()})


_IS_BUSY = text("""
select exists (select from work where state = 'ready' and lane = 'replay' and step = any(cast(:steps as text[]))
    and due_at <= now())
  or coalesce((select min(due_at) from work where state = 'ready' and lane = 'live'
    and step = any(cast(:line as text[]))) < now() - make_interval(secs => :age_s), false)
""")


def is_lane_busy(conn: Connection, *, steps: Sequence[str], line: Sequence[str], age_s: float) -> bool:
    """Whether the former portion is still on its way, or live work of the `line` has waited for more than `age_s`."""
    values: dict[str, Any] = {"steps": list(steps), "line": list(line), "age_s": age_s}
    return bool(conn.execute(_IS_BUSY, values).scalar_one())
