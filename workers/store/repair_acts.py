"""What the acts of a repair write: the work of a posting, the entry that undoes another, the document made void."""

from sqlalchemy import Connection, text

from domain import journal as entries
from domain.money import Currency
from queues import exceptions, work
from queues.topology import queue_name
from queues.work import Hintable, NewWork
from workers.store import journal, prepaid, revenue
from workers.store.repairs import Repair

_WAKE = text("""
update work set state = 'ready', attempts = 0, starts = 0, due_at = now(), hinted_at = now(), hints = 1,
  lease_until = null, done_at = null, outcome = 'repair', error = null
where id = (select id from work where step = 'post' and subject = :subject and state in ('dead', 'ready')
  order by revision desc limit 1)
returning id, step, lane, connection_id, weight, correlation_id
""")


def send_again(conn: Connection, repair: Repair) -> list[Hintable]:
    """Owe the posting to its ERP once more; its exceptions are closed, and opened again if it is refused again."""
    subject = f"erp_posting/{repair.posting_id}"
    row = conn.execute(_WAKE, {"subject": subject}).one_or_none()
    if row is None:
        connection_id = conn.execute(
            text("select connection_id from erp_postings where id = :id"), {"id": repair.posting_id}
        ).scalar_one()
        revision = work.next_revision(conn, "post", subject)
        owed = NewWork("post", subject, f"repair-{repair.id}", revision, lane="close", connection_id=connection_id)
        return work.insert(conn, [owed])
    exceptions.close_of_work(conn, [row.id], person=repair.person, reason=repair.reason)
    queue = queue_name(row.step, row.lane, row.connection_id)
    return [Hintable(row.id, row.step, queue, row.weight, row.correlation_id)]


def withdraw(conn: Connection, repair: Repair) -> None:
    """Nobody owes the posting any more; what it waited for is closed with the repair's reason."""
    found = conn.execute(
        text("""update work set state = 'done', done_at = now(), outcome = 'withdrawn', lease_until = null, error = null
             where step = 'post' and subject = :subject and state in ('ready', 'dead') returning id"""),
        {"subject": f"erp_posting/{repair.posting_id}"},
    )
    exceptions.close_of_work(conn, list(found.scalars()), person=repair.person, reason=repair.reason)


def reverse_entry(conn: Connection, repair: Repair) -> None:
    """Book the entry that undoes the document's, and take back what it earns or defers: the ERP has seen neither.

    On the same day, or on the first that is open if its accounting period was closed meanwhile.
    """
    row = conn.execute(
        text("select number_text, currency from invoices where id = :id"), {"id": repair.invoice_id}
    ).one()
    booked = journal.entry_of(conn, repair.invoice_id)
    posting_on = max(booked.posting_on, revenue.first_open_day(conn, booked.legal_entity_id))
    undone = entries.reversal(booked, posting_on=posting_on, description=f"void of {row.number_text}")
    currencies = {repair.invoice_id: Currency(row.currency)}
    journal.book(conn, {repair.invoice_id: undone}, currencies=currencies, kind="reversal")
    revenue.undo(conn, repair.invoice_id, posting_on=posting_on)


#: Later drafts of its contract and period that found nothing to bill did so because this document held it.
_EMPTY = text("""
with held as (
  select n.id from invoices i join billing_runs r on r.id = i.billing_run_id
  join invoices n on n.contract_id = i.contract_id and n.state = 'empty'
  join billing_runs o on o.id = n.billing_run_id and o.billing_period_id = r.billing_period_id and o.lot > r.lot
  where i.id = :id order by n.id for update of n)
update invoices n set state = 'void' from held where held.id = n.id
""")


def void_document(conn: Connection, repair: Repair) -> None:
    """The document keeps its number and asks for nothing any more; the next run bills its usage again."""
    conn.execute(
        text("update invoices set state = 'void' where id = :id and state = 'issued'"),
        {"id": repair.invoice_id},
    )
    conn.execute(_EMPTY, {"id": repair.invoice_id})
    prepaid.give_back(conn, repair.invoice_id)
