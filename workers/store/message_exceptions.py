"""Exceptions of refused messages of master data: opened once for each message, resolved when it is applied."""

from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from domain.errors import Rejection
from domain.ownership import Message
from queues.exceptions import NewException, open_exceptions
from workers.store.master_messages import Heard

#: What stands for a step in exceptions about messages.
STEP: Final = "master"


def open_(conn: Connection, heard: Heard, message: Message | None, rejection: Rejection) -> None:
    """Open the exception of a refused message; one that it has under another code is resolved. Nothing is at risk yet.

    What usage waits for meanwhile has exceptions of its own, with its money.
    """
    resolve(conn, [heard.id], reason=f"refused as {rejection.code} now")
    facts = {name: str(value) for name, value in rejection.facts.items() if value is not None}
    open_exceptions(
        conn,
        [
            NewException(
                step=STEP,
                code=rejection.code,
                key16=UUID(bytes=blake2b(f"{STEP} {heard.id}".encode(), digest_size=16).digest()),
                hash=sha256(heard.delivery.body).digest(),
                sentence=rejection.sentence,
                source=None if message is None else message.system,
                event_id=None if message is None else message.id,
                subject=None if message is None else f"{message.kind} {message.object}",
                correlation_id=f"master/{heard.id}",
                is_priced_at_opening=True,
                facts={**facts, "message": heard.id},
            )
        ],
    )


def resolve(conn: Connection, messages: Sequence[int], *, reason: str) -> None:
    """Close the open exceptions of these messages."""
    conn.execute(
        text("""update exceptions set state = 'resolved', closed_at = now(), closed_by = 'tallyline', reason = :reason
             where step = :step and state = 'open' and correlation_id = any(cast(:messages as text[]))"""),
        {"step": STEP, "reason": reason, "messages": [f"master/{number}" for number in messages]},
    )
