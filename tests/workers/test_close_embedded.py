"""The same month in a process of the embedded run, undisturbed and killed at its worst moments."""

import os
import signal
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from time import monotonic, sleep

import pytest

from workers.store import billing_runs
from workers.store.billing_runs import Wanted
from workers.store.database import engine

sys.path.append(str(Path(__file__).parent / "erp"))
from erp_hledger import balances, hledger

HERE = Path(__file__).parent
WITHIN_S = 150
AIRLINES = ("UA", "DL")


@pytest.fixture
def process(month, tmp_path):
    """Starts an embedded run on the month's database."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)]),
        "TALLYLINE_MODE": "embedded",
        "TALLYLINE_HOME": str(tmp_path),
    }
    started = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            made = subprocess.Popen(
                [sys.executable, HERE / "embedded_month.py"], env=environment, stdout=log, stderr=log
            )
        started.append(made)
        return made

    yield start
    for each in started:
        each.kill()
        each.wait()


def until(is_so) -> None:
    """Wait for what the process is about to do."""
    deadline = monotonic() + WITHIN_S
    while not is_so():
        assert monotonic() < deadline, "it never came"
        sleep(0.005)


@pytest.fixture
def asked(month):
    """The month's events are in their windows, and March is asked to be billed; the run."""
    month.use(*((f"{airline}{n}", airline, f"N{n % 3}", 100 * n) for airline in AIRLINES for n in range(1, 8)))
    with engine().begin() as conn:
        run = billing_runs.request(conn, Wanted(month.period, date(2026, 4, 1), date(2026, 3, 31), "ann"))
        billing_runs.press(conn, run)
    return run


def assert_billed_once(month, run) -> None:
    """Both airlines flew the same, so both owe the same: worked out on another path."""
    # 7 x 41.2575 = 288.8025; 250 + 1000 x 0.02515 + 1800 x 0.0142625 = 300.8225; 3 x 118.12505 = 354.37515
    net = Decimal("288.80") + Decimal("300.82") + Decimal("354.38")
    tax = Decimal("83.78")  # 8.875 % of 944.00
    assert [tuple(map(Decimal, row[4:])) for row in month.documents(run)] == [(net, tax, net + tax)] * 2
    assert sorted(row[3] for row in month.documents(run)) == ["PONY-000001", "PONY-000002"]
    hledger("-f", str(month.ledger / "main.journal"), "check", "--strict")
    assert balances(month.ledger)["assets:receivable", "USD"] == 2 * (net + tax)
    assert len(list(month.ledger.glob("*/tl-*.journal"))) == 2
    month.assert_all_accounted_for()


def test_a_month_is_closed_by_one_process(month, process, asked):
    assert process().wait(WITHIN_S) == 0

    assert_billed_once(month, asked)


def test_a_process_that_is_killed_at_every_stage_bills_the_month_once(month, process, asked):
    moments = (
        "select count(*) from lots",
        "select count(*) from rated_usages",
        "select count(*) from invoices where state = 'taxed'",
        "select count(*) from erp_postings where state <> 'planned'",
        "select count(*) from erp_postings where state = 'confirmed'",
        "select count(*) from erp_postings where reconciled_at is not null",
    )
    for moment in moments:
        running = process()
        until(lambda moment=moment: month.bound.one(moment))
        running.send_signal(signal.SIGKILL)
        running.wait()
        month.let_time_pass()

    assert process().wait(WITHIN_S) == 0

    assert_billed_once(month, asked)
