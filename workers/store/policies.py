"""Policies: which actions need a second person, in versions that are never edited."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from domain.approvals import Policy

#: Policies in force that are read at once; there are some twenty actions, roles and currencies are few.
ROWS_MAX = 10_000
_COLUMNS = "action, role, needs, decided_by, expires_h, currency, money_max"


@dataclass(frozen=True, slots=True)
class Change:
    """A policy that takes the place of those in force for its action, role and currency."""

    policy: Policy
    by: str


def in_force(conn: Connection, actions: Collection[str] | None = None) -> Sequence[Policy]:
    """The policies in force, of these actions or of all."""
    found = conn.execute(
        text(f"""select {_COLUMNS} from approval_policies where superseded_at is null
             and (cast(:actions as text[]) is null or action = any(cast(:actions as text[])))
             order by action, role, currency limit :rows"""),
        {"actions": None if actions is None else sorted(actions), "rows": ROWS_MAX},
    )
    return [Policy(*row) for row in found]


def put(conn: Connection, change: Change) -> bool:
    """Put a policy in force; whether it differs from what was.

    A limit in a currency stands beside those in others; a policy without one ends all limits of its action and role,
    and a limit ends a policy without one.
    """
    new = change.policy
    if new in in_force(conn, [new.action]):
        return False
    conn.execute(
        text("""update approval_policies set superseded_at = now(), superseded_by = :by
             where action = :action and role = :role and superseded_at is null
               and (cast(:currency as text) is null or currency is null or currency = :currency)"""),
        {"by": change.by, "action": new.action, "role": new.role, "currency": new.currency},
    )
    conn.execute(
        text(f"""insert into approval_policies ({_COLUMNS}, recorded_by)
             values (:action, :role, :needs, :decided_by, :expires_h, :currency, :money_max, :by)"""),
        {
            "action": new.action,
            "role": new.role,
            "needs": new.needs,
            "decided_by": new.decided_by,
            "expires_h": new.expires_h,
            "currency": new.currency,
            "money_max": new.money_max,
            "by": change.by,
        },
    )
    return True
