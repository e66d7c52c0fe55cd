"""What other systems sent of master data: kept as it came, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from domain.ownership import Known, Message
from queues.contracts import Delivery
from queues.work import Hintable

#: Messages that a list shows.
ROWS_MAX: Final = 1_000
SENTENCE_LENGTH_MAX: Final = 2_000
#: After a look that ended unexpectedly, as when its process was killed, and at most; five of them take most of an hour.
AGAIN_S: Final = 2.0
AGAIN_S_MAX: Final = 3_600.0
#: After a look that an outage ended.
REST_S: Final = 1.0
_encode = msgspec.json.Encoder(decimal_format="string", enc_hook=str).encode


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came, and where it stands."""

    id: int
    state: str
    delivery: Delivery
    code: str | None
    request_id: int | None
    request_state: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message."""

    state: str
    sentence: str = ""
    code: str | None = None
    request_id: int | None = None


def store(conn: Connection, deliveries: Sequence[Delivery]) -> list[Hintable]:
    """Keep the bodies as they came; the scheduler looks at them, so there is nothing to hint."""
    for delivery in deliveries:
        properties = _encode(delivery.properties).replace(b"\\u0000", b"\\ufffd").decode()
        conn.execute(
            text("insert into master_messages (body, properties) values (:body, cast(:properties as jsonb))"),
            {"body": delivery.body, "properties": properties},
        )
    return []


def pending(conn: Connection, *, rows: int) -> list[int]:
    """The messages to look at: new ones and those whose request was decided, in the order in which they came.

    Then those that miss something, if anything was changed since, the one that was tried longest ago first: however
    many they are, they keep nothing new from being heard, and none of them another.
    """
    found = conn.execute(
        text("""select m.id from master_messages m where m.due_at <= now() and (m.state = 'received'
               or (m.state = 'waiting' and exists (
                 select from approval_requests r where r.id = m.request_id and r.state <> 'open'))
               or (m.state = 'refused' and m.code = 'master_reference_missing'
                 and m.tried_no < (select no from audit_head)))
             order by m.state = 'refused', case m.state when 'refused' then m.tried_no end, m.id limit :rows"""),
        {"rows": rows},
    )
    return list(found.scalars())


def start(conn: Connection, number: int) -> int:
    """Count one more look at the message; 0 if it is not to be looked at, or somebody else does.

    Should it end without an outcome the next one is due after a while, the longer the more there were.
    """
    found = conn.execute(
        text("""update master_messages set starts = starts + 1,
               due_at = now() + make_interval(secs => least(:least_s * power(6, starts), :most_s)) where id = (
               select id from master_messages where id = :id
                 and (state in ('received', 'waiting') or code = 'master_reference_missing') for update skip locked)
             returning starts"""),
        {"id": number, "least_s": AGAIN_S, "most_s": AGAIN_S_MAX},
    )
    return found.scalar_one_or_none() or 0


def forgive(conn: Connection, number: int) -> None:
    """Forget the looks that were counted: what ended the last one was not the message's fault. It rests a little."""
    conn.execute(
        text("""update master_messages set starts = 0, due_at = now() + make_interval(secs => :rest_s)
             where id = :id"""),
        {"id": number, "rest_s": REST_S},
    )


def claim(conn: Connection, number: int) -> Heard | None:
    """The message, locked, if it is still to be looked at."""
    row = conn.execute(
        text("""select m.id, m.state, m.body, m.properties, m.code, m.request_id, r.state as request_state
             from master_messages m left join approval_requests r on r.id = m.request_id
             where m.id = :id and (m.state in ('received', 'waiting') or m.code = 'master_reference_missing')
             for update of m skip locked"""),
        {"id": number},
    ).one_or_none()
    if row is None:
        return None
    delivery = Delivery(bytes(row.body), row.properties)
    return Heard(row.id, row.state, delivery, row.code, row.request_id, row.request_state)


def known(conn: Connection, message: Message, *, number: int) -> Known:
    """What was heard before of the same message and object; `number` is that of the message itself."""
    row = conn.execute(
        text("""select (select hash from master_messages where system = :system and message_id = :message
                 and version = :version and id < :number and state <> 'ignored' order by id limit 1) as hash,
               (select max(version) from master_messages where system = :system and kind = :kind and object = :object
                 and state in ('applied', 'unchanged', 'waiting')) as version"""),
        {
            "system": message.system, "message": message.id, "version": message.version, "number": number,
            "kind": message.kind, "object": message.object,
        },
    ).one()  # fmt: skip
    return Known(None if row.hash is None else bytes(row.hash), row.version)


def read_as(conn: Connection, number: int, message: Message, *, hash: bytes) -> None:  # noqa: A002
    """Keep what the message was read as."""
    conn.execute(
        text("""update master_messages set hash = :hash, system = :system, message_id = :message, kind = :kind,
               object = :object, version = :version where id = :id"""),
        {
            "id": number, "hash": hash, "system": message.system, "message": message.id, "kind": message.kind,
            "object": message.object, "version": message.version,
        },
    )  # fmt: skip


def settle(conn: Connection, number: int, verdict: Verdict) -> None:
    """Keep what became of the message, as of how far master data had come."""
    conn.execute(
        text("""update master_messages set state = :state, code = :code, sentence = :sentence,
               request_id = coalesce(:request, request_id), decided_at = now(), starts = 0, due_at = now(),
               tried_no = coalesce((select no from audit_head), 0) where id = :id"""),
        {
            "id": number, "state": verdict.state, "code": verdict.code,
            "sentence": verdict.sentence[:SENTENCE_LENGTH_MAX], "request": verdict.request_id,
        },
    )  # fmt: skip


def overtake(conn: Connection, message: Message, *, number: int) -> list[int]:
    """Let refused messages of the same object rest that are no newer than this one; their numbers, with its own."""
    found = conn.execute(
        text("""update master_messages set state = 'ignored', code = null, decided_at = now(),
               sentence = 'overtaken by version ' || cast(:version as bigint)
             where system = :system and kind = :kind and object = :object and version <= :version
               and state = 'refused' and id <> :number returning id"""),
        {
            "system": message.system, "kind": message.kind, "object": message.object, "version": message.version,
            "number": number,
        },
    )  # fmt: skip
    return sorted([*found.scalars(), number])


def again(conn: Connection, number: int | None) -> list[int]:
    """Let refused messages be looked at anew, one or all; their numbers."""
    found = conn.execute(
        text("""update master_messages set state = 'received', code = null, due_at = now()
             where state = 'refused' and (cast(:id as bigint) is null or id = :id) returning id"""),
        {"id": number},
    )
    return sorted(found.scalars())


def is_known(conn: Connection, number: int) -> bool:
    """Whether there is a message of that number."""
    found = conn.execute(text("select 1 from master_messages where id = :id"), {"id": number})
    return found.one_or_none() is not None


def listed(conn: Connection, *, state: str | None, rows: int) -> Sequence[Mapping[str, Any]]:
    """The newest messages, of one state or of all."""
    found = conn.execute(
        text("""select id, received_at, state, system, message_id, kind, object, version, code, sentence, request_id
             from master_messages where cast(:state as text) is null or state = :state order by id desc limit :rows"""),
        {"state": state, "rows": min(rows, ROWS_MAX)},
    )
    return [dict(row) for row in found.mappings()]
