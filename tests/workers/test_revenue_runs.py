"""Accounting periods: what is due is recognised once, whatever comes between; what changes is caught up with."""

import os
import signal
import subprocess
import sys
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from workers import recognising
from workers.erp import registry
from workers.erp.ledger_file import LedgerFile
from workers.store import repairs, revenue_runs
from workers.store.database import engine, snapshot
from workers.store.revenue_runs import AccountingPeriod

sys.path.append(str(Path(__file__).parent / "erp"))
from erp_faults import Faulty

DEFERRED = "liabilities:deferred-revenue"


def waterfall(period: str):
    """(opening, added, released, closing) of the one balance of a period."""
    with snapshot() as conn:
        (row,) = revenue_runs.waterfall(conn, AccountingPeriod("pony", date.fromisoformat(f"{period}-01")))
    return tuple(f"{each:.2f}" for each in (row.opening, row.added, row.released, row.closing))


def test_each_accounting_period_recognises_its_days_of_an_annual_fee(year):
    assert year.recognise("2024-01") == {"2024-01": "55.74"}
    assert year.recognise("2024-02") == {"2024-02": "95.08"}

    assert waterfall("2024-01") == ("0.00", "1200.00", "55.74", "1144.26")
    assert waterfall("2024-02") == ("1144.26", "0.00", "95.08", "1049.18")
    assert year.balance("revenue:fees", until="2024-01-30") == 0
    assert year.balance("revenue:fees", until="2024-01-31") == Decimal("-55.74")


def test_a_run_that_comes_late_books_every_period_in_its_own_month(year):
    assert year.recognise("2024-03") == {"2024-01": "55.74", "2024-02": "95.08", "2024-03": "101.64"}

    assert waterfall("2024-02") == ("1144.26", "0.00", "95.08", "1049.18")


def test_all_of_it_is_earned_in_the_end_and_nothing_is_left(year):
    year.recognise("2025-01")

    assert year.balance("revenue:fees") == -1200
    assert year.balance(DEFERRED) == 0
    assert waterfall("2025-01") == ("45.90", "0.00", "45.90", "0.00")


def test_a_run_twice_or_of_an_earlier_period_changes_nothing(year):
    year.recognise("2024-03")
    before = year.bound.rows("select * from postings order by 1, 2")

    assert [year.recognise(period) for period in ("2024-03", "2024-01")] == [{}, {}]
    assert year.bound.rows("select * from postings order by 1, 2") == before


def test_two_runs_at_once_recognise_once(year):
    other = threading.Thread(target=lambda: year.recognise("2024-06"))
    other.start()
    year.recognise("2024-06")
    other.join(timeout=30)

    # 17 + 29 + 31 + 30 + 31 + 30 = 168 of 366 days
    assert year.balance("revenue:fees") == Decimal("-550.82")
    assert year.bound.one("select count(*) from recognitions") == 6


RUN = """
import os, signal, sys
from datetime import date
from workers import recognising
from workers.store import acting
from workers.store.acting import Named
from workers.store.database import engine
from workers.store.revenue_runs import AccountingPeriod
with engine().begin() as conn:
    acting.name(conn, Named("ann", "to be killed"))
    recognising.recognise(conn, AccountingPeriod("pony", date(2024, 6, 1)))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_before_its_commit_leaves_nothing_and_the_next_does_all_of_it(year):
    environment = os.environ | {"TALLYLINE_DATABASE_URL": year.bound.url}
    killed = subprocess.run([sys.executable, "-c", RUN], env=environment, check=False, timeout=60)

    assert killed.returncode == -signal.SIGKILL
    assert year.bound.one("select count(*) from recognitions") == 0
    year.recognise("2024-06")
    assert year.balance("revenue:fees") == Decimal("-550.82")


def test_the_tick_recognises_what_has_ended_and_says_so_in_the_audit_log(year):
    recognising.tick()
    recognising.tick()

    assert year.balance("revenue:fees") == -1200  # all of it lies in the past
    ((subject, after),) = year.bound.rows(
        "select subject, after from audit_log where action = 'revenue.run' and person = 'tallyline'"
    )
    assert (subject[:5], Decimal(after["USD"])) == ("pony/", 1200)


def test_a_credit_note_in_month_5_for_a_year_that_ends_early_gives_back_what_was_still_to_be_earned(year):
    year.recognise("2024-04")

    year.bound.run("update subscriptions set ends_at = '2024-05-16 04:00Z' where ref = 's-ua'")
    year.bill(year.bound.one("select id from billing_periods"), posting_on="2024-05-31")

    # 122 of 366 days are 400.00; of May 15 days, 49.18, are earned instead of 101.64; the months after are given back
    assert year.schedule("PONY-C000001") == {
        "2024-05": "-52.46", "2024-06": "-98.36", "2024-07": "-101.64", "2024-08": "-101.64", "2024-09": "-98.36",
        "2024-10": "-101.64", "2024-11": "-98.36", "2024-12": "-101.64", "2025-01": "-45.90",
    }  # fmt: skip
    assert year.recognise("2024-05") == {"2024-05": "49.18"}
    # 1,200.00 - 55.74 - 95.08 - 101.64 - 98.36 were left; 800.00 are given back, 49.18 earned
    assert waterfall("2024-05") == ("849.18", "-800.00", "49.18", "0.00")
    assert year.recognise("2025-01") == dict.fromkeys([f"2024-{n:02d}" for n in range(6, 13)] + ["2025-01"], "0.00")
    assert year.balance("revenue:fees") == -400


def test_a_price_that_is_lowered_for_the_whole_year_is_caught_up_with_in_the_month_it_is_posted(year):
    year.recognise("2024-04")

    year.price_anew("900", starts_at="2020-01-01 00:00Z")
    year.bill(year.bound.one("select id from billing_periods"), posting_on="2024-05-31")

    # 900 / 366 a day: 41.80 + 71.31 + 76.23 + 73.77 + 76.23 = 339.34 to the end of May, instead of 452.46
    schedule = year.schedule("PONY-C000001")
    assert schedule["2024-05"] == "-113.12"
    assert schedule["2024-06"] == "-24.59"  # 73.77 - 98.36
    assert sum(map(Decimal, schedule.values())) == -300
    assert year.recognise("2024-05") == {"2024-05": "-11.48"}  # 101.64 - 113.12
    assert year.balance("revenue:fees") == Decimal("-339.34")
    year.recognise("2025-01")
    assert (year.balance("revenue:fees"), year.balance(DEFERRED)) == (-900, 0)


@pytest.mark.parametrize(("recognised_until", "earned"), [("2023-12", "0"), ("2024-02", "150.82")])
def test_a_document_that_is_void_earns_nothing_in_the_end(books, monkeypatch, recognised_until, earned):
    books.month.ledger.mkdir(parents=True)
    erp = Faulty(LedgerFile(books.month.ledger))
    monkeypatch.setitem(registry.ADAPTERS, "ledger-file", lambda _connection: erp)
    erp.plan.append("refused")
    books.month.approve(books.request(books.period("2024-01-15", "2025-01-15"), posting_on="2024-01-15"))
    books.recognise(recognised_until)

    with engine().begin() as conn:
        repairs.request(conn, repairs.Wanted("PONY-000001", "void", "ann", "the customer was wrong"))
    books.month.work()

    assert books.bound.one("select state from invoices where number_text = 'PONY-000001'") == "void"
    assert books.schedule("PONY-000001") == {}
    assert (books.balance(DEFERRED), books.balance("revenue:fees")) == (Decimal(earned), -Decimal(earned))
    books.recognise("2024-02")
    assert (books.balance(DEFERRED), books.balance("revenue:fees")) == (0, 0)
    books.recognise("2025-01")
    assert (books.balance(DEFERRED), books.balance("revenue:fees")) == (0, 0)
