"""Notices: what is owed to whom, written with the fact itself and sent by `notify`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, text

from domain import refused
from domain.canonical import Json
from domain.notices import Notice, usage_refused
from queues import work
from queues.topology import NOTICES_EXCHANGE, refusal_key
from queues.work import Hintable, NewWork, Ready

if TYPE_CHECKING:
    from workers.sift import Refused
    from workers.unit import Unit

#: Who says it: the `source` of every CloudEvent we send.
SOURCE = "/tallyline"

_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode
_INSERT = text("""
insert into notices (exchange, routing_key, key, body)
select :exchange, * from unnest(cast(:routing_keys as text[]), cast(:keys as text[]),
  cast(:bodies as jsonb[])) order by 2
on conflict (key) do nothing
""")


def owe(unit: "Unit", cause: Ready, notice: Notice, *, key: str) -> None:
    """Owe the notice on the exchange `tallyline`, once for each key, and `notify` with it."""
    _insert(unit.conn, notice, key=key, at=unit.now)
    unit.then(cause, "notify", f"notices/{key}", lane="live")


def owe_all(unit: "Unit", cause: Ready, told: Mapping[str, Notice], *, under: str) -> None:
    """Owe the notices, each keyed by its own words below those of all, and `notify` once with them."""
    _insert_all(unit.conn, told, under=under, at=unit.now)
    unit.then(cause, "notify", f"notices/{under}", lane="live")


def owe_many(
    conn: Connection, told: Mapping[str, Notice], *, under: str, at: datetime, correlation_id: str
) -> list[Hintable]:
    """As `owe_all`, of what no step found out: the work to hint after the commit, none if nothing is told."""
    if not told:
        return []
    _insert_all(conn, told, under=under, at=at)
    return work.insert(conn, [NewWork("notify", f"notices/{under}", correlation_id)])


def _insert_all(conn: Connection, told: Mapping[str, Notice], *, under: str, at: datetime) -> None:
    keys = {f"{under}/{key}": notice for key, notice in told.items()}
    values = {"exchange": NOTICES_EXCHANGE, "routing_keys": [each.type for each in keys.values()], "keys": list(keys)}
    bodies = [event_of(notice, key=key, at=at).decode() for key, notice in keys.items()]
    conn.execute(_INSERT, {**values, "bodies": bodies})


def owe_once(conn: Connection, notice: Notice, *, key: str, at: datetime, correlation_id: str) -> list[Hintable]:
    """As `owe`, of what no step found out: the work to hint after the commit, none if it is owed already."""
    _insert(conn, notice, key=key, at=at)
    return work.insert(conn, [NewWork("notify", f"notices/{key}", correlation_id)])


def event_of(notice: Notice, *, key: str, at: datetime) -> bytes:
    """The CloudEvent of a notice, as it is written and sent."""
    return _encode(notice.to_event(id=key, source=SOURCE, at=at))


def _insert(conn: Connection, notice: Notice, *, key: str, at: datetime) -> None:
    values = {"exchange": NOTICES_EXCHANGE, "routing_keys": [notice.type], "keys": [key]}
    conn.execute(_INSERT, {**values, "bodies": [event_of(notice, key=key, at=at).decode()]})


@dataclass(frozen=True, slots=True)
class Unsent:
    """A notice that its channel has not confirmed yet."""

    id: int
    exchange: str
    routing_key: str
    body: bytes


def unsent(conn: Connection, key: str, *, limit: int) -> list[Unsent]:
    """The notices under this key, or below it in the way of a path, in the order in which they were written."""
    found = conn.execute(
        text("""select id, exchange, routing_key, body::text as body from notices
             where sent_at is null and (key = :key or (key >= :key || '/' and key < :key || '0'))
             order by id limit :limit"""),  # "0" is what comes after "/", and keys sort by bytes
        {"key": key, "limit": limit},
    )
    return [Unsent(row.id, row.exchange, row.routing_key, row.body.encode()) for row in found]


def mark_sent(conn: Connection, ids: Sequence[int]) -> None:
    """The channel has them."""
    conn.execute(
        text("update notices set sent_at = now() where id = any(cast(:ids as bigint[])) and sent_at is null"),
        {"ids": list(ids)},
    )


def refusals(conn: Connection, refused: Sequence["Refused"], *, occurred_at: datetime) -> None:
    """Owe the producers a notice for each refusal: code, field and event id, keyed by user and source."""
    bodies = [_refusal(each, occurred_at) for each in refused]
    conn.execute(
        _INSERT,
        {
            "exchange": "refusals",
            "routing_keys": [
                refusal_key(each.user or "unknown", str(each.refusal.event.get("source", ""))) for each in refused
            ],
            "keys": [f"receipt/{each.receipt_id}/refusal/{each.position}" for each in refused],
            "bodies": [_encode(body).decode() for body in bodies],
        },
    )


def refuse_message(conn: Connection, notice: Notice, *, user: str, number: int) -> None:
    """Owe a system the notice of its refused message, keyed by its broker user; once for each code."""
    code, source = notice.particulars["code"], notice.particulars["source"]
    key = f"master/{number}/refusal/{code}"
    at = conn.execute(text("select now()")).scalar_one()
    keys = {"routing_keys": [refusal_key(user, str(source or ""))], "keys": [key]}
    conn.execute(_INSERT, {"exchange": "refusals", **keys, "bodies": [event_of(notice, key=key, at=at).decode()]})
    work.insert(conn, [NewWork("notify", f"notices/{key}", f"master/{number}")])


def _refusal(each: "Refused", occurred_at: datetime) -> dict[str, Json]:
    said = each.refusal
    refusal = refused.Refused(said.code, said.field, said.sentence)
    notice = usage_refused(refusal, source=_word(said.event.get("source")), event_id=_word(said.event.get("id")))
    return notice.to_event(id=f"refusal/{each.receipt_id}/{each.position}", source=SOURCE, at=occurred_at)


def _word(value: object) -> str | None:
    """What the producer called it, if it is a text at all."""
    return value if isinstance(value, str) and value else None
