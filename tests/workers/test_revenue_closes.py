"""Closing an accounting period: what is earned and not billed is accrued once, reversed on day one, and then stays."""

import os
import signal
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from revenue_year import CLEAN, Books
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from domain.revenue import AccountingPeriodBlocked, AccountingPeriodClosed
from workers import accruing
from workers.erp import registry
from workers.erp.ledger_file import LedgerFile
from workers.store import acting, billing_runs, repairs
from workers.store.acting import Named
from workers.store.database import engine

sys.path.append(str(Path(__file__).parent / "erp"))
from erp_faults import Faulty

ASSET, DEFERRED = "assets:contract-asset", "liabilities:deferred-revenue"
#: Three departures, 3 x 41.2575 = 123.7725, and one aircraft, 118.12505, each rounded.
JUNE = Decimal("241.90")
REVENUE = """select coalesce(-sum(p.amount), 0) from postings p join journal_entries j on j.id = p.journal_entry_id
  where p.ledger_account like 'revenue:%' and j.posting_on >= cast(:a as date) and j.posting_on < cast(:b as date)"""


@pytest.fixture
def books(month):
    yield Books(month)
    for statement in CLEAN:
        month.bound.run(statement)


@pytest.fixture
def june(books):
    """Three departures of United in June that no document holds."""
    books.use_in_june("u1", "u2", "u3")
    return books


def revenue(books, first_on: str, end_on: str) -> Decimal:
    return Decimal(books.bound.one(REVENUE, a=first_on, b=end_on))


def test_unbilled_usage_of_june_is_accrued_on_its_last_day_and_reversed_on_the_first_of_july(june):
    closing = june.close("2026-06")

    assert (closing.accrued, closing.unpriced) == ({"USD": JUNE}, 0)
    assert june.balance(ASSET, until="2026-06-29") == 0
    assert june.balance(ASSET, until="2026-06-30") == JUNE
    assert june.balance(ASSET, until="2026-07-01") == 0
    assert revenue(june, "2026-06-01", "2026-07-01") == JUNE
    entries = june.bound.rows("select kind, posting_on, currency from journal_entries order by posting_on")
    assert entries == [
        ("accrual", date(2026, 6, 30), "USD"), ("accrual_reversal", date(2026, 7, 1), "USD"),
    ]  # fmt: skip


def test_what_was_accrued_is_earned_once_when_its_document_comes_in_july(june):
    june.close("2026-06")

    june.bill(june.period_of("2026-06-01"), posting_on="2026-07-05")

    assert june.schedule("PONY-000001") == {"2026-07": "241.90"}
    assert june.bound.one("select distinct earned_in from revenue_schedules") == date(2026, 6, 1)
    assert revenue(june, "2026-06-01", "2026-07-01") == JUNE
    assert revenue(june, "2026-07-01", "2026-08-01") == 0
    june.close("2026-07")
    assert june.balance(ASSET) == 0


def test_usage_that_comes_after_the_close_is_earned_in_the_period_of_its_document(june):
    june.close("2026-06")
    june.use_in_june("u4")

    june.bill(june.period_of("2026-06-01"), posting_on="2026-07-05")

    # 4 x 41.2575 = 165.03 instead of 123.77
    assert revenue(june, "2026-07-01", "2026-08-01") == Decimal("41.26")


def test_a_document_that_is_posted_in_july_before_june_is_closed_is_accrued_in_june_too(june):
    june.bill(june.period_of("2026-06-01"), posting_on="2026-07-05")

    assert june.close("2026-06").accrued == {"USD": JUNE}

    assert revenue(june, "2026-06-01", "2026-07-01") == JUNE
    assert revenue(june, "2026-07-01", "2026-08-01") == 0
    assert june.bound.one("select count(*) from accruals where invoice_id is null") == 0


def test_what_is_billed_in_june_is_not_accrued(june):
    june.bill(june.period_of("2026-06-01"), posting_on="2026-06-30")

    assert june.close("2026-06").accrued == {}


def test_late_usage_of_a_billed_month_is_accrued_by_the_difference(june):
    june.bill(june.period_of("2026-06-01"), posting_on="2026-06-30")
    june.use_in_june("u4")

    assert june.close("2026-06").accrued == {"USD": Decimal("41.26")}


def test_what_an_account_is_parked_with_is_accrued_as_what_the_next_run_bills(june):
    june.bound.run("""update legal_entities set breakers = '{"lines_max": 1}'""")
    try:
        run = june.request(june.period_of("2026-06-01"), posting_on="2026-06-30")
        june.month.approve(run)
        assert june.bound.one("select count(*) from account_holds") > 0

        assert june.close("2026-06").accrued == {"USD": JUNE}
    finally:
        june.bound.run("update legal_entities set breakers = '{}'")


def test_a_fee_of_a_period_that_goes_on_is_accrued_by_its_days(books):
    books.sell()
    books.bound.run("update subscriptions set starts_at = '2026-06-15 04:00Z'")
    books.period("2026-06-15", "2026-07-15")

    # 16 of 30 days of 1,200.00
    assert books.close("2026-06").accrued == {"USD": Decimal("640.00")}


def test_closing_recognises_what_is_due(books):
    books.sell()
    books.bill(books.period("2024-01-15", "2025-01-15"), posting_on="2024-01-15")

    closing = books.close("2024-01")

    assert [each.amount for each in closing.recognised] == [Decimal("55.74")]
    assert books.balance(DEFERRED) == Decimal("-1144.26")


def test_a_subscription_whose_usage_has_no_price_is_told_and_not_accrued(june):
    june.bound.run("delete from prices where metric_id = (select id from metrics where name = 'departures')")

    closing = june.close("2026-06")

    assert (closing.accrued, closing.unpriced) == ({}, 1)
    assert june.bound.one("select unpriced from accounting_periods") == 1


def test_a_period_is_closed_once_and_in_order(june):
    june.close("2026-06")

    for period in ("2026-06", "2026-05"):
        with pytest.raises(AccountingPeriodClosed, match=f"pony/{period} is closed"):
            june.close(period)
    with pytest.raises(AccountingPeriodBlocked, match="2026-07 is closed first"):
        june.close("2026-08")
    assert june.bound.one("select count(*) from journal_entries") == 2


def test_no_period_is_closed_while_a_run_has_sealed_usage_and_not_issued_its_documents(june):
    run = june.request(june.period_of("2026-06-01"), posting_on="2026-07-05")

    with pytest.raises(AccountingPeriodBlocked, match=f"have not issued their documents: {run}"):
        june.close("2026-06")

    june.month.approve(run)
    june.close("2026-06")


def test_where_more_is_unbilled_than_can_be_looked_at_billing_comes_first(june, monkeypatch):
    monkeypatch.setattr(accruing, "PREVIEWED_MAX", 0)

    with pytest.raises(AccountingPeriodBlocked, match="more than 0 subscriptions are not billed"):
        june.close("2026-06")


CLOSE = """
import os, signal
from datetime import date
from workers import accruing
from workers.store import acting
from workers.store.acting import Named
from workers.store.database import engine
from workers.store.revenue_runs import AccountingPeriod
with engine().begin() as conn:
    acting.name(conn, Named("ann", "to be killed"))
    accruing.close(conn, AccountingPeriod("pony", date(2026, 6, 1)), person="ann", reason="to be killed")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_close_that_is_killed_before_its_commit_leaves_nothing_and_is_done_again(june):
    environment = os.environ | {"TALLYLINE_DATABASE_URL": june.bound.url}
    killed = subprocess.run([sys.executable, "-c", CLOSE], env=environment, check=False, timeout=60)

    assert killed.returncode == -signal.SIGKILL
    for table in ("journal_entries", "accruals", "accounting_periods"):
        assert june.bound.one(f"select count(*) from {table}") == 0
    assert june.close("2026-06").accrued == {"USD": JUNE}


def attempt(statement: str) -> None:
    with engine().begin() as conn:
        conn.execute(text("select set_config('tallyline.person', 'eve', true)"))
        conn.execute(text(statement))


ENTRY = "insert into journal_entries (kind, legal_entity_id, posting_on, currency, description) values "
CLOSED = "insert into accounting_periods (legal_entity_id, period, closed_by, reason) values "
ACCRUED = """insert into accruals (legal_entity_id, period, subscription_id, billing_period_id, metric_id, currency,
  revenue_account, asset_account, amount) select 'pony', '2026-06-01', subscription_id, billing_period_id, metric_id,
  'USD', 'r', 'a', 1 from accruals limit 1"""
SCHEDULED = """insert into revenue_schedules (invoice_id, invoice_line_id, earned_in, period, amount, method,
  is_deferred, legal_entity_id, currency, revenue_account, deferred_account, asset_account)
  select invoice_id, id, '2026-05-01', '2026-06-01', 1, 'daily', true, 'pony', 'USD', 'r', 'd', 'a'
  from invoice_lines limit 1"""
TWICE = "('accrual', 'pony', '2026-07-31', 'USD', 'x')"


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (f"{ENTRY} ('recognition', 'pony', '2026-06-30', 'USD', 'late')", "lies in a closed accounting period"),
        (f"{ENTRY} {TWICE}, {TWICE}", "journal_entries_accrued"),
        (f"{ENTRY} ('document', 'pony', '2026-07-31', 'USD', 'no invoice')", "journal_entries_invoice_check"),
        (f"{CLOSED} ('pony', '2026-05-01', 'eve', 'x')", "accounting period 2026-05-01 of pony is closed"),
        (f"{CLOSED} ('pony', '2026-07-02', 'eve', 'x')", "accounting_periods_period_check"),
        (ACCRUED, "nothing is accrued in it any more"),
        (SCHEDULED, "its revenue does not change"),
    ],
)
def test_the_database_refuses_what_would_change_a_closed_period(june, statement, says):
    june.close("2026-06")
    june.bill(june.period_of("2026-06-01"), posting_on="2026-07-05")

    with pytest.raises(IntegrityError, match=says):
        attempt(statement)


def test_the_database_closes_no_period_with_revenue_that_is_due_and_not_recognised(books):
    books.sell()
    books.bill(books.period("2024-01-15", "2025-01-15"), posting_on="2024-01-15")

    with pytest.raises(IntegrityError, match="has revenue that is not recognised"):
        attempt(f"{CLOSED} ('pony', '2024-01-01', 'eve', 'x')")


def test_documents_are_not_posted_into_a_closed_period_until_they_have_another_date(june):
    june.close("2026-06")
    period = june.period_of("2026-06-01")

    run = june.request(period, posting_on="2026-06-30")
    june.month.approve(run)

    assert june.month.blockers(run) == {"accounting_period_closed": 1}
    with engine().begin() as conn:
        acting.name(conn, Named("ann", "June is closed"))
        billing_runs.redate(conn, run, invoice_on=None, posting_on=date(2026, 7, 1))
        billing_runs.press(conn, run)
    june.month.work()
    june.month.approve(run)
    assert june.month.stage(run) == "closed"
    assert june.schedule("PONY-000001") == {"2026-07": "241.90"}


def test_a_document_that_is_void_after_its_period_was_closed_is_taken_back_in_the_open_one(books, monkeypatch):
    books.month.ledger.mkdir(parents=True)
    erp = Faulty(LedgerFile(books.month.ledger))
    monkeypatch.setitem(registry.ADAPTERS, "ledger-file", lambda _connection: erp)
    erp.plan.append("refused")
    books.sell()
    books.month.approve(books.request(books.period("2024-01-15", "2025-01-15"), posting_on="2024-01-15"))
    books.close("2024-01")

    with engine().begin() as conn:
        repairs.request(conn, repairs.Wanted("PONY-000001", "void", "ann", "the customer was wrong"))
    books.month.work()

    assert revenue(books, "2024-01-01", "2024-02-01") == Decimal("55.74")
    books.close("2024-02")
    # taken back, and accrued to the end of February, since no document holds it any more: 46 of 366 days
    assert revenue(books, "2024-02-01", "2024-03-01") == Decimal("-55.74") + Decimal("150.82")
    assert books.balance(ASSET, until="2024-02-29") == Decimal("150.82")
    assert (books.balance(DEFERRED), books.balance("assets:receivable")) == (0, 0)
