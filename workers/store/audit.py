"""The audit log: what a person or a policy changed, appended by the database and read in bounded pages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, text

from domain.audit import Entry, Head
from domain.canonical import Json, canonical_json

#: Entries of one page.
ROWS_MAX: Final = 1_000
#: Entries that a walk over the whole chain fetches at once.
FETCHED: Final = 2_000
#: Tables of which every changed row is recorded by triggers, and how many triggers that takes of each.
TRIGGERS: Final[Mapping[str, int]] = {
    "erp_connections": 5, "legal_entities": 5, "accounts": 5, "billing_cycles": 5, "contracts": 5,
    "contract_versions": 5, "subscriptions": 5, "sources": 5, "source_users": 5, "meters": 5, "meter_versions": 5,
    "metrics": 5, "dimensions": 5, "exclusion_rules": 5, "mappings": 5, "prices": 5, "tax_rates": 5,
    "billing_overrides": 5, "people": 5, "person_roles": 5, "api_tokens": 5, "approval_policies": 5,
    "approval_requests": 5, "approval_decisions": 5, "features": 5, "entitlements": 5, "entitlement_grants": 5,
    "subscription_quantities": 5, "account_identities": 5, "tax_registrations": 5, "products": 5, "credit_grants": 5,
    "contract_renewals": 5, "subscription_phases": 5, "subscription_cancellations": 5,
    "systems": 5, "field_owners": 5, "billing_runs": 2, "price_book_versions": 5, "price_book_plans": 5,
    "price_book_charges": 5, "coupons": 5, "contract_coupons": 5, "contract_limits": 5, "account_holds": 2,
    "account_tax_registrations": 5, "account_tax_exemptions": 5, "account_addresses": 5, "legal_entity_addresses": 5,
    "revenue_rules": 5, "accounting_periods": 5, "credit_accounts": 5,
    "audit_log": 1, "audit_head": 1,
}  # fmt: skip


def hold(conn: Connection) -> None:
    """Take the place of the writer of the log until the transaction ends: before locks of rows and before the fence."""
    conn.execute(text("select audit_hold()"))


def record(
    conn: Connection,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Json] | None = None,
    after: Mapping[str, Json] | None = None,
) -> int:
    """Record a change under the person that `acting.name` named; its number. Holds other writers up to the commit.

    The database refuses it if nobody is named, if a text is empty or too long, and what takes more than a mebibyte.
    """
    values = {"action": action, "subject": subject, "before": _json(before), "after": _json(after)}
    found = conn.execute(
        text("select audit_record(:action, :subject, cast(:before as jsonb), cast(:after as jsonb))"), values
    )
    return int(found.scalar_one())


def _json(members: Mapping[str, Json] | None) -> str | None:
    return None if members is None else canonical_json(members)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries: of a person, an action or all actions of a table, a subject, from an instant on."""

    person: str | None = None
    action: str | None = None
    subject: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry as a person reads it."""

    no: int
    recorded_at: datetime
    person: str
    token_id: int | None
    approval_id: int | None
    reason: str
    action: str
    subject: str
    before: Any
    after: Any


_PAGE = """
select no, recorded_at, person, token_id, approval_id, reason, action, subject, before, after from audit_log
where no < :below{} order by no desc limit :rows
"""
_WHERE: Final = {
    "person": " and person = :person",
    "action": """ and (action collate "C" = :action
      or (action collate "C" >= :action || '.' and action collate "C" < :action || '/'))""",
    "subject": " and subject = :subject",
    "since": " and recorded_at >= :since",
}


def page(conn: Connection, wanted: Filter, *, rows: int, below: int | None = None) -> Sequence[Recorded]:
    """Up to `rows` entries, the newest first, with numbers below `below` if it is given."""
    given = {name: value for name in _WHERE if (value := getattr(wanted, name)) is not None}
    statement = _PAGE.format("".join(_WHERE[name] for name in given))
    values = {**given, "rows": min(rows, ROWS_MAX), "below": 2**63 - 1 if below is None else below}
    return [Recorded(*row) for row in conn.execute(text(statement), values)]


def since(conn: Connection, no: int, *, rows: int) -> Sequence[Recorded]:
    """The first entries after number `no`, the oldest first."""
    found = conn.execute(
        text("""select no, recorded_at, person, token_id, approval_id, reason, action, subject, before, after
             from audit_log where no > :no order by no limit :rows"""),
        {"no": no, "rows": min(rows, ROWS_MAX)},
    )
    return [Recorded(*row) for row in found]


def head(conn: Connection) -> Head | None:
    """The number and hash of the last entry, kept apart from it; None before the first."""
    found = conn.execute(text("select no, hash from audit_head")).one_or_none()
    return None if found is None else Head(found.no, bytes(found.hash))


#: The texts exactly as they were hashed.
_ENTRIES = text("""
select no, prev_hash, hash,
  to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as recorded_at, person,
  token_id::text as token_id, approval_id::text as approval_id, reason, action, subject, before::text as before,
  after::text as after
from audit_log order by no
""")


def entries(conn: Connection) -> Iterator[Entry]:
    """The whole chain from its first entry on, fetched piece by piece: a long one never lies in memory."""
    with conn.execution_options(stream_results=True, yield_per=FETCHED).execute(_ENTRIES) as found:
        for row in found.mappings():
            yield _entry(row)


def _entry(row: RowMapping) -> Entry:
    return Entry(**{**row, "prev_hash": bytes(row["prev_hash"]), "hash": bytes(row["hash"])})


def unguarded(conn: Connection) -> list[str]:
    """The tables whose changes would not be recorded, or not kept, because a trigger is gone or off."""
    found = conn.execute(
        text("""select c.relname, count(*) filter (where t.tgenabled in ('O', 'A')) as n from pg_class c
             left join pg_trigger t on t.tgrelid = c.oid and starts_with(t.tgname, 'audit_')
             where c.relnamespace = 'public'::regnamespace and c.relname = any(cast(:tables as text[]))
             group by c.relname"""),
        {"tables": sorted(TRIGGERS)},
    )
    there = {row.relname: row.n for row in found}
    return sorted(table for table, n in TRIGGERS.items() if there.get(table, 0) < n)
