"""Documents that wait for an accounting period of their ERP: an exception for each, and one look for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection, text

from queues import exceptions, work
from queues.exceptions import NewException
from queues.topology import queue_name
from queues.work import Hintable, NewWork, Ready
from workers.store import exception_keys
from workers.unit import Unit

CODE: Final = "period_closed"
#: What such an exception waits for; its key is `<connection>/<month>`, and the look's subject `erp_period/<key>`.
WAITS_KIND: Final = "erp_period"
#: How often the ERP is asked about a month, however many documents wait for it.
LOOK_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a document waits: which period of which ERP, in words and facts."""

    connection_id: str
    posting_on: date
    sentence: str
    facts: Mapping[str, object]

    @property
    def key(self) -> str:
        """What it waits for."""
        return f"{self.connection_id}/{self.posting_on:%Y-%m}"


def keep(unit: Unit, ready: Ready, hold: Hold) -> None:
    """Open the document's exception, or count the repeat, and owe a look at the period if none is owed yet."""
    subject = f"{WAITS_KIND}/{hold.key}"
    # Whoever ends the look takes the same lock: a document that comes now is woken by it or owes the next one.
    work.lock_subjects(unit.conn, ready.step, [subject])
    exceptions.open_exceptions(unit.conn, [_exception(unit.conn, ready, hold)])
    if not _is_owed(unit.conn, ready.step, subject):
        look = NewWork(
            ready.step,
            subject,
            correlation_id=f"erp-period-{hold.key}",
            revision=work.next_revision(unit.conn, ready.step, subject),
            lane=ready.lane,
            connection_id=hold.connection_id,
            due_at=unit.now + timedelta(seconds=LOOK_S),
        )
        work.insert(unit.conn, [look])


def _exception(conn: Connection, ready: Ready, hold: Hold) -> NewException:
    key16, digest = exceptions.of_subject(ready.step, ready.subject)
    keys = exception_keys.of_work(conn, ready, code=CODE, facts=hold.facts)
    return NewException(
        step=ready.step,
        code=CODE,
        key16=key16,
        hash=digest,
        sentence=hold.sentence,
        work_id=ready.id,
        subject=ready.subject,
        waits_kind=WAITS_KIND,
        waits_key=hold.key,
        correlation_id=ready.correlation_id,
        facts=hold.facts,
        **keys,
    )


def _is_owed(conn: Connection, step: str, subject: str) -> bool:
    found = conn.execute(
        text("select exists (select from work where step = :step and subject = :subject and state = 'ready')"),
        {"step": step, "subject": subject},
    )
    return bool(found.scalar_one())


def asked_about(conn: Connection, key: str) -> date | None:
    """A day in the month that documents wait for, or None if none waits any more."""
    found = conn.execute(
        text("""select max(cast(facts ->> 'posting_on' as date)) from exceptions
             where state = 'open' and waits_kind = :kind and waits_key = :key"""),
        {"kind": WAITS_KIND, "key": key},
    )
    return found.scalar_one()  # type: ignore[no-any-return]


_WAKE = text("""
with waiting as (
  select w.id from work w join exceptions x on x.work_id = w.id
  where x.state = 'open' and x.waits_kind = :kind and x.waits_key = :key and w.state = 'ready'
  order by w.id for update of w skip locked)
update work w set due_at = now(), hinted_at = now(), hints = 1 from waiting where w.id = waiting.id
returning w.id, w.step, w.lane, w.connection_id, w.weight, w.correlation_id
""")


def wake(conn: Connection, key: str, *, step: str) -> list[Hintable]:
    """The period is open: all documents that wait for it are due, and their exceptions are healed.

    One that a worker holds at this moment is left to that worker, which opens its exception again or goes on.
    """
    work.lock_subjects(conn, step, [f"{WAITS_KIND}/{key}"])
    rows = conn.execute(_WAKE, {"kind": WAITS_KIND, "key": key}).all()
    _close(conn, [row.id for row in rows], step=step, reason="healed: the period is open in the ERP")
    woken = [
        Hintable(row.id, row.step, queue_name(row.step, row.lane, row.connection_id), row.weight, row.correlation_id)
        for row in rows
    ]
    return sorted(woken, key=lambda each: each.id)


def heal(conn: Connection, ready: Ready, *, reason: str) -> None:
    """The document goes on: it no longer waits for a period."""
    found = conn.execute(
        text("""select work_id from exceptions where state = 'open' and step = :step and code = :code
             and key16 = :key"""),
        {"step": ready.step, "code": CODE, "key": exceptions.of_subject(ready.step, ready.subject)[0]},
    )
    _close(conn, list(found.scalars()), step=ready.step, reason=reason)


def _close(conn: Connection, work_ids: Sequence[int], *, step: str, reason: str) -> None:
    if work_ids:
        exceptions.close_of_work(conn, work_ids, person=step, reason=reason)
