"""The line: receipts, events, attributions, aggregates, work, exceptions, documents, postings.

Hot tables (usage_events, attributions, aggregates and what hangs on them) carry no foreign keys: a key check costs more
than the insert it guards. Their ids come from one set-based join over tables that do carry them, and the nightly
recompute names any orphan. Everything that finance reads has foreign keys that restrict.
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQL = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Create every table, function and grant of the first version."""
    # psycopg reads a percent sign as a parameter as soon as parameters are given; the script has many and none of those
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: a ledger is never un-created; restore a backup instead."""
    raise NotImplementedError("0001 cannot be undone: restore a backup taken before the migration")
