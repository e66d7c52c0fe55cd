"""Replays as objects: planned with all they hold, then started, paused, resumed, cancelled or done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from domain.canonical import Json
from domain.replays import Control, ReplayKind, ReplayState, ReplayUnknown, after
from workers.store import replay_selection
from workers.store.replay_selection import ReplayEmpty, Selection

#: Replays of a list, and items that are told one by one.
ROWS_MAX = 1_000
#: Decisions about exceptions that send nothing, and how each is kept with the exception.
DECISIONS: Mapping[str, str] = {"dismiss": "dismissed", "write_off": "written_off"}

_encode = msgspec.json.Encoder(decimal_format="number", order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for; `edited` is the whole event of an edit."""

    kind: ReplayKind
    selection: Selection
    person: str
    reason: str
    edited: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay with how far it is; `edited` is JSON text, exactly as it will be received."""

    id: int
    kind: ReplayKind
    state: ReplayState
    selection: Mapping[str, Any]
    edited: str | None
    reason: str
    requested_by: str
    requested_at: datetime
    approval_id: int | None
    started_at: datetime | None
    ended_at: datetime | None
    total: int
    waiting: int
    sent: int
    done: int
    refused: int
    skipped: int
    forecast: Mapping[str, Any] | None

    @property
    def finished(self) -> int:
        """Items that nothing more will happen to."""
        return self.done + self.refused + self.skipped


@dataclass(frozen=True, slots=True)
class Item:
    """One exception in a replay: what is sent again of it, and what became of that."""

    exception: int
    code: str
    step: str
    sort: str | None
    state: str
    outcome: str | None
    sentence: str


def plan(conn: Connection, wanted: Wanted) -> int:
    """Write down a replay with everything it is to hold, and do nothing yet; its number.

    Raises `ReplayTooLarge`, and `ReplayEmpty` if a decision or an edit has nothing to be about.
    """
    edited = None if wanted.edited is None else _encode(wanted.edited).decode()
    replay_id: int = conn.execute(
        text("""insert into replays (kind, selection, edited, reason, requested_by)
             values (:kind, cast(:selection as jsonb), cast(:edited as jsonb), :reason, :person) returning id"""),
        {
            "kind": wanted.kind, "selection": _encode(wanted.selection.given()).decode(), "edited": edited,
            "reason": wanted.reason, "person": wanted.person,
        },
    ).scalar_one()  # fmt: skip
    waiting = replay_selection.fill(conn, replay_id, wanted.selection, is_decision=wanted.kind in DECISIONS)
    if not waiting and wanted.kind != "replay":
        told = items(conn, replay_id, rows=1)
        why = f": {told[0].outcome}" if told else ""
        raise ReplayEmpty(f"there is nothing to {wanted.kind.replace('_', ' ')}{why}")
    return replay_id


_REPLAYS = """
select r.id, r.kind, r.state, r.selection, r.edited::text as edited, r.reason, r.requested_by, r.requested_at,
  r.approval_id, r.started_at, r.ended_at, r.total, coalesce(n.waiting, 0), coalesce(n.sent, 0), coalesce(n.done, 0),
  coalesce(n.refused, 0), coalesce(n.skipped, 0), r.forecast
from replays r left join lateral (
  select count(*) filter (where i.state = 'waiting') as waiting, count(*) filter (where i.state = 'sent') as sent,
    count(*) filter (where i.state = 'done') as done, count(*) filter (where i.state = 'refused') as refused,
    count(*) filter (where i.state = 'skipped') as skipped
  from replay_items i where i.replay_id = r.id) n on true
"""


def _replay(row: Row[Any]) -> Replay:
    columns: Sequence[Any] = row
    return Replay(*columns)


def show(conn: Connection, replay_id: int) -> Replay:
    """The replay of that number. Raises `ReplayUnknown` if there is none."""
    row = conn.execute(text(f"{_REPLAYS} where r.id = :id"), {"id": replay_id}).one_or_none()
    if row is None:
        fix = "`tallyline replay list` names them"
        raise ReplayUnknown(f"there is no replay {replay_id}", replay=replay_id, fix=fix)
    return _replay(row)


def newest(conn: Connection, *, state: str | None, rows: int) -> list[Replay]:
    """The newest replays, of one state or of any."""
    found = conn.execute(
        text(f"""{_REPLAYS} where cast(:state as text) is null or r.state = :state order by r.id desc limit :rows"""),
        {"state": state, "rows": min(rows, ROWS_MAX)},
    )
    return [_replay(row) for row in found]


def hold(conn: Connection, replay_id: int) -> Replay:
    """The replay, locked until the transaction ends. Raises `ReplayUnknown` if there is none."""
    conn.execute(text("select 1 from replays where id = :id for update"), {"id": replay_id})
    return show(conn, replay_id)


def control(conn: Connection, replay_id: int, act: Control, *, approval_id: int | None = None) -> Replay:
    """Start, pause, resume or cancel it; the replay as it is then. Raises `ReplayOutOfOrder`.

    What is sent already goes on; what is cancelled while it waits is never sent.
    """
    replay = hold(conn, replay_id)
    state = after(act, replay.state, replay=replay_id)
    conn.execute(
        text("""update replays set state = :state, approval_id = coalesce(:approval, approval_id),
               started_at = case when :act = 'start' then now() else started_at end,
               ended_at = case when :act = 'cancel' then now() end where id = :id"""),
        {"state": state, "approval": approval_id, "act": act, "id": replay_id},
    )
    if act == "cancel":
        conn.execute(
            text("""update replay_items set state = 'skipped', outcome = 'cancelled'
                 where replay_id = :id and state = 'waiting'"""),
            {"id": replay_id},
        )
    return show(conn, replay_id)


def keep_forecast(conn: Connection, replay_id: int, forecast: Mapping[str, Any]) -> None:
    """Keep what it would come to, with when that was found out."""
    conn.execute(
        text("update replays set forecast = cast(:forecast as jsonb) where id = :id"),
        {"forecast": _encode(forecast).decode(), "id": replay_id},
    )


_ITEMS = """select i.exception_id, x.code, x.step, i.sort, i.state, i.outcome, x.sentence
from replay_items i join exceptions x on x.id = i.exception_id"""


def items(conn: Connection, replay_id: int, *, rows: int) -> list[Item]:
    """What it holds, in order of the exceptions."""
    found = conn.execute(
        text(f"{_ITEMS} where i.replay_id = :id order by i.exception_id limit :rows"),
        {"id": replay_id, "rows": min(rows, ROWS_MAX)},
    )
    return [Item(*row) for row in found]


def outcomes(conn: Connection, replay_id: int) -> list[Mapping[str, Any]]:
    """How many exceptions of each code, sort, state and outcome it holds."""
    found = conn.execute(
        text("""select x.code, i.sort, i.state, i.outcome, count(*) as exceptions from replay_items i
             join exceptions x on x.id = i.exception_id
             where i.replay_id = :id group by 1, 2, 3, 4 order by 1, 2, 3, 4"""),
        {"id": replay_id},
    )
    return [row._asdict() for row in found]


def resolve(conn: Connection, replay: Replay) -> int:
    """Dismiss or write off, at once, whatever of the replay is still open; how many exceptions."""
    resolution = DECISIONS[replay.kind]
    # In two statements: the planner knows no sizes of what one has just found, and would join every row with every row.
    held = list(
        conn.execute(
            text("""select x.id from replay_items i join exceptions x on x.id = i.exception_id
                 where i.replay_id = :id and i.state = 'waiting' and x.state = 'open'
                 order by x.id for no key update of x"""),
            {"id": replay.id},
        ).scalars()
    )
    conn.execute(
        text("""update exceptions set state = 'dismissed', resolution = :resolution, closed_at = now(),
               closed_by = :person, reason = :reason where id = any(cast(:ids as bigint[]))"""),
        {"ids": held, "resolution": resolution, "person": replay.requested_by, "reason": replay.reason},
    )
    conn.execute(
        text("""update replay_items i set state = case when x.resolution is null then 'skipped' else 'done' end,
               outcome = coalesce(x.resolution, 'it is ' || x.state)
             from exceptions x where x.id = i.exception_id and i.replay_id = :id and i.state = 'waiting'"""),
        {"id": replay.id},
    )
    return len(held)


def next_in_turn(conn: Connection) -> int | None:
    """The running replay that has waited longest for its next portion, locked; None if no item waits."""
    found = conn.execute(
        text("""select r.id from replays r where r.state = 'running' and exists (
               select from replay_items i where i.replay_id = r.id and i.state = 'waiting')
             order by r.released_at nulls first, r.id limit 1 for update skip locked""")
    )
    return found.scalar_one_or_none()


def at_risk(conn: Connection, replay_id: int) -> tuple[dict[str, Decimal], int]:
    """The money at risk of what waits in the replay, by currency, and of how many exceptions nobody knows it."""
    found = conn.execute(
        text("""select x.currency, sum(x.money_at_risk) as money,
               count(*) filter (where x.money_at_risk is null) as unknown
             from replay_items i join exceptions x on x.id = i.exception_id
             where i.replay_id = :id and i.state = 'waiting' group by 1 order by 1"""),
        {"id": replay_id},
    ).all()
    return {row.currency: row.money for row in found if row.money is not None}, sum(row.unknown for row in found)


def edits_of(conn: Connection, exception_id: int) -> list[Mapping[str, Any]]:
    """What the event of an exception was edited to, by whom and why, oldest first."""
    found = conn.execute(
        text("""select r.id as replay, r.state, r.edited, r.requested_by as person, r.reason
             from replay_items i join replays r on r.id = i.replay_id
             where i.exception_id = :id and r.kind = 'edit' order by r.id"""),
        {"id": exception_id},
    )
    return [row._asdict() for row in found]


def codes(conn: Connection, replay_id: int) -> dict[str, int]:
    """The codes of what waits in the replay, and how many exceptions each has."""
    found = conn.execute(
        text("""select x.code, count(*) from replay_items i join exceptions x on x.id = i.exception_id
             where i.replay_id = :id and i.state = 'waiting' group by 1 order by 1"""),
        {"id": replay_id},
    )
    return {row[0]: row[1] for row in found}


def finish(conn: Connection) -> None:
    """Replays of which nothing waits and nothing is on its way are done."""
    conn.execute(
        text("""update replays r set state = 'done', ended_at = now() where r.state = 'running'
             and not exists (select from replay_items i where i.replay_id = r.id and i.state = 'waiting')
             and not exists (select from replay_items i where i.replay_id = r.id and i.state = 'sent')""")
    )


def reopen(conn: Connection, ids: Sequence[int], *, reason: str) -> list[tuple[str, str]]:
    """Open dismissed or written-off exceptions again; the (kind, key) they wait for, to be woken after the commit.

    Raises `ReplayEmpty` if one of them is not dismissed.
    """
    opened = conn.execute(
        text("""update exceptions set state = 'open', closed_at = null, closed_by = null, reason = :reason
             where id = any(cast(:ids as bigint[])) and state = 'dismissed' returning id, waits_kind, waits_key"""),
        {"ids": list(ids), "reason": reason},
    ).all()
    left = sorted(set(ids) - {row.id for row in opened})
    if left:
        raise ReplayEmpty(f"exception {left[0]} is not dismissed: there is nothing to reopen", exception=left[0])
    return sorted({(row.waits_kind, row.waits_key) for row in opened if row.waits_kind is not None})
