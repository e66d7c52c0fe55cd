"""What a person may set on open exceptions without sending anything again: whose they are, and until when."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from workers.store import acting, people
from workers.store.acting import Named

_EDIT = """
update exceptions x set {column} = cast(:value as {kind}) from (select id from exceptions
  where id = any(cast(:ids as bigint[])) and state = 'open' order by id for update) t
where x.id = t.id returning x.id
"""
_ASSIGN = text(_EDIT.format(column="assigned_to", kind="text"))
_DEADLINE = text(_EDIT.format(column="deadline_at", kind="timestamptz"))


def assign(conn: Connection, ids: Sequence[int], to: str | None, *, by: Named) -> list[int]:
    """Assign open exceptions to somebody who can act, or with None to whom they fall by rule; those that were open.

    Raises `PersonUnknown`.
    """
    if to is not None:
        people.acting_as(conn, to)
    acting.name(conn, by)
    return sorted(conn.execute(_ASSIGN, {"ids": list(ids), "value": to}).scalars())


def set_deadline(conn: Connection, ids: Sequence[int], at: datetime | None, *, by: Named) -> list[int]:
    """Let open exceptions be due at an instant, or with None by their severity; those that were open."""
    acting.name(conn, by)
    return sorted(conn.execute(_DEADLINE, {"ids": list(ids), "value": at}).scalars())
