"""Price books in the database: their versions, plans and charges, which are added and never changed."""

from sqlalchemy import Connection, text


def metric_names(conn: Connection) -> frozenset[str]:
    """The names of all metrics."""
    return frozenset(conn.execute(text("select name from metrics")).scalars())
