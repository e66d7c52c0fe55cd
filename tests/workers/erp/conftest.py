"""Fixtures of the tests of ERPs: each ERP in turn, and a document on its way into one."""

import pytest
from billing_bench import PRICES
from erp_benches import BENCHES
from erp_faults import Crash
from posting_bench import let_time_pass, ready

import workers.post  # noqa: F401 - registers its step
from queues import gate as gates
from workers import posting_call, step
from workers.erp import registry


@pytest.fixture
def books(register, monkeypatch):
    """The register with prices and an ERP connection; nothing is posted yet."""
    register.run(PRICES)
    register.run("truncate work, erp_attempts, notices, exceptions restart identity cascade")
    gates.gate.cache_clear()
    monkeypatch.setattr(posting_call, "TURN_S", 0.2)
    return register


@pytest.fixture
def connected(monkeypatch):
    """Makes an adapter the ERP of the connection."""

    def connect(erp):
        monkeypatch.setitem(registry.ADAPTERS, "test-erp", lambda _connection: erp)
        return erp

    return connect


@pytest.fixture
def attempt(books):
    """Run each ready row once, as a worker would; whether one died of it."""

    def run() -> bool:
        died = False
        for each in ready(books):
            try:
                step.perform("post", [each])
            except Crash:
                died = True
        return died

    return run


@pytest.fixture
def deliver(books, attempt):
    """Run what is ready and let time pass, until nothing is ready any more."""

    def run(rounds: int = 20) -> None:
        for _ in range(rounds):
            if not ready(books):
                return
            attempt()
            let_time_pass(books)
        raise AssertionError("the posting never ends")

    return run


@pytest.fixture(params=sorted(BENCHES))
def bench(request, tmp_path):
    """Each ERP in turn; a new ERP joins by a line in `BENCHES`."""
    return BENCHES[request.param](tmp_path)
