"""The fence between work that decides by slowly changing data and the change of that data.

Without it enrich finds no contract while the one who publishes it finds nothing parked, and a cut-off by time gives one
total now and another later. `share` and `take` must be the first statement of their transaction that reads such data.
"""

from sqlalchemy import Connection, text

#: The advisory lock's key; nothing else in the database uses this class.
FENCE = 0x54414C4C


def share(conn: Connection) -> None:
    """Hold the fence with others until the transaction ends: nobody changes contracts, mappings, periods or lots."""
    conn.execute(text("select pg_advisory_xact_lock_shared(:key)"), {"key": FENCE})


def take(conn: Connection) -> None:
    """Hold the fence alone until the transaction ends; never call it after `share`, and commit within 50 ms."""
    conn.execute(text("select pg_advisory_xact_lock(:key)"), {"key": FENCE})
