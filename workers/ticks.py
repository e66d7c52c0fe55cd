"""What the scheduler asks in the background: folding, purging, and the looks that should find nothing."""

import structlog

from domain.notices import audit_head, contract_ending
from queues.settings import settings
from queues.telemetry import correlation_id
from workers import sweeper
from workers.step import publish
from workers.store import (
    acting,
    appraisal,
    audit,
    identity,
    master_terms,
    notices,
    parked,
    prepaid,
    recompute,
    retention,
    totals,
)
from workers.store.acting import Named
from workers.store.database import engine, snapshot
from workers.unit import database_now

log = structlog.get_logger(__name__)

#: What the last `check_books` of this process found, by kind; empty before the first.
last_check: dict[str, int] = {}


def fold_totals() -> None:
    """Replace control totals of one key by their sum, so that the identity stays quick to check."""
    with engine().begin() as conn:
        totals.fold(conn)


def purge_work() -> None:
    """Move old finished work to the history, in bounded steps until none is left."""
    while sweeper.purge():
        continue


def look_at_parked() -> None:
    """Wake everything parked once a day; `enrich` reports as an error whatever this heals."""
    with engine().begin() as conn:
        rows = parked.wake_all(conn, correlation_id=correlation_id.get() or "tick-look-at-parked")
    publish(rows)


def heal_dead() -> None:
    """Wake dead work whose price, tax rate or debtor has come while nobody looked."""
    with engine().begin() as conn:
        rows = parked.heal_dead(conn)
    publish(rows)


def appraise() -> None:
    """Price the open exceptions whose money is not known yet or no longer right."""
    appraisal.settle(engine())


def appraise_anew() -> None:
    """Let all open exceptions be priced again: what their windows hold has grown since."""
    with engine().begin() as conn:
        appraisal.expire(conn)


def erase_bodies() -> None:
    """Erase bodies whose time is over, in bounded steps until none is left."""
    total = 0
    while True:
        with engine().begin() as conn:
            acting.name(conn, Named("tallyline", f"older than {settings().receipt_days} days"))
            audit.hold(conn)  # before the rows: whoever erases by hand does the same
            erased = retention.erase(conn, days=settings().receipt_days)
            retention.record(conn, erased)
        if not erased.receipts:
            break
        total += erased.receipts
    log.info("bodies erased", receipts=total)


def erase_messages() -> None:
    """Erase bodies of settled messages of master data, in bounded steps until none is left."""
    days, total = settings().message_days, 0
    while True:
        with engine().begin() as conn:
            acting.name(conn, Named("tallyline", f"settled more than {days} days ago"))
            audit.hold(conn)
            count = retention.erase_messages(conn, days=days)
        if not count:
            break
        total += count
    log.info("messages erased", messages=total)


def end_credits() -> None:
    """End the credits whose time is over, in bounded steps until none is left; what is billed later draws them too."""
    while True:
        with engine().begin() as conn:
            acting.name(conn, Named("tallyline", "their time is over"))
            audit.hold(conn)
            count = prepaid.end_due(conn)
        if not count:
            return
        log.info("credits ended", grants=count)


def check_books() -> None:
    """Recompute every window and check the identities; a difference is an error for on-call, never corrected here."""
    with snapshot() as conn:
        drifts, differences = recompute.drifts(conn), identity.differences(conn)
    last_check.update(identity=len(differences), windows=len(drifts))
    for drift in drifts:
        log.error("window differs from its recompute", window=drift.window, expected=drift.expected, found=drift.found)
    for each in differences:
        log.error("identity broken", check=each.check, source=each.source, metric=each.metric, hour=str(each.hour))
    log.info("books checked", drifts=len(drifts), differences=len(differences))


def tell_endings() -> None:
    """Owe people a notice of each contract that ends with its term, ahead of it and once."""
    cause = correlation_id.get() or "tick-tell-endings"
    with engine().begin() as conn:
        now = database_now(conn)
        rows = []
        for each in master_terms.untold(conn):
            key = f"contract/{each.id}/ending/{each.ending.ends_on}"
            notice = contract_ending(each.ending)
            rows += notices.owe_once(conn, notice, key=key, at=now, correlation_id=cause)
    publish(rows)


def tell_audit_head() -> None:
    """Owe outsiders the audit log's head, once a day: what they hold, nobody can rewrite."""
    with engine().begin() as conn:
        head, now = audit.head(conn), database_now(conn)
        if head is None:
            return
        key, cause = f"audit/head/{now.date()}", correlation_id.get() or "tick-tell-audit-head"
        rows = notices.owe_once(conn, audit_head(head), key=key, at=now, correlation_id=cause)
    publish(rows)
