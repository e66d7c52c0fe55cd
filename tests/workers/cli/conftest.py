"""The command line on a database of its own, as an operator runs it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from messages_bench import SYSTEMS, Others
from operator_bench import DEMO, Operator
from parties_bench import PHONES, Loader

from workers.cli import reach
from workers.cli.reach import forget


@contextmanager
def at(url: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Operator]:
    monkeypatch.setenv("TALLYLINE_DATABASE_URL", url)
    monkeypatch.setenv("TALLYLINE_HOME", str(home))
    monkeypatch.delenv("TALLYLINE_MODE", raising=False)
    forget()
    made = Operator(url)
    try:
        yield made
    finally:
        made.owner.dispose()
        forget()


@pytest.fixture
def operator(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Operator]:
    """The commands on an empty database, embedded: this process does the work."""
    with at(database_url, monkeypatch, tmp_path) as made:
        made.empty()
        yield made


@pytest.fixture
def airports(operator: Operator) -> Operator:
    """The commands on a database with the demo's master data."""
    assert operator("master", "load", DEMO / "master.yaml").code == 0
    return operator


@pytest.fixture
def lines(tmp_path: Path) -> Callable[..., Path]:
    """Writes events as a file of JSON Lines."""

    def write(*events: object, name: str = "events.jsonl") -> Path:
        file = tmp_path / name
        file.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in events) + "\n")
        return file

    return write


@pytest.fixture
def load(operator: Operator, tmp_path: Path) -> Loader:
    """Loads files on top of the master data of a phone company."""
    loader = Loader(operator, tmp_path)
    loader.done(PHONES)
    return loader


@pytest.fixture
def others(load: Loader) -> Iterator[Others]:
    """Two other systems, each with the fields that are its own."""
    load.done(SYSTEMS)
    with reach.database():
        yield Others(load)
