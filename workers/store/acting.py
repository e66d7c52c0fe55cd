"""Names, for the rest of a transaction, the person who acts and why; what the audit log writes is taken from here."""

from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Named:
    """Who acts, why, under which approval, and with which token."""

    person: str
    reason: str
    approval_id: int | None = None
    token_id: int | None = None


_SET = text("""
select set_config('tallyline.person', :person, true), set_config('tallyline.reason', :reason, true),
  set_config('tallyline.approval', :approval, true), set_config('tallyline.token', :token, true)
""")


def name(conn: Connection, named: Named) -> None:
    """Let every change of this transaction be that person's; the database refuses governed changes by nobody."""
    conn.execute(
        _SET,
        {
            "person": named.person,
            "reason": named.reason,
            "approval": "" if named.approval_id is None else str(named.approval_id),
            "token": "" if named.token_id is None else str(named.token_id),
        },
    )
