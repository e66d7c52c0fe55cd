"""A database and a virtual host for one run, on the servers around us, gone afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from infra.bench.workload import register
from queues.definitions import definitions
from queues.rabbit_api import RabbitApi
from workers.store.database import migrate


class ServersMissing(Exception):
    """The benchmarks run inside the stack: `make bench`, or `python -m infra.stack -- python -m infra.bench`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run takes place."""

    database_url: str
    amqp_url: str
    redis_url: str

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the processes of the line."""
        return {
            "TALLYLINE_MODE": "fleet",
            "TALLYLINE_DATABASE_URL": self.database_url,
            "TALLYLINE_AMQP_URL": self.amqp_url,
            "TALLYLINE_REDIS_URL": self.redis_url,
            "TALLYLINE_METRICS_PORT": "0",  # any: another fleet may run on this machine
        }


def named(variable: str) -> str:
    """An address from the environment. Raises `ServersMissing`."""
    value = os.environ.get(variable)
    if not value:
        raise ServersMissing(f"{variable} is not set: run `make bench`")
    return value


@contextmanager
def place(*, metrics: int = 1, template: str | None = None) -> Iterator[Place]:
    """An empty line: a migrated database with the master data of the bench, a virtual host with all queues.

    With `template` the database is a copy of that one instead.
    """
    with database(template=template) as database_url, virtual_host() as vhost:
        if template is None:
            migrate(database_url)
            register(database_url, metrics=metrics, user=user())
        yield Place(database_url, vhost, named("TALLYLINE_REDIS_URL"))


@contextmanager
def database(*, template: str | None = None) -> Iterator[str]:
    """The URL of an empty database, or of a copy of `template`; it is dropped in the end."""
    url, name = named("TALLYLINE_DATABASE_URL"), f"bench_{uuid4().hex[:8]}"
    origin = f' template "{template}" strategy file_copy' if template else ""
    _administer(url, f'create database "{name}"{origin}')
    try:
        yield at(url, name)
    finally:
        _administer(url, f'drop database "{name}" with (force)')
        _administer(url, "checkpoint")  # the next run starts with nothing to write back


def user() -> str:
    """Who sends the events."""
    return unquote(urlsplit(named("TALLYLINE_AMQP_URL")).username or "")


@contextmanager
def virtual_host() -> Iterator[str]:
    """The AMQP URL of a virtual host with all queues; it is deleted in the end."""
    name = f"bench-{uuid4().hex[:8]}"
    api = RabbitApi(named("TALLYLINE_RABBIT_API_URL"), vhost=name)
    api.put_vhost(administrator=user())
    try:
        api.import_definitions(definitions((), vhost=name))
        yield at(named("TALLYLINE_AMQP_URL"), name)
    finally:
        api.delete_vhost()


def at(url: str, path: str) -> str:
    """The address of another database or virtual host on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


def _administer(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(statement)
