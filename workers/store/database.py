"""Connections: one engine a process, least rights on every session, and the migrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from queues.settings import settings

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).resolve().parents[2] / "infra" / "migrations"

#: Sessions give up a statement after this; the longest set-based step is far below it.
STATEMENT_TIMEOUT_S = 120
#: What every session runs with. A batch of thirty thousand usages is joined and sorted in memory.
SESSION = {
    "timezone": "UTC",
    "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
    "work_mem": "32MB",
    "plan_cache_mode": "force_custom_plan",
}
#: A peer that vanished without a word is noticed after about 11 seconds.
KEEPALIVES = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "connect_timeout": 10}


#: SQLSTATE classes of a server that is going, coming or full: connection, shutdown, too many connections.
AWAY_STATES = ("08", "57P", "53300")


class DatabaseUrlMissing(Exception):
    """No database is named: set TALLYLINE_DATABASE_URL, or use a command that starts the embedded one."""


def _dialect(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def make_engine(url: str, *, pool_size: int = 4) -> Engine:
    """An engine whose sessions run in UTC and hold no more rights than the application role."""
    engine = create_engine(
        _dialect(url),
        pool_size=pool_size,
        max_overflow=2,
        pool_pre_ping=True,
        hide_parameters=True,  # an error goes into logs, the ledger and Sentry; a customer's data do not
        isolation_level="READ COMMITTED",
        connect_args={**KEEPALIVES, "options": " ".join(f"-c {name}={value}" for name, value in SESSION.items())},
    )

    @event.listens_for(engine, "connect")
    def least_rights(connection: psycopg.Connection[object], _record: object) -> None:
        connection.autocommit = True
        connection.execute("set role tallyline_app")
        connection.autocommit = False

    return engine


_making = Lock()


def engine() -> Engine:
    """The engine of this process; workers fork before they import, so it is never shared."""
    with _making:  # two threads that both come first must not make two, one of which nobody would dispose
        return _engine()


@cache
def _engine() -> Engine:
    url = settings().database_url
    if url is None:
        raise DatabaseUrlMissing(
            "no database: set TALLYLINE_DATABASE_URL, or run `tallyline demo` for the embedded one"
        )
    return make_engine(url.get_secret_value(), pool_size=settings().pool_size)


def forget_engine() -> None:
    """Close the connections of this process's engine; the next use makes another, for the settings of then."""
    with _making:
        if _engine.cache_info().currsize:
            _engine().dispose()
        _engine.cache_clear()


@contextmanager
def snapshot() -> Iterator[Connection]:
    """A read-only connection whose every statement sees the same moment."""
    with engine().connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as conn:
        yield conn


@contextmanager
def planned_once(conn: Connection) -> Iterator[None]:
    """Let a statement that finds a few rows by index keep its plan in the session: planning takes longer than it does.

    Elsewhere each execution is planned for what it is given (`SESSION`): how much a batch holds decides how it is read.
    """
    conn.execute(text("set local plan_cache_mode = force_generic_plan"))
    yield
    conn.execute(text(f"set local plan_cache_mode = {SESSION['plan_cache_mode']}"))


def is_away(error: Exception) -> bool:
    """Whether the error says that the database does not answer, and nothing about what was asked."""
    if isinstance(error, PoolTimeout):
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    sqlstate = getattr(cause, "sqlstate", None)
    return isinstance(cause, psycopg.OperationalError) and (sqlstate is None or sqlstate.startswith(AWAY_STATES))


def raw(conn: Connection) -> psycopg.Connection[Any]:
    """The psycopg connection below `conn`, for COPY; it stays in the same transaction."""
    driver = conn.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _alembic(url: str) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def migrate(url: str) -> None:
    """Bring the database at `url` to the newest schema; needs the owner's rights, does nothing when it is there."""
    from alembic import command  # only who migrates loads alembic; the workers of a fleet do not

    command.upgrade(_alembic(url), "head")


def schema_revisions(url: str) -> tuple[str | None, str | None]:
    """The schema revision the database at `url` has, and the one that this code needs."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    needed = ScriptDirectory.from_config(_alembic(url)).get_current_head()
    probe = create_engine(_dialect(url), connect_args=KEEPALIVES)
    try:
        with probe.connect() as conn:
            return MigrationContext.configure(conn).get_current_revision(), needed
    finally:
        probe.dispose()
