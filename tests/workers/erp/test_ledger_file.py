"""The plain-text ERP: what hledger says about it, what a crash leaves, and what people may write into its folder."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from erp_documents import document, entry
from erp_hledger import balances, hledger
from hypothesis import given
from hypothesis import strategies as st

from domain.money import Money
from workers.erp import ledger_file
from workers.erp.journal_text import escaped_account, unescaped_account
from workers.erp.ledger_file import AWAY_REST_S, LedgerFile
from workers.erp.protocol import Busy, ErpAway, ErpUnreadable, Posted, Rejected, Resume, Unknown

pytestmark = pytest.mark.fast

ODD_NAMES = [
    "(virtual)", "[balanced]", "* cleared", "! pending", "; comment", "a:b", "a::b", ":a", "", "  ", "a  b", "é", "%",
    "%41", "a\tb", "1,000", "-x", "~a", "=a", "a = b", "\n", 'a"b', "#x", ".", "{1}", "@ 2", "a ;b", "include",
    "2013-01-01", "a: b",
]  # fmt: skip


def post(ledger, asked):
    return ledger.post(asked, Resume(keep_draft=lambda _ref: None))


@pytest.fixture
def ledger(tmp_path):
    return LedgerFile(tmp_path / "ledger", lock_wait_s=0.05)


@pytest.mark.brought
def test_hledger_accepts_the_folder_and_agrees_with_the_totals(ledger):
    asked = [
        document("TL-1", net="100.00", tax="8.88"),
        document("TL-2", net="0.01", tax="0.00", account_id="B6"),
        document("TL-3", net="-12.50", tax="-1.11", posting_on=date(2013, 2, 28)),
        document("TL-4", net="1000", tax="80", currency="JPY"),
        document("TL-5", net="1.125", tax="0.005", currency="BHD"),
        document("TL-6", net="0.00", tax="0.00"),
    ]

    for each in asked:
        assert isinstance(post(ledger, each), Posted)

    hledger("-f", str(ledger.folder / "main.journal"), "check", "--strict")
    assert balances(ledger.folder) == {
        ("assets:receivable:AA", "USD"): Decimal("95.27"),  # 100.00 + 8.88 - 12.50 - 1.11
        ("assets:receivable:B6", "USD"): Decimal("0.01"),
        ("assets:receivable:AA", "JPY"): Decimal(1080),
        ("assets:receivable:AA", "BHD"): Decimal("1.130"),
        ("revenue:departures", "USD"): Decimal("-87.51"),  # 100.00 + 0.01 - 12.50
        ("revenue:departures", "JPY"): Decimal(-1000),
        ("revenue:departures", "BHD"): Decimal("-1.125"),
        ("liabilities:tax", "USD"): Decimal("-7.77"),  # 8.88 - 1.11
        ("liabilities:tax", "JPY"): Decimal(-80),
        ("liabilities:tax", "BHD"): Decimal("-0.005"),
    }


@pytest.mark.brought
def test_hledger_finds_a_document_by_its_number_and_its_key(ledger):
    post(ledger, document("TL-1"))
    post(ledger, document("TL-2"))
    main = str(ledger.folder / "main.journal")

    assert hledger("-f", main, "print", "code:PNY-TL-2").count("external-key: TL-2") == 1
    assert hledger("-f", main, "print", "tag:external-key=^TL-1$").count("(PNY-TL-1)") == 1


@pytest.mark.brought
def test_hledger_reads_every_account_name_as_it_was_meant(ledger):
    legs = [(name, Money.of("1.00", "USD")) for name in ODD_NAMES]
    legs.append(("rest", Money.of(-len(ODD_NAMES), "USD")))

    post(ledger, replace(document("TL-1"), entry=entry(legs)))

    hledger("-f", str(ledger.folder / "main.journal"), "check", "--strict")
    names = {unescaped_account(account) for account, _ in balances(ledger.folder)}
    assert names == {*ODD_NAMES, "rest"}


@given(st.text(st.characters(codec="utf-8")))
def test_an_escaped_account_comes_back_whole(name):
    escaped = escaped_account(name)

    assert unescaped_account(escaped) == name
    assert escaped.isascii()
    assert "  " not in escaped
    assert escaped == escaped.strip()


@pytest.mark.brought
def test_a_process_killed_at_any_line_leaves_the_document_whole_or_not_at_all(tmp_path):
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here.parents[2]}{os.pathsep}{here}"}

    ran = subprocess.run(
        [sys.executable, here / "erp_killed.py", tmp_path],
        capture_output=True, text=True, timeout=120, check=True, env=environment,
    )  # fmt: skip

    report = json.loads(ran.stdout)
    assert len(report) > 50, "the child was not killed where it writes"
    assert {tuple(each["left"]) for each in report} == {(), ("TL-1.journal",)}
    assert all(each["found"] == bool(each["left"]) for each in report)
    assert all(each["after"] == ["TL-1.journal"] and each["whole"] for each in report)
    for folder in sorted(tmp_path.iterdir())[:: max(1, len(report) // 10)]:
        hledger("-f", str(folder / "main.journal"), "check", "--strict")


def test_what_a_crash_left_in_staging_is_never_written_over(ledger):
    post(ledger, document("TL-1"))
    kept = ledger.folder / "2013-01" / "TL-1.journal"
    staged = ledger.folder / ".staging" / "TL-1.journal.staged"
    os.link(kept, staged)  # a crash after the link, before the other name was removed
    before = kept.read_text()
    moved = kept.rename(ledger.folder / "archived.txt")

    post(ledger, document("TL-1", net="200.00", tax="17.75"))

    assert moved.read_text() == before
    assert not staged.exists()


def test_the_document_is_found_whatever_month_it_was_posted_in(ledger):
    post(ledger, document("TL-1", posting_on=date(2013, 1, 31)))

    outcome = post(ledger, document("TL-1", posting_on=date(2013, 2, 28)))

    assert isinstance(outcome, Rejected)
    assert outcome.code == "key_taken"
    assert [path.name for path in ledger.folder.glob("*/TL-1.journal")] == ["TL-1.journal"]


@pytest.mark.parametrize("words", ["2013-13 closed", "2013-01 shut", "January closed"])
def test_a_periods_file_that_cannot_be_read_stops_every_posting(ledger, words):
    ledger.ping()
    (ledger.folder / "periods").write_text(f"; agreed with the controller\n\n2012-12 closed\n{words}\n")

    with pytest.raises(ErpUnreadable):
        ledger.period_status(date(2013, 1, 31))
    outcome = post(ledger, document("TL-1"))

    assert isinstance(outcome, Rejected)
    assert outcome.code == "erp_unreadable"


def test_a_periods_file_that_is_no_text_is_named(ledger):
    ledger.ping()
    (ledger.folder / "periods").write_bytes(b"\xff\xfe")

    with pytest.raises(ErpUnreadable, match="periods"):
        ledger.period_status(date(2013, 1, 31))


def test_the_last_line_about_a_month_counts(ledger):
    ledger.ping()
    (ledger.folder / "periods").write_text("2013-01 closed ; year end\n2013-01 open  # reopened by the controller\n")

    assert ledger.period_status(date(2013, 1, 15)) == "open"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"key": "a/b"}, "key_unfit"),
        ({"key": ""}, "key_unfit"),
        (
            {"entry": entry([(name, Money.of(amount, "EUR")) for name, amount in (("a", 1), ("b", -1))])},
            "currencies_mixed",
        ),
    ],
)
def test_a_document_that_no_ledger_can_take_is_refused_by_name(ledger, changed, code):
    outcome = post(ledger, replace(document("TL-1"), **changed))

    assert isinstance(outcome, Rejected)
    assert outcome.code == code


def test_a_document_with_too_many_lines_is_refused(ledger, monkeypatch):
    monkeypatch.setattr(ledger_file, "LIMITS", replace(ledger_file.LIMITS, lines_max=0))

    assert post(ledger, document("TL-1")).code == "too_many_lines"


def test_a_chart_of_accounts_lets_through_what_it_declares_and_what_is_below(ledger):
    ledger.ping()
    (ledger.folder / "declarations").mkdir()
    chart = ledger.folder / "declarations" / "chart.journal"
    chart.write_text(
        "account assets:receivable  ; one below for each account\naccount revenue\naccount liabilities:tax\n"
    )

    assert isinstance(post(ledger, document("TL-1")), Posted)

    chart.write_text("account assets\naccount rev\naccount liabilities:tax\n")
    outcome = post(ledger, document("TL-2"))
    assert outcome == Rejected("ledger_account_unknown", "not in the chart of accounts: revenue:departures")


def test_a_folder_that_somebody_holds_is_away_for_questions(ledger):
    ledger.ping()
    with (ledger.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(ErpAway):
            ledger.ping()
        with pytest.raises(ErpAway):
            ledger.find("TL-1")


def test_a_folder_that_is_gone_is_away_and_no_document_is_taken_for_lost(ledger):
    asked = document("TL-1")
    ref = post(ledger, asked).ref
    ledger.folder.rename(ledger.folder.with_name("unplugged"))
    ledger.folder.write_text("no folder")

    for question in (lambda: ledger.find("TL-1"), lambda: ledger.read_back(ref), ledger.ping):
        with pytest.raises(ErpAway):
            question()
    assert isinstance(post(ledger, asked), Busy)

    ledger.folder.unlink()
    ledger.folder.with_name("unplugged").rename(ledger.folder)
    assert ledger.find("TL-1").ref == ref


def test_periods_that_cannot_be_read_are_an_erp_that_is_away(ledger):
    ledger.ping()
    (ledger.folder / "periods").mkdir()

    with pytest.raises(ErpAway) as caught:
        ledger.period_status(date(2013, 1, 31))

    assert caught.value.delay_s == AWAY_REST_S


def test_a_full_disk_is_busy_as_long_as_nothing_is_there(ledger, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    ledger.ping()
    monkeypatch.setattr(ledger_file.os, "fsync", full)
    outcome = post(ledger, document("TL-1"))
    monkeypatch.undo()

    assert isinstance(outcome, Busy)
    assert ledger.find("TL-1") is None
    assert isinstance(post(ledger, document("TL-1")), Posted)


def test_a_failure_after_the_document_has_its_name_is_unknown(ledger, monkeypatch):
    post(ledger, document("TL-0"))

    def link_then_fail(source, target):
        Path(source).rename(target)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(ledger_file.os, "link", link_then_fail)
    outcome = post(ledger, document("TL-1"))
    monkeypatch.undo()

    assert isinstance(outcome, Unknown)
    assert ledger.find("TL-1").is_posted


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _text: "", "first line"),
        (lambda text: text.replace("2013-01-31 (", "2013-01-32 ("), "cannot be read"),
        (lambda text: text.replace("(PNY-TL-1)", "PNY-TL-1"), "no transaction"),
        (lambda text: text.replace("    ; net: 100.00 USD\n", ""), "net"),
        (lambda text: text.replace("    ; net: 100.00 USD", "    ; net: 100.00"), "no amount"),
        (lambda text: text.replace("    ; net: 100.00 USD", "    ; net: 100.01 USD"), "do not add up"),
        (lambda text: text.replace("revenue:departures  -100.00", "revenue:departures  -100.01"), "does not balance"),
        (lambda text: text.replace("    ; tax: 8.88 USD", "    ; tax: 8.88 XXX"), "XXX"),
        (lambda text: f"{text}    assets\n", "not understood"),
        (lambda text: f"{text}é\n", "cannot be read"),
    ],
)
def test_a_document_that_was_tampered_with_is_not_believed(ledger, change, reason):
    post(ledger, document("TL-1"))
    path = ledger.folder / "2013-01" / "TL-1.journal"
    path.write_text(change(path.read_text()))

    with pytest.raises(ErpUnreadable, match=reason):
        ledger.read_back("2013-01/TL-1.journal")


def test_totals_are_read_from_the_file_and_not_remembered(ledger):
    post(ledger, document("TL-1"))
    path = ledger.folder / "2013-01" / "TL-1.journal"
    path.write_text(path.read_text().replace("8.88", "9.88").replace("108.88", "109.88"))

    assert ledger.read_back("2013-01/TL-1.journal").totals.tax == Money.of("9.88", "USD")
