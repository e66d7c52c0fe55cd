"""Close calendar: cycles of months, when a period is billed, and until when it is closed."""

from pathlib import Path

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SQL = Path(__file__).with_suffix(".sql")


def upgrade() -> None:
    """Add what the version needs."""
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SQL.read_text(encoding="utf-8"))


def downgrade() -> None:
    """Refuse: a ledger is never un-created; restore a backup instead."""
    raise NotImplementedError("0019 cannot be undone: restore a backup taken before the migration")
