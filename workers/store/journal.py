"""The journal: entries that are booked once and never changed; the database refuses one that does not balance."""

from collections.abc import Collection, Mapping
from typing import Literal

from sqlalchemy import Connection, text

from domain.journal import JournalEntry, LedgerAccounts, Posting
from domain.money import Currency, Money


def ledger_accounts(conn: Connection, legal_entity_ids: Collection[str]) -> dict[str, LedgerAccounts]:
    """Where each legal entity books what is owed to it and its taxes."""
    found = conn.execute(
        text("""select id, receivable_account, tax_account, tax_accounts from legal_entities
             where id = any(cast(:ids as text[]))"""),
        {"ids": list(legal_entity_ids)},
    )
    return {row.id: LedgerAccounts(row.receivable_account, row.tax_account, row.tax_accounts) for row in found}


_BOOK = text("""
insert into journal_entries (kind, legal_entity_id, invoice_id, posting_on, currency, description)
select :kind, * from unnest(cast(:legal_entity_ids as text[]), cast(:invoice_ids as bigint[]),
  cast(:posting_ons as date[]), cast(:currencies as text[]), cast(:descriptions as text[])) order by 3
returning id, invoice_id
""")
_POSTINGS = text("""
insert into postings (journal_entry_id, position, ledger_account, amount)
select * from unnest(cast(:entry_ids as bigint[]), cast(:positions as integer[]), cast(:accounts as text[]),
  cast(:amounts as numeric[])) order by 1, 2
""")


def book(
    conn: Connection,
    entries: Mapping[int, JournalEntry],
    *,
    currencies: Mapping[int, Currency],
    kind: Literal["document", "reversal"] = "document",
) -> None:
    """Book one entry for each invoice, by its id; an entry over nothing has no postings and yet a currency."""
    numbered = sorted(entries.items())
    found = conn.execute(
        _BOOK,
        {
            "kind": kind,
            "legal_entity_ids": [entry.legal_entity_id for _, entry in numbered],
            "invoice_ids": [invoice_id for invoice_id, _ in numbered],
            "posting_ons": [entry.posting_on for _, entry in numbered],
            "currencies": [currencies[invoice_id].code for invoice_id, _ in numbered],
            "descriptions": [entry.description for _, entry in numbered],
        },
    )
    legs = [
        (row.id, position, posting)
        for row in found
        for position, posting in enumerate(entries[row.invoice_id].postings, start=1)
    ]
    conn.execute(
        _POSTINGS,
        {
            "entry_ids": [entry_id for entry_id, _, _ in legs],
            "positions": [position for _, position, _ in legs],
            "accounts": [posting.ledger_account for _, _, posting in legs],
            "amounts": [posting.amount.amount for _, _, posting in legs],
        },
    )


def entry_of(conn: Connection, invoice_id: int) -> JournalEntry:
    """The entry that was booked for the invoice."""
    head = conn.execute(
        text("""select id, legal_entity_id, posting_on, currency, description from journal_entries
             where invoice_id = :invoice_id and kind = 'document'"""),
        {"invoice_id": invoice_id},
    ).one()
    currency = Currency(head.currency)
    legs = conn.execute(
        text("select ledger_account, amount from postings where journal_entry_id = :id order by position"),
        {"id": head.id},
    )
    postings = tuple(Posting(leg.ledger_account, Money(leg.amount, currency)) for leg in legs)
    return JournalEntry(head.legal_entity_id, head.posting_on, head.description, postings)
