"""Retention: which bodies may be erased, and their erasure; the database itself holds the conditions."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from workers.store import audit

#: Receipts erased in one transaction.
PORTION: int = 500


@dataclass(frozen=True, slots=True)
class Erased:
    """How many receipts, and how many bytes of bodies."""

    receipts: int
    bytes: int


def erasable(conn: Connection, *, days: int, portion: int = PORTION) -> Erased:
    """What one portion would erase now; nothing is changed."""
    return _counted(conn, "erasable_receipts", days, portion)


def erase(conn: Connection, *, days: int, portion: int = PORTION) -> Erased:
    """Erase the bodies of one portion and keep their hashes, in the caller's transaction.

    Only of receipts older than `days` about which nothing is open, and of whose usage every period is closed.
    """
    return _counted(conn, "erase_receipts", days, portion)


def _counted(conn: Connection, function: str, days: int, portion: int) -> Erased:
    row = conn.execute(
        text(f"select count(*) as receipts, coalesce(sum(bytes), 0)::bigint as bytes from {function}(:days, :portion)"),
        {"days": days, "portion": portion},
    ).one()
    return Erased(row.receipts, row.bytes)


def record(conn: Connection, erased: Erased) -> None:
    """Write into the audit log, under the person who is named, what a portion erased; nothing if that is nothing."""
    if erased.receipts:
        audit.record(conn, "retention.erase", "receipts", after={"receipts": erased.receipts, "bytes": erased.bytes})


def erase_messages(conn: Connection, *, days: int, portion: int = PORTION) -> int:
    """Erase the bodies of one portion of master data messages that were settled `days` ago; how many.

    Refused ones keep theirs, as they may be tried again. The caller has named the person, and holds the audit log.
    """
    row = conn.execute(
        text("select count(*) as n, coalesce(sum(bytes), 0)::bigint as bytes from erase_messages(:days, :portion)"),
        {"days": days, "portion": portion},
    ).one()
    if row.n:
        audit.record(conn, "retention.erase", "messages", after={"messages": row.n, "bytes": row.bytes})
    return int(row.n)
