"""Deeds about replays: starting what was planned, stopping it and going on, and taking a dismissal back."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

from sqlalchemy import Connection

from domain.approvals import NO_MONEY, Effect, is_more
from domain.canonical import Json
from domain.codes import CODES
from domain.replays import Control, EditInvalid, ReplayOutOfOrder, after
from workers import replaying
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import audit, parked, replays
from workers.store.replays import DECISIONS, Replay

#: Codes that a summary names.
_NAMED_MAX: Final = 5
_ACTIONS: Final[Mapping[str, str]] = {
    "edit": "replay.edit",
    "dismiss": "exceptions.dismiss",
    "write_off": "exceptions.write_off",
}


def _replay_id(order: Order) -> int:
    return int(order.payload["replay"])


def _plan_start(conn: Connection, order: Order) -> Plan:
    """The money is that of a rehearsal: of the one kept with the replay if it is fresh, else of one made now."""
    replay = replays.show(conn, _replay_id(order))
    after("start", replay.state, replay=replay.id)
    codes = replays.codes(conn, replay.id)
    kept = replay.forecast
    if kept is None or not replaying.is_fresh(conn, kept):
        kept = replaying.forecast(conn, replay.id)
    if replay.kind == "edit":
        require_help(kept)
    return Plan(_actions(replay, codes), _subject(replay), _summary(replay, codes), _effect(kept["effect"]), kept)


def _subject(replay: Replay) -> str:
    """What a request is about: of an edit its exception, so that no two edits of one wait for somebody at once."""
    ids: Sequence[int] = replay.selection.get("ids") or []
    return f"exception/{ids[0]}/edit" if replay.kind == "edit" and len(ids) == 1 else f"replay/{replay.id}"


def require_help(forecast: Mapping[str, Any]) -> None:
    """An edit after which the event is refused as before is not asked for. Raises `EditInvalid`."""
    items = forecast["items"]
    if items and all(each["state"] == "refused" for each in items):
        found = items[0]
        why = "it would stay open" if found["outcome"] == "unchanged" else f"it would be refused: {found['outcome']}"
        raise EditInvalid(f"the edit does not help exception {found['exception']}: {why}", field="data")


def _actions(replay: Replay, codes: Mapping[str, int]) -> tuple[str, ...]:
    if replay.kind in _ACTIONS:
        return (_ACTIONS[replay.kind],)
    kinds = {CODES[code].kind if code in CODES else "business" for code in codes} or {"technical"}
    return tuple(sorted(f"replay.{kind}" for kind in kinds))


def _summary(replay: Replay, codes: Mapping[str, int]) -> str:
    named = ", ".join(f"{count} {code}" for code, count in list(codes.items())[:_NAMED_MAX])
    more = f" and {len(codes) - _NAMED_MAX} more codes" if len(codes) > _NAMED_MAX else ""
    return f"{replay.kind.replace('_', ' ')} {named or 'nothing'}{more}"


def _effect(amounts: Mapping[str, str] | None) -> Effect:
    return None if amounts is None else {currency: abs(Decimal(each)) for currency, each in amounts.items()}


def _start(conn: Connection, order: Order) -> Carried:
    replay = replays.control(conn, _replay_id(order), "start", approval_id=order.approval_id)
    if replay.kind in DECISIONS:
        replays.resolve(conn, replay)
    replays.finish(conn)
    _record(conn, f"replays.{replay.kind}", replay, was="planned")
    return Carried({"replay": replay.id, "state": replays.show(conn, replay.id).state})


def _record(conn: Connection, action: str, replay: Replay, *, was: str) -> None:
    """The numbers of single exceptions are kept with the replay, which is never changed; they may be many."""
    filters = {name: value for name, value in replay.selection.items() if name != "ids"}
    after: dict[str, Json] = {"state": replay.state, "exceptions": replay.total, "filters": filters}
    audit.record(conn, action, f"replay/{replay.id}", before={"state": was}, after=after)


def _plan_control(conn: Connection, order: Order) -> Plan:
    replay, act = replays.show(conn, _replay_id(order)), cast("Control", order.payload["act"])
    state = after(act, replay.state, replay=replay.id)
    if act == "resume":
        _require_no_more(conn, replay)
    summary = f"{act} replay {replay.id}, which is {replay.state}: {state}"
    return Plan(("replay.control",), f"replay/{replay.id}/{act}", summary, NO_MONEY)


def _require_no_more(conn: Connection, replay: Replay) -> None:
    """What it was started for, alone or with a second person, still holds. Raises `ReplayOutOfOrder`."""
    if replay.forecast is None:
        return
    now = _effect(replaying.forecast(conn, replay.id)["effect"])
    if is_more(now, than=_effect(replay.forecast["effect"])):
        sentence = f"replay {replay.id} would move more money by now than when it was started: cancel it and ask anew"
        raise ReplayOutOfOrder(sentence, replay=replay.id)


def _control(conn: Connection, order: Order) -> Carried:
    act, was = cast("Control", order.payload["act"]), replays.show(conn, _replay_id(order)).state
    replay = replays.control(conn, _replay_id(order), act)
    _record(conn, f"replays.{act}", replay, was=was)
    return Carried({"replay": replay.id, "state": replay.state})


def _exceptions(order: Order) -> list[int]:
    return [int(each) for each in order.payload["exceptions"]]


def _plan_reopen(_conn: Connection, order: Order) -> Plan:
    ids = _exceptions(order)
    return Plan(("exceptions.dismiss",), f"exceptions/{ids[0]}/reopen", f"reopen {len(ids)} exceptions", NO_MONEY)


def _reopen(conn: Connection, order: Order) -> Carried:
    waits = replays.reopen(conn, _exceptions(order), reason=order.reason)
    for each in _exceptions(order):
        audit.record(
            conn, "exceptions.reopen", f"exception/{each}", before={"state": "dismissed"}, after={"state": "open"}
        )
    return Carried({"reopened": len(_exceptions(order))}, parked.wake(conn, waits, correlation_id="reopened"))


DEEDS: Final = (
    Deed("replay.start", _plan_start, _start),
    Deed("replay.control", _plan_control, _control),
    Deed("exceptions.reopen", _plan_reopen, _reopen),
)
