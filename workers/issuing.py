"""How approved drafts become documents: booked, on their way to the ERP, and, last of all, numbered."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from domain.documents import Document
from domain.journal import document_entry
from queues.work import Ready
from workers.store import erp_postings, invoices, journal, numbers, prepaid, revenue, run_drafts
from workers.store.billing_runs import Run
from workers.store.numbers import Unnumbered
from workers.unit import Unit

#: Documents issued in one transaction; a series of numbers is held for the last part of it.
ISSUED_MAX: Final = 1_000


def issue(unit: Unit, ready: Ready, run: Run) -> bool:
    """Issue the run's next taxed drafts and owe `post` to each; whether that were all of them."""
    ids = run_drafts.taxed(unit.conn, run, limit=ISSUED_MAX)
    documents = invoices.documents(unit.conn, ids)
    _book(unit, documents)
    revenue.schedule(unit.conn, ids)
    prepaid.draw(unit.conn, documents, at=run.ends_at - timedelta(microseconds=1))
    for posting in erp_postings.plan(unit.conn, ids):
        unit.then(
            ready, "post", f"erp_posting/{posting.id}", lane="close", connection_id=posting.connection_id, weight=1
        )
    drafts = [Unnumbered(key, each.legal_entity_id, each.kind, each.invoice_on) for key, each in documents.items()]
    numbers.issue(unit.conn, drafts)
    return len(ids) < ISSUED_MAX


def _book(unit: Unit, documents: Mapping[int, Document]) -> None:
    accounts = journal.ledger_accounts(unit.conn, {each.legal_entity_id for each in documents.values()})
    journal.book(
        unit.conn,
        {
            invoice_id: document_entry(
                each, accounts[each.legal_entity_id], description=f"{each.kind} for {each.account_id}"
            )
            for invoice_id, each in documents.items()
        },
        currencies={invoice_id: each.currency for invoice_id, each in documents.items()},
    )
