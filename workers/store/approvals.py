"""Requests for approval: kept exactly as they would be carried out, decided once, by somebody else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from domain.approvals import ApprovalClosed, Effect, Needed, Request
from domain.authority import Role

_encode = msgspec.json.Encoder(decimal_format="string").encode
#: Requests that a list shows.
ROWS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What somebody asks to be allowed to do; (deed, subject) is open at most once."""

    deed: str
    actions: tuple[str, ...]
    subject: str
    summary: str
    reason: str
    payload: Mapping[str, Any]
    effect: Effect
    requested_by: str
    attachment: bytes | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it is kept, with how it was decided."""

    id: int
    deed: str
    actions: tuple[str, ...]
    subject: str
    summary: str
    reason: str
    payload: Mapping[str, Any]
    attachment: bytes | None
    effect: Effect
    decided_by: Role
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    state: str
    closed_at: datetime | None
    verdict_by: str | None
    note: str | None

    @property
    def request(self) -> Request:
        """What a decision rests on."""
        return Request(self.id, self.requested_by, self.decided_by, self.state, self.expires_at, self.effect)  # type: ignore[arg-type]


_SELECT = """
select r.id, r.deed, r.actions, r.subject, r.summary, r.reason, r.payload, r.attachment, r.effect, r.decided_by,
  r.requested_by, r.requested_at, r.expires_at,
  case when r.state = 'open' and r.expires_at <= now() then 'expired' else r.state end as state, r.closed_at,
  d.decided_by as verdict_by, d.note
from approval_requests r left join approval_decisions d on d.request_id = r.id
"""


def _asked(row: Row[Any]) -> Asked:
    effect = None if row.effect is None else {code: Decimal(amount) for code, amount in row.effect.items()}
    return Asked(**{**row._asdict(), "effect": effect, "actions": tuple(row.actions)})


def ask(conn: Connection, new: NewRequest, needed: Needed) -> int:
    """Keep a request; its number. Raises `ApprovalClosed` if the same is asked for already."""
    conn.execute(
        text("""update approval_requests set state = 'expired', closed_at = now()
             where deed = :deed and subject = :subject and state = 'open' and expires_at <= now()"""),
        {"deed": new.deed, "subject": new.subject},
    )
    found = conn.execute(
        text("""insert into approval_requests (deed, actions, subject, summary, reason, payload, attachment, effect,
               decided_by, requested_by, expires_at)
             values (:deed, cast(:actions as text[]), :subject, :summary, :reason, cast(:payload as jsonb), :attachment,
               cast(:effect as jsonb), :decided_by, :by, now() + make_interval(hours => :expires_h))
             on conflict (deed, subject) where state = 'open' do nothing returning id"""),
        {
            "deed": new.deed,
            "actions": list(new.actions),
            "subject": new.subject,
            "summary": new.summary,
            "reason": new.reason,
            "payload": _encode(new.payload).decode(),
            "attachment": new.attachment,
            "effect": _encode(None if new.effect is None else dict(new.effect)).decode(),
            "decided_by": needed.decided_by,
            "by": new.requested_by,
            "expires_h": needed.expires_h,
        },
    ).scalar_one_or_none()
    if found is None:
        open_ = conn.execute(
            text("select id from approval_requests where deed = :deed and subject = :subject and state = 'open'"),
            {"deed": new.deed, "subject": new.subject},
        ).scalar_one_or_none()
        sentence = f"request {open_} already asks for that: it is decided or withdrawn first"
        fix = f"somebody else calls `tallyline approve {open_}`; who asked for it may call it with --withdraw"
        raise ApprovalClosed(sentence, request=open_, fix=fix)
    return int(found)


def hold(conn: Connection, request_id: int) -> Asked | None:
    """Lock a request to decide it; None if there is none of that number."""
    found = conn.execute(text(f"{_SELECT} where r.id = :id for update of r"), {"id": request_id}).one_or_none()
    return None if found is None else _asked(found)


def one(conn: Connection, request_id: int) -> Asked | None:
    """A request by its number; None if there is none."""
    found = conn.execute(text(f"{_SELECT} where r.id = :id"), {"id": request_id}).one_or_none()
    return None if found is None else _asked(found)


def requests(conn: Connection, *, state: str | None = "open", rows: int = 50) -> Sequence[Asked]:
    """The newest requests in that state, or in any; what has expired meanwhile counts as expired."""
    found = conn.execute(
        text(f"""select * from ({_SELECT}) q where cast(:state as text) is null or state = :state
             order by id desc limit :rows"""),
        {"state": state, "rows": min(rows, ROWS_MAX)},
    )
    return [_asked(row) for row in found]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How somebody decided a request."""

    person: str
    is_granted: bool
    note: str = ""


def decide(conn: Connection, asked: Asked, verdict: Verdict) -> None:
    """Record the decision; the database refuses one by who asked."""
    conn.execute(
        text("""insert into approval_decisions (request_id, requested_by, decided_by, verdict, note)
             values (:id, :requested_by, :person, :verdict, :note)"""),
        {
            "id": asked.id,
            "requested_by": asked.requested_by,
            "person": verdict.person,
            "verdict": "granted" if verdict.is_granted else "refused",
            "note": verdict.note,
        },
    )
    close(conn, asked.id, "granted" if verdict.is_granted else "refused")


def close(conn: Connection, request_id: int, state: str, *, outcome: Mapping[str, Any] | None = None) -> None:
    """End a request that is open in that state."""
    conn.execute(
        text("""update approval_requests set state = :state, closed_at = now(), outcome = cast(:outcome as jsonb)
             where id = :id and state = 'open'"""),
        {"id": request_id, "state": state, "outcome": None if outcome is None else _encode(outcome).decode()},
    )
