"""What a person may set on open exceptions without sending anything again: whose they are, and until when."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, TextClause, text

from workers.store import acting, audit, people
from workers.store.acting import Named

_EDIT = """
update exceptions x set {column} = cast(:value as {kind}) from (select id, {column} as old from exceptions
  where id = any(cast(:ids as bigint[])) and state = 'open' order by id for update) t
where x.id = t.id returning x.id, t.old::text as old, x.{column}::text as new
"""
_ASSIGN = text(_EDIT.format(column="assigned_to", kind="text"))
_DEADLINE = text(_EDIT.format(column="deadline_at", kind="timestamptz"))


def assign(conn: Connection, ids: Sequence[int], to: str | None, *, by: Named) -> list[int]:
    """Assign open exceptions to somebody who can act, or with None to whom they fall by rule; those that were open.

    Raises `PersonUnknown`.
    """
    if to is not None:
        people.acting_as(conn, to)
    return _edit(conn, _ASSIGN, "assigned_to", {"ids": list(ids), "value": to}, by=by)


def set_deadline(conn: Connection, ids: Sequence[int], at: datetime | None, *, by: Named) -> list[int]:
    """Let open exceptions be due at an instant, or with None by their severity; those that were open."""
    return _edit(conn, _DEADLINE, "deadline_at", {"ids": list(ids), "value": at}, by=by)


def _edit(
    conn: Connection, statement: TextClause, column: str, values: Mapping[str, object], *, by: Named
) -> list[int]:
    """Set it and record it, one entry of the audit log each."""
    acting.name(conn, by)
    audit.hold(conn)
    edited = sorted(conn.execute(statement, values).all())
    for number, old, new in edited:
        audit.record(conn, "exceptions.assign", f"exception/{number}", before={column: old}, after={column: new})
    return [number for number, _, _ in edited]
