"""Control totals of a billing run at each hop from line to ERP; a run is reconciled when all of them agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, text

#: From the first rounded money to what the ERP says it holds.
HOPS: Final = ("lines", "documents", "journal", "erp")


@dataclass(frozen=True, slots=True)
class RunTotal:
    """What a hop holds of a run in one currency, credit notes negative; `lines` is None where it has none.

    What documents give or ask beside their lines is in the money of the hop `lines`, and no line.
    """

    hop: str
    currency: str
    documents: int
    net: Decimal
    tax: Decimal
    gross: Decimal
    lines: int | None


_TOTALS = text("""
with issued as materialized (
  select i.*, e.receivable_account as receivable,
    array(select e.tax_account union select a.value from jsonb_each_text(e.tax_accounts) a) as tax_accounts
  from invoices i join legal_entities e on e.id = i.legal_entity_id
  where i.billing_run_id = :run and i.state in ('issued', 'posted')),
lines as (select l.invoice_id, sum(l.net) as net, count(*) as lines
  from invoice_lines l join issued i on i.id = l.invoice_id group by 1),
beside as (select a.invoice_id, sum(a.net) as net
  from invoice_adjustments a join issued i on i.id = a.invoice_id group by 1),
taxes as (select t.invoice_id, sum(t.tax) as tax from invoice_taxes t join issued i on i.id = t.invoice_id group by 1),
legs as (
  select i.currency, i.id, coalesce(sum(p.amount) filter (where p.ledger_account = i.receivable), 0) as gross,
    coalesce(-sum(p.amount) filter (where p.ledger_account = any(i.tax_accounts)), 0) as tax,
    coalesce(-sum(p.amount) filter (where p.ledger_account <> i.receivable
      and p.ledger_account <> all(i.tax_accounts)), 0) as net
  from issued i join journal_entries j on j.invoice_id = i.id and j.kind = 'document'
  left join postings p on p.journal_entry_id = j.id
  group by 1, 2)
select 'lines', i.currency, count(*), sum(coalesce(l.net, 0) + coalesce(a.net, 0)), sum(coalesce(t.tax, 0)),
  sum(coalesce(l.net, 0) + coalesce(a.net, 0) + coalesce(t.tax, 0)), sum(coalesce(l.lines, 0))::bigint
from issued i left join lines l on l.invoice_id = i.id left join beside a on a.invoice_id = i.id
left join taxes t on t.invoice_id = i.id where coalesce(l.invoice_id, a.invoice_id) is not null group by i.currency
union all
select 'documents', currency, count(*), sum(net), sum(tax), sum(gross), null from issued group by currency
union all
select 'journal', currency, count(*), sum(net), sum(tax), sum(gross), null from legs group by currency
union all
select 'erp', i.currency, count(*), sum(p.read_net), sum(p.read_tax), sum(p.read_gross), sum(p.read_lines)::bigint
from issued i join erp_postings p on p.invoice_id = i.id and p.state = 'confirmed' group by i.currency
order by 2, 1
""")


def of_run(conn: Connection, run_id: int) -> list[RunTotal]:
    """The totals of each hop, by currency: lines, documents, journal and ERP."""
    return [RunTotal(*row) for row in conn.execute(_TOTALS, {"run": run_id})]


def differing(totals: Sequence[RunTotal]) -> list[str]:
    """The hops, as `erp USD`, that do not hold exactly what the lines of that currency hold."""
    held = {(each.hop, each.currency): each for each in totals}
    currencies = sorted({each.currency for each in totals})
    return [
        f"{hop} {currency}"
        for currency in currencies
        for hop in HOPS[1:]
        if not _agree(held.get((hop, currency)), held.get((HOPS[0], currency)))
    ]


def _agree(one: RunTotal | None, other: RunTotal | None) -> bool:
    if one is None or other is None:
        return False
    amounts = (one.documents, one.net, one.tax, one.gross) == (other.documents, other.net, other.tax, other.gross)
    return amounts and (None in (one.lines, other.lines) or one.lines == other.lines)
