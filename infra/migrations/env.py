"""How alembic reaches the database: the URL comes from the caller, never from a file."""

from alembic import context
from sqlalchemy import create_engine, pool

URL = context.config.get_main_option("sqlalchemy.url") or ""


def run() -> None:
    """Apply the migrations in one transaction."""
    engine = create_engine(URL.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=pool.NullPool)
    with engine.connect() as conn:
        context.configure(connection=conn, transactional_ddl=True)
        with context.begin_transaction():
            context.run_migrations()


run()
