"""Exceptions: what a step refused and a person must act on; one row per cause and key, repeats are counted."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

SENTENCE_LENGTH_MAX = 2_000
_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode


@dataclass(frozen=True, slots=True)
class NewException:
    """What is known of a refusal; (step, code, key16, hash, metric) is its identity.

    Money comes with its currency and the `basis` of the estimate. Whoever opens an exception whose money only he knows
    sets `is_priced_at_opening`: it is never estimated anew. `happened_until` goes with `happened_at` where what it is
    about happened at some time between the two.
    """

    step: str
    code: str
    key16: UUID
    hash: bytes
    sentence: str
    metric_id: int = 0
    work_id: int | None = None
    receipt_id: int | None = None
    position: int | None = None
    event_no: int | None = None
    source_id: int | None = None
    source: str | None = None
    event_id: str | None = None
    subject: str | None = None
    happened_at: datetime | None = None
    happened_until: datetime | None = None
    quantity: Decimal | None = None
    waits_kind: str | None = None
    waits_key: str | None = None
    correlation_id: str | None = None
    account_id: str | None = None
    legal_entity_id: str | None = None
    contract_id: int | None = None
    subscription_id: int | None = None
    meter_id: int | None = None
    billing_period_id: int | None = None
    invoice_id: int | None = None
    erp_posting_id: int | None = None
    connection_id: str | None = None
    money_at_risk: Decimal | None = None
    currency: str | None = None
    basis: str | None = None
    is_priced_at_opening: bool = False
    facts: Mapping[str, object] = field(default_factory=dict)


_TYPES = {
    "step": "text", "code": "text", "key16": "uuid", "hash": "bytea", "sentence": "text", "metric_id": "integer",
    "work_id": "bigint", "receipt_id": "bigint", "position": "integer", "event_no": "bigint", "source_id": "integer",
    "source": "text", "event_id": "text", "subject": "text", "happened_at": "timestamptz",
    "happened_until": "timestamptz", "quantity": "numeric",
    "waits_kind": "text", "waits_key": "text", "correlation_id": "text", "account_id": "text",
    "legal_entity_id": "text", "contract_id": "integer", "subscription_id": "integer", "meter_id": "integer",
    "billing_period_id": "integer", "invoice_id": "bigint", "erp_posting_id": "bigint", "connection_id": "text",
    "money_at_risk": "numeric", "currency": "text", "basis": "text", "is_priced_at_opening": "boolean",
}  # fmt: skip
_NAMES = ", ".join(_TYPES)
#: What a repeat does to a row that is there: it is counted, and if a person or a cure had closed it, opened anew.
REOPEN = """seen = exceptions.seen + 1, state = 'open', closed_at = null, closed_by = null, reason = null,
      opened_at = case exceptions.state when 'open' then exceptions.opened_at else now() end,
      deadline_at = case exceptions.state when 'open' then exceptions.deadline_at end,
      priced_revision = case exceptions.state when 'open' then exceptions.priced_revision else 0 end,
      waits_kind = excluded.waits_kind, waits_key = excluded.waits_key"""
_OPEN = text(f"""
insert into exceptions ({_NAMES}, facts)
select distinct on (step, code, key16, hash, metric_id) * from unnest(
  {", ".join(f"cast(:{name} as {kind}[])" for name, kind in _TYPES.items())}, cast(:facts as jsonb[]))
  as t ({_NAMES}, facts)
order by step, code, key16, hash, metric_id
on conflict (step, code, key16, hash, metric_id) do update
  set {REOPEN}, work_id = excluded.work_id, sentence = excluded.sentence, facts = excluded.facts,
      money_at_risk = coalesce(excluded.money_at_risk, exceptions.money_at_risk),
      currency = coalesce(excluded.currency, exceptions.currency), basis = coalesce(excluded.basis, exceptions.basis)
returning id, (xmax = 0) as is_new
""")  # noqa: S608 -- the names are this module's own


def open_exceptions(conn: Connection, rows: Sequence[NewException]) -> int:
    """Open the exceptions, or count the repeat of those that are known; returns how many are new."""
    if not rows:
        return 0
    values: dict[str, list[object]] = {name: [getattr(row, name) for row in rows] for name in _TYPES}
    values["sentence"] = [row.sentence[:SENTENCE_LENGTH_MAX] for row in rows]
    values["facts"] = [_encode(row.facts).decode() for row in rows]
    return sum(row.is_new for row in conn.execute(_OPEN, values))


def of_subject(step: str, subject: str) -> tuple[UUID, bytes]:
    """The key and hash of an exception about a whole work row."""
    digest = hashlib.blake2b(f"{step} {subject}".encode(), digest_size=16).digest()
    return UUID(bytes=digest), b""


def close_of_work(conn: Connection, work_ids: Sequence[int], *, person: str, reason: str) -> None:
    """Resolve the exceptions of work rows that are no longer dead."""
    conn.execute(
        text("""update exceptions set state = 'resolved', closed_at = now(), closed_by = :person, reason = :reason
             where work_id = any(cast(:ids as bigint[])) and state = 'open'"""),
        {"ids": list(work_ids), "person": person, "reason": reason},
    )
