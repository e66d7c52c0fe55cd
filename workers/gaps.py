"""Looks for numbers that never came: as a tick, when an embedded line has settled, and before a period is frozen."""

from sqlalchemy import Connection

from workers.store import losses, sequences
from workers.store.database import engine


def tick() -> None:
    """Tell the gaps that are older than their source's grace, resolve those that are filled, estimate what is lost."""
    _look(at_once=False)


def look_now() -> None:
    """Tell every gap there is, whatever its age."""
    _look(at_once=True)


def _look(*, at_once: bool) -> None:
    while True:
        with engine().begin() as conn:
            sequences.lock(conn)
            if sequences.fold(conn):
                continue  # in transactions of their own: a backlog of marks holds nobody up for long
            sequences.tell(conn, at_once=at_once)
            losses.estimate(conn)
            return


def look_within(conn: Connection) -> None:
    """Tell every gap there is, in a transaction that holds the lock and the fence: what it costs stays unknown yet."""
    while sequences.fold(conn):
        continue
    sequences.tell(conn, at_once=True)
