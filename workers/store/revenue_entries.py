"""Entries that move revenue between what is booked and what is earned; each statement books all of its entries."""

from typing import Final

from sqlalchemy import TextClause, text

#: What `moves` has to yield: a row for each entry and pair of accounts, with what its revenue account gains (credit)
#: and its balance account loses (debit).
_COLUMNS: Final = "kind, legal_entity_id, invoice_id, posting_on, currency, description"
_BOOK: Final = f"""
moved as materialized ({{moves}}),
entries as (
  insert into journal_entries ({_COLUMNS})
  select distinct {_COLUMNS} from moved order by invoice_id, posting_on, currency
  returning id, kind, invoice_id, posting_on, currency),
legs as (
  select e.id, l.account, l.balance, sum(l.amount) as amount
  from moved m join entries e on e.kind = m.kind and e.invoice_id is not distinct from m.invoice_id
    and e.posting_on = m.posting_on and e.currency = m.currency
  cross join lateral (values (m.revenue_account, null, -m.gained), (m.balance_account, m.balance, m.gained))
    as l (account, balance, amount)
  group by e.id, l.account, l.balance having sum(l.amount) <> 0),
booked as (
  insert into postings (journal_entry_id, position, ledger_account, amount, balance)
  select id, row_number() over (partition by id order by account, balance), account, amount, balance from legs
  order by 1, 2 returning journal_entry_id)
"""


def booking(moves: str, *, before: str = "", after: str) -> TextClause:
    """The statement that books `moves`, with tables for it `before`, and the statement `after` that ends it."""
    return text(f"with {before}{_BOOK.format(moves=moves)}{after}")
