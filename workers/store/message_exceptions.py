"""Refused messages of master data: an exception for each, resolved when it is applied, and a notice for its sender."""

from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from domain.errors import Rejection
from domain.notices import master_refused
from domain.ownership import Message
from domain.refused import Refused
from queues.exceptions import NewException, open_exceptions
from workers.store import notices
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


def tell(conn: Connection, heard: Heard, message: Message | None, rejection: Rejection) -> None:
    """Owe who sent it the words in which it was refused; nobody can be told where the broker vouches for nobody."""
    user = heard.delivery.properties.get("user_id")
    if user is None:
        return
    refused = Refused(rejection.code, str(rejection.facts.get("field") or ""), rejection.sentence)
    notice = master_refused(
        refused,
        source=None if message is None else message.system,
        event_id=None if message is None else message.id,
        version=None if message is None else message.version,
    )
    notices.refuse_message(conn, notice, user=str(user), number=heard.id)
