"""Ann changes things, and the log is read or tampered with."""

from sqlalchemy import text

from domain.audit import verify
from workers.store import acting, audit
from workers.store.acting import Named
from workers.store.audit import Filter
from workers.store.database import engine, snapshot

ANN = Named("ann", "as agreed")


def as_ann(*statements, **values):
    """Do it with the application's rights, as ann."""
    with engine().begin() as conn:
        acting.name(conn, ANN)
        for statement in statements:
            conn.execute(text(statement), values)


def log():
    with snapshot() as conn:
        return list(reversed(audit.page(conn, Filter(), rows=1_000)))


def told(entry):
    return (entry.action, entry.subject, entry.person, entry.reason, entry.before, entry.after)


def problems(known=()):
    with snapshot() as conn:
        head = audit.head(conn)
        return [(each.no, each.kind) for each in verify(audit.entries(conn), head=lambda: head, known=known)]


def tamper(bound, statement):
    """As somebody does who owns the database and switches its triggers off."""
    bound.run(f"set local session_replication_role = replica; {statement}")
