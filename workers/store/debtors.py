"""What an ERP calls whoever a document goes to, and whether its connection sends nothing without that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, text

#: What an exception about a missing debtor waits for; `parked.heal_dead` looks for it.
WAITS_KIND: Final = "debtor"
#: The identities `d` by which the connection `c` knows an account on a day.
OF_CONNECTION: Final = """d.system = coalesce(c.debtor_system, c.id) and d.kind = c.debtor_kind
  and d.superseded_at = '9999-12-31 00:00:00+00'"""


@dataclass(frozen=True, slots=True)
class Debtors:
    """The names of an account in the system of a connection, on the day of a document: one, if all is well."""

    account: str
    system: str
    kind: str
    on: date
    is_needed: bool
    names: Sequence[str]


_OF_POSTING = text(f"""
select i.account_id, coalesce(c.debtor_system, c.id) as system, c.debtor_kind, i.invoice_on, c.needs_debtor,
  array(select d.identifier from account_identities d where d.account_id = i.account_id and {OF_CONNECTION}
    and i.invoice_on >= d.starts_on and i.invoice_on < d.ends_on order by 1) as names
from erp_postings p join invoices i on i.id = p.invoice_id join erp_connections c on c.id = p.connection_id
where p.id = :id
""")


def of_posting(conn: Connection, posting_id: int) -> Debtors:
    """What the ERP of a posting calls the account that its document goes to."""
    return Debtors(*conn.execute(_OF_POSTING, {"id": posting_id}).one())
