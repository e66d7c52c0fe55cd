"""How replays go on: what they would come to, and portion by portion, never in the way of live work."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from queues.topology import STEPS
from queues.work import Hintable
from workers.rehearsal import rehearse, undone
from workers.step import publish
from workers.store import replay_items, replays
from workers.store.database import engine
from workers.store.replays import DECISIONS, Replay
from workers.unit import database_now

#: Live work that has been due for longer goes first; no portion is released meanwhile.
LIVE_AGE_S_MAX: Final = 5.0
#: Steps that live usage and a replay share.
_LINE: Final = ("validate", "enrich", "aggregate")
#: What was found out so long ago still counts; later it is found out anew.
FRESH: Final = timedelta(seconds=60)


def tick() -> int:
    """Tell what became of what was sent, and release the next portion of the replay whose turn it is."""
    with engine().begin() as conn:
        hints = advance(conn)
    publish(hints)
    return len(hints)


def advance(conn: Connection) -> list[Hintable]:
    """One round of `tick`, in the caller's transaction; what is to be hinted after the commit."""
    replay_items.settle(conn)
    hints: list[Hintable] = []
    if not replay_items.is_lane_busy(conn, steps=STEPS, line=_LINE, age_s=LIVE_AGE_S_MAX):
        replay_id = replays.next_in_turn(conn)
        if replay_id is not None:
            hints = replay_items.release(conn, replays.show(conn, replay_id))
    replays.finish(conn)
    return hints


def forecast(conn: Connection, replay_id: int) -> dict[str, Any]:
    """What the replay would come to now; nothing of the attempt is left. Raises `ReplayBusy`."""
    replay = replays.show(conn, replay_id)
    if replay.kind in DECISIONS:
        return _of_decision(conn, replay)
    with undone(conn):
        return rehearse(conn, replay_id).to_json()


def _of_decision(conn: Connection, replay: Replay) -> dict[str, Any]:
    """A decision moves the money that is at risk, as far as it is known."""
    money, unknown = replays.at_risk(conn, replay.id)
    amounts = {currency: str(amount) for currency, amount in money.items()}
    listed = [asdict(each) for each in replays.items(conn, replay.id, rows=replays.ROWS_MAX)]
    outcomes = [dict(each) for each in replays.outcomes(conn, replay.id)]
    for each in (*listed, *outcomes):
        each["outcome"] = each["outcome"] or DECISIONS[replay.kind]
    return {
        "as_of": str(database_now(conn)), "at_risk": amounts, "unknown": unknown, "outcomes": outcomes, "items": listed,
        "effect": None if unknown else amounts,
    }  # fmt: skip


def is_fresh(conn: Connection, kept: Mapping[str, Any] | None) -> bool:
    """Whether a forecast that was kept is recent enough to decide by."""
    return kept is not None and database_now(conn) - datetime.fromisoformat(kept["as_of"]) < FRESH
