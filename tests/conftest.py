"""Fixtures of all tests: the servers of the stack around us, and something fresh on each of them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

#: A test that asks for one of these fixtures needs that server, and is marked so.
_MARKS = {"postgres_url": "postgres", "amqp_url": "rabbitmq", "rabbit_api_url": "rabbitmq", "redis_url": "redis"}
#: Every test in these folders is fast; elsewhere a fast one says so itself.
_FAST_FOLDERS = {"domain", "tidy"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the servers they ask for, and those of the fast folders."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in _MARKS:
                item.add_marker(_MARKS[fixture])
        if item.path.parent.name in _FAST_FOLDERS:
            item.add_marker("fast")


def _named(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.fail(
            f"{variable} is not set. Real servers are needed here: run `make test`, "
            "or `python -m infra.stack -- python -m pytest ...`; `pytest -m fast` needs none.",
            pytrace=False,
        )
    return value


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What an embedded run writes goes to a folder of the tests, not into the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TALLYLINE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A database of the stack's PostgreSQL, with the owner's rights; make your own beside it."""
    return _named("TALLYLINE_DATABASE_URL")


@pytest.fixture(scope="session")
def amqp_url() -> str:
    """The stack's RabbitMQ, on the vhost `/` that all share; `vhost` is a fresh one."""
    return _named("TALLYLINE_AMQP_URL")


@pytest.fixture(scope="session")
def rabbit_api_url() -> str:
    """The API of the RabbitMQ console, with user and password."""
    return _named("TALLYLINE_RABBIT_API_URL")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The stack's Redis; use keys of your own."""
    return _named("TALLYLINE_REDIS_URL")


@pytest.fixture(scope="session")
def new_database(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Makes one more migrated, empty database and returns its URL; all of them are dropped in the end."""
    run = uuid4().hex[:8]
    made: list[str] = []

    def make(template: str | None) -> str:
        name = f"test_{run}_{len(made)}"
        with _administrator(postgres_url) as conn:
            conn.execute(f'create database "{name}"' + (f' template "{template}"' if template else ""))
        made.append(name)
        return name

    from workers.store.database import migrate

    template = make(None)
    migrate(_at(postgres_url, template))
    yield lambda: _at(postgres_url, make(template))
    with _administrator(postgres_url) as conn:
        for name in reversed(made):
            conn.execute(f'drop database "{name}" with (force)')


@pytest.fixture(scope="module")
def database_url(new_database: Callable[[], str]) -> str:
    """A migrated database that this module has for itself."""
    return new_database()


@pytest.fixture
def vhost(amqp_url: str, rabbit_api_url: str) -> Iterator[str]:
    """The AMQP URL of a vhost that this test has for itself."""
    from queues.rabbit_api import RabbitApi

    name = f"test-{uuid4().hex[:8]}"
    api = RabbitApi(rabbit_api_url, vhost=name)
    api.put_vhost(administrator=urlsplit(amqp_url).username or "")
    yield _at(amqp_url, name)
    api.delete_vhost()


def _at(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


@contextmanager
def _administrator(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True) as conn:
        yield conn
