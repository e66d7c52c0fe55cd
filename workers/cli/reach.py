"""Reaches the database a command works on: the one named in the environment, or the embedded one of the home folder."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from queues.settings import settings
from queues.telemetry import configure_logging
from workers.cli.console import AWAY, Failure
from workers.embedded.postgres import running_postgres
from workers.store import appraisal
from workers.store import database as store

DATABASE_URL = "TALLYLINE_DATABASE_URL"


def is_fleet() -> bool:
    """Whether workers of a fleet do the work, or this process has to do it itself."""
    return settings().mode == "fleet"


def home() -> Path:
    """The folder of the embedded run."""
    return settings().home


def is_there() -> bool:
    """Whether a database is named, or the home folder has one."""
    return settings().database_url is not None or is_fleet() or (home() / "pg").is_dir()


@contextmanager
def database() -> Iterator[None]:
    """Make `store.database.engine()` reach a database; the embedded one runs while the block does.

    Raises `Failure` if none is named and the home folder has none, and what `running_postgres` raises.
    """
    if settings().database_url is not None:
        try:
            with logs_to(None):
                yield
        finally:
            forget()
        return
    if is_fleet():
        raise Failure(
            "no database is named", fix=f"set {DATABASE_URL}=postgresql://user:password@host:port/name", code=AWAY
        )
    if not (home() / "pg").is_dir():
        fix = f"run `tallyline demo` here, set TALLYLINE_HOME to its folder, or set {DATABASE_URL}"
        raise Failure(f"there is no database yet: {home()} is empty and no server is named", fix=fix, code=AWAY)
    with embedded():
        yield


@contextmanager
def embedded() -> Iterator[None]:
    """Run the embedded PostgreSQL of the home folder, migrated, and make the engine reach it."""
    former = os.environ.get(DATABASE_URL)
    with running_postgres(home(), durable=True) as server:
        os.environ[DATABASE_URL] = server.url
        forget()
        try:
            store.migrate(server.url)
            with logs_to(home() / "log.jsonl"):
                yield
        finally:
            del os.environ[DATABASE_URL]
            if former is not None:
                os.environ[DATABASE_URL] = former
            forget()


@contextmanager
def logs_to(file: Path | None) -> Iterator[None]:
    """Write the logs of this process to a file, a JSON object a line, or drop them: a command talks for itself."""
    former, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    with (file or Path(os.devnull)).open("a", encoding="utf-8") as opened:
        configure_logging(stream=opened, style="json")
        try:
            yield
        finally:
            structlog.configure(**former)
            root.handlers = handlers
            root.setLevel(level)


def appraise() -> None:
    """Price the open exceptions before they are shown, where no scheduler of a fleet has done it."""
    if not is_fleet():
        appraisal.settle(store.engine())


def forget() -> None:
    """Close the connections of this process and read the settings anew."""
    store.forget_engine()
    settings.cache_clear()
