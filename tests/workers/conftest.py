"""What tests of steps share: this process bound to a database of the module, a small register, and a drain."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from billing_bench import PRICES
from billing_month import EMPTY, SECOND, Month
from line_bench import REGISTER, Bound
from revenue_year import CLEAN, Books
from sqlalchemy import create_engine
from usage_line import Line

from queues import gate as gates
from queues.contracts import Delivery
from queues.settings import settings
from workers import step
from workers.store import receipts
from workers.store.database import engine, forget_engine


@pytest.fixture
def bound(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bound]:
    """Bind this process to the module's database; hints are recorded, not sent."""
    monkeypatch.setenv("TALLYLINE_DATABASE_URL", database_url)
    settings.cache_clear()
    forget_engine()
    owner = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
    bound = Bound(database_url, owner)

    def record(name: str, ids: Sequence[int], **how: Any) -> None:
        bound.hints.append((name, tuple(ids), how.get("delay_s", 0)))

    monkeypatch.setattr(step.hints, "send", record)
    yield bound
    owner.dispose()
    settings.cache_clear()
    forget_engine()


@pytest.fixture
def register(bound: Bound) -> Bound:
    """A source, a meter with three metrics, and one subscription that the subject UA leads to."""
    with bound.owner.begin() as conn:
        conn.exec_driver_sql(REGISTER)
    return bound


@pytest.fixture
def receive(bound: Bound) -> Callable[..., int]:
    """Store deliveries as one receipt, as intake does; its number."""

    def store(*deliveries: Delivery) -> int:
        with engine().begin() as conn:
            receipts.store(conn, "intake", deliveries)
        return int(bound.one("select max(id) from receipts"))

    return store


@pytest.fixture
def drain(bound: Bound) -> Callable[..., int]:
    """Run every due row of these steps until none is left; how many were run."""
    import workers.aggregate
    import workers.enrich
    import workers.validate  # noqa: F401 -- registers its step

    def run(*steps: str) -> int:
        done = 0
        for _ in range(200):
            due = bound.rows(
                """select step, array_agg(id order by id) from work where state = 'ready' and due_at <= now()
                and step = any(:steps) group by step order by step""",
                steps=list(steps or ("validate", "enrich", "aggregate")),
            )
            if not due:
                return done
            for name, ids in due:
                step.perform(name, ids)
                done += len(ids)
        raise AssertionError("the work never ends")

    return run


@pytest.fixture
def line(new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """The first steps on a database that the test has for itself, for tests of what happens at once."""
    made = Line(new_database(), monkeypatch)
    yield made
    made.close()


@pytest.fixture
def month(register: Bound, receive: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Month:
    """March 2026 of two airlines, nothing sent yet, with a ledger file as its ERP."""
    import workers.aggregate
    import workers.close
    import workers.enrich
    import workers.notify
    import workers.post
    import workers.rate
    import workers.tax
    import workers.validate  # noqa: F401 -- registers its step

    monkeypatch.setenv("TALLYLINE_HOME", str(tmp_path))
    settings.cache_clear()
    gates.gate.cache_clear()
    for statements in (EMPTY, SECOND, PRICES):
        register.run(statements)
    register.run("update erp_connections set adapter = 'ledger-file'")
    return Month(register, receive, tmp_path / "ledgers" / "books")


@pytest.fixture
def books(month: Month) -> Iterator[Books]:
    """The books of the month's legal entity, with an annual fee sold."""
    made = Books(month)
    made.sell()
    yield made
    for statement in CLEAN:
        month.bound.run(statement)


@pytest.fixture
def year(books: Books) -> Books:
    """The fee of 1,200.00 from 15 January 2024 for a year, billed and posted on its first day."""
    books.bill(books.period("2024-01-15", "2025-01-15"), posting_on="2024-01-15")
    return books
