"""An ERP that is away, busy or not known is waited for or named, and costs no attempt."""

import pytest
from billing_bench import issue, standing
from erp_faults import Faulty
from erp_two_step import TwoStepErp
from posting_bench import CONFIRMED, calls, key_of

from queues import gate as gates
from queues.gate import Pace
from workers import posting


def test_an_erp_that_is_away_costs_no_attempt(books, connected, deliver, bench):
    erp = connected(Faulty(bench.erp, away=3))
    posting = issue(books)

    deliver()

    assert standing(books, posting) == CONFIRMED
    assert erp.calls.count("post") == 1
    assert books.one("select attempts from work where step = 'post'") == 0


def test_an_erp_that_is_away_is_left_alone_by_its_other_postings(books, connected, attempt, deliver, bench):
    erp = connected(Faulty(bench.erp, away=1, away_s=10.0))
    first, second = issue(books), issue(books)

    attempt()

    assert erp.calls == ["find"]
    assert books.rows("select outcome, attempts from work where step = 'post' order by id") == [
        ("erp_away", 0), ("snooze", 0),
    ]  # fmt: skip
    deliver()
    assert standing(books, first) == standing(books, second) == CONFIRMED


def test_an_erp_that_is_away_with_redis_away_is_told_as_redis(books, connected, attempt, bench, monkeypatch):
    class Closed(gates.LocalGate):
        def pause(self, key, seconds):
            raise gates.GateClosed("no redis", delay_s=5)

    connected(Faulty(bench.erp, away=1, away_s=10.0))
    issue(books)
    closed = Closed()
    monkeypatch.setattr(posting, "gate", lambda: closed)

    attempt()

    assert books.rows("select outcome, attempts from work where step = 'post'") == [("redis_away", 0)]


def test_a_full_gate_delays_the_posting_before_any_lease_is_taken(books, connected, attempt, deliver):
    connected(TwoStepErp())
    posting = issue(books)
    pace = Pace(per_second=1000, concurrency=2, burst=2, lease_s=60)
    for _ in range(2):
        gates.gate().acquire("erp:books", pace, max_wait_s=0)

    attempt()

    assert standing(books, posting) == ("planned", "issued", "ready")
    assert calls(books, posting) == []
    assert books.one("select attempts from work where step = 'post'") == 0
    deliver()
    assert standing(books, posting) == CONFIRMED


def test_a_connection_without_an_adapter_is_named(books, deliver):
    posting = issue(books)
    books.run("update erp_connections set adapter = 'abacus'")

    deliver()

    assert standing(books, posting)[2] == "dead"
    ((code, sentence),) = books.rows("select code, sentence from exceptions")
    assert code == "erp_unreadable"
    assert "abacus" in sentence


@pytest.mark.parametrize("settings_", ['{"folder": 7}', '{"folder": ""}'])
def test_a_ledger_without_a_folder_is_named(books, deliver, settings_):
    issue(books)
    books.run("update erp_connections set adapter = 'ledger-file', settings = cast(:s as jsonb)", s=settings_)

    deliver()

    assert books.rows("select code from exceptions") == [("erp_unreadable",)]


def test_the_ledger_of_a_connection_lies_in_the_home_folder(books, deliver, monkeypatch, tmp_path):
    from queues import settings as chosen

    monkeypatch.setenv("TALLYLINE_HOME", str(tmp_path))
    chosen.settings.cache_clear()
    posting = issue(books)
    books.run("update erp_connections set adapter = 'ledger-file'")

    deliver()

    (path,) = (tmp_path / "ledgers" / "books" / "2013-01").iterdir()
    assert path.stem == key_of(books, posting)
