"""Allowances: what a person has moved alone under a limit; the audit log says so, and nobody can take it out."""

from collections.abc import Collection, Mapping
from decimal import Decimal

from sqlalchemy import Connection, text

from workers.store import audit

#: How long what was moved alone counts towards a limit.
HOURS = 24
#: The action of such an entry.
USED = "limits.use"
_USED = text(f"""
select m.key as currency, sum(cast(m.value as numeric)) as amount
from audit_log a cross join jsonb_each_text(a.after -> 'effect') m
where a.person = :person and a.action collate "C" = '{USED}'
  and a.recorded_at > clock_timestamp() - make_interval(hours => {HOURS})
  and exists (select from jsonb_array_elements_text(a.after -> 'actions') d where d = any(cast(:actions as text[])))
group by 1
""")


def used(conn: Connection, person: str, actions: Collection[str]) -> Mapping[str, Decimal]:
    """By currency, what the person has moved without a second person within a day, by any of these actions."""
    found = conn.execute(_USED, {"person": person, "actions": list(actions)})
    return {row.currency: row.amount for row in found}


def use(conn: Connection, subject: str, actions: Collection[str], effect: Mapping[str, Decimal]) -> None:
    """Record what the person who is named moves alone; the caller holds the audit log, so no two do at once."""
    amounts = {currency: str(abs(amount)) for currency, amount in effect.items()}
    audit.record(conn, USED, subject, after={"actions": list(actions), "effect": amounts})
