"""How the event of an exception is edited: what was sent, with what is changed, and whether it may be."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from domain.canonical import Json
from domain.replays import EditInvalid, ExceptionUnknown, edited, require_same_event
from queues.contracts import Unusable
from workers.store import amendments, backlog, places, receipts
from workers.store.backlog import ExceptionRow


def edited_event(
    conn: Connection, exception_id: int, changes: Mapping[str, Json], *, whole: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """The event of an exception with these changes, made to `whole` if that is given, else to what was sent.

    An event that was refused may be changed but for its source and id. Of one that was accepted only the data, and only
    where its usage lacks a quantity. Raises `EditInvalid`.
    """
    found = backlog.exceptions_by_id(conn, [exception_id])
    if not found:
        fix = "list them with `tallyline exceptions list`"
        raise ExceptionUnknown(f"there is no exception {exception_id}", exception=exception_id, fix=fix)
    row = found[0]
    _require_editable(row)
    original = _original(conn, row)
    event = edited(original if whole is None else whole, changes)
    if any(isinstance(value, Unusable) for value in _leaves(event)):
        raise EditInvalid("a number in the event cannot be kept exactly: set it too", exception=row.id)
    require_same_event(original, event, is_accepted=row.event_no is not None)
    if row.event_no is not None:
        data = event.get("data")
        amendments.require_valid(conn, row.event_no, data if isinstance(data, dict) else {})
    return event


def _require_editable(row: ExceptionRow) -> None:
    if row.state != "open":
        raise EditInvalid(f"exception {row.id} is {row.state}", exception=row.id)
    if row.work_id is not None or row.receipt_id is None:
        raise EditInvalid(f"exception {row.id} is about work of {row.step}, not about an event", exception=row.id)
    if row.event_no is not None and row.code not in amendments.AMENDABLE:
        why = "its usage lacks no quantity and no right reading, so an edit cannot help"
        raise EditInvalid(f"the event was accepted and stays as it is; {why}", exception=row.id)


def _original(conn: Connection, row: ExceptionRow) -> Mapping[str, Any]:
    place = places.place_of(conn, row.receipt_id or 0, row.position or 0)
    if place is None or not isinstance(place.event, dict):
        gone = receipts.erasure(conn, row.receipt_id or 0)
        unreadable = "its body cannot be read as an event: its producer has to send it"
        raise EditInvalid(gone.sentence if gone else unreadable, exception=row.id)
    return place.event


def _leaves(value: object) -> list[object]:
    """All values within a value."""
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in _leaves(each)]
    return [value]
