"""Documents whose accounting period is closed in the ERP: an exception each, one question for all, and they heal."""

import sys
from pathlib import Path

import pytest

from workers.embedded.run import owed
from workers.erp import registry
from workers.erp.ledger_file import LedgerFile
from workers.store import billing_looks, figures, holds, worth
from workers.store.database import engine, snapshot

sys.path.append(str(Path(__file__).parent / "erp"))
from erp_faults import Faulty

MARCH = (("u1", "UA", "N1", 1400), ("u2", "UA", "N1", 1400), ("d1", "DL", "N3", 500))
GROSS = "select sum(gross) from invoices"


@pytest.fixture
def erp(month, monkeypatch):
    """The ledger of the month, counting its calls."""
    month.ledger.mkdir(parents=True)
    faulty = Faulty(LedgerFile(month.ledger))
    monkeypatch.setitem(registry.ADAPTERS, "ledger-file", lambda _connection: faulty)
    return faulty


def set_period(month, status):
    with (month.ledger / "periods").open("a") as periods:
        periods.write(f"2026-03 {status}\n")


def look(month):
    """As if the time of the next look at the period had come."""
    month.bound.run("update work set due_at = now() where subject like 'erp_period/%' and state = 'ready'")
    month.work()


@pytest.fixture
def held(month, erp):
    """Both documents of March wait for the period."""
    month.use(*MARCH)
    set_period(month, "closed")
    month.run = month.bill()
    return month


def exceptions(month):
    return [
        tuple(row)
        for row in month.bound.rows("select code, state, reason from exceptions where step = 'post' order by id")
    ]


def test_a_held_document_is_an_exception_with_its_money_and_what_it_waits_for(held):
    rows = held.bound.rows(
        """select x.code, x.waits_kind, x.waits_key, x.money_at_risk = i.gross as is_worth, x.currency,
             x.facts ->> 'number' = i.number_text as is_named, x.facts ->> 'account' = i.account_id as is_owned,
             x.billing_period_id = r.billing_period_id as is_dated, w.state, w.attempts
           from exceptions x join work w on w.id = x.work_id join erp_postings p on w.subject = 'erp_posting/' || p.id
           join invoices i on i.id = p.invoice_id join billing_runs r on r.id = i.billing_run_id order by x.id"""
    )

    expected = ("period_closed", "erp_period", "books/2026-03", True, "USD", True, True, True, "ready", 0)
    assert [tuple(row) for row in rows] == [expected, expected]


def test_held_documents_are_one_group_worth_all_of_them(held):
    with snapshot() as conn:
        (cause,) = worth.causes(conn)

    assert (cause.code, cause.exceptions, cause.accounts) == ("period_closed", 2, {"ua", "dl"})
    assert cause.money == {"USD": held.bound.one(GROSS)}


def test_the_period_is_asked_about_once_for_all_documents_and_all_go_on_when_it_opens(held, erp):
    look(held)
    erp.calls.clear()
    look(held)
    assert erp.calls == ["period_status"]
    assert [row[1] for row in exceptions(held)] == ["open", "open"]

    set_period(held, "open")
    erp.calls.clear()
    look(held)

    assert erp.calls.count("period_status") == 1 + 2  # the look, and each document before it is sent
    assert held.stage(held.run) == "closed"
    assert {row[1:] for row in exceptions(held)} == {("resolved", "healed: the period is open in the ERP")}
    held.assert_all_accounted_for()
    assert held.bound.one("select max(attempts) from work") == 0


def test_each_document_is_told_once_that_it_waits(held):
    held.let_time_pass()
    held.work()

    assert held.bound.one("select count(*) from notices where routing_key = 'tallyline.document.held'") == 2
    assert held.bound.one("select min(seen) from exceptions where code = 'period_closed'") == 2


def test_a_document_finds_by_itself_that_the_period_is_open(held):
    set_period(held, "open")
    held.bound.run("update work set due_at = now() where subject like 'erp_posting/%' and state = 'ready'")
    held.work("post")

    assert {row[1] for row in exceptions(held)} == {"resolved"}
    look(held)
    assert held.bound.one("select count(*) from work where subject like 'erp_period/%' and state = 'done'") == 1


def test_a_document_that_the_erp_holds_all_the_same_heals_when_it_is_confirmed(held, erp):
    """Somebody opened the period, booked it, and closed the period again."""
    from workers.erp.protocol import Posted, Resume
    from workers.store import erp_postings

    set_period(held, "open")
    with engine().begin() as conn:
        ids = [row.id for row in held.bound.rows("select id from erp_postings order by id")]
        documents = [erp_postings.load(conn, each).asked for each in ids]
    for document in documents:
        assert isinstance(erp.erp.post(document, Resume(keep_draft=lambda _ref: None)), Posted)
    set_period(held, "closed")
    held.let_time_pass()
    held.work()

    assert {row[1:] for row in exceptions(held)} == {("resolved", "healed: the ERP has confirmed the document")}
    assert held.stage(held.run) == "closed"


def test_a_period_that_closes_again_opens_the_same_exception_again(held, erp):
    set_period(held, "open")
    erp.plan.extend(["closed", "closed"])
    look(held)

    assert [row[1] for row in exceptions(held)] == ["open", "open"]
    assert held.bound.one("select count(*) from work where subject like 'erp_period/%'") == 2
    look(held)
    assert held.stage(held.run) == "closed"


def test_an_erp_that_is_away_is_asked_again_and_one_without_adapter_is_an_exception_of_its_own(held, erp):
    erp.away = 1
    look(held)
    assert held.bound.one("select outcome from work where subject like 'erp_period/%'") == "snooze"

    held.bound.run("update erp_connections set adapter = 'abacus'")
    look(held)
    assert held.bound.rows("select code from exceptions where subject like 'erp_period/%'") == [("erp_unreadable",)]

    held.bound.run("update erp_connections set adapter = 'ledger-file'")
    held.let_time_pass()  # the documents look for themselves, find it closed, and owe another look
    held.work("post")
    assert held.bound.one("select count(*) from work where subject like 'erp_period/%' and state = 'ready'") == 1


def test_a_run_whose_documents_wait_is_at_rest_and_says_how_many(held):
    with snapshot() as conn:
        now = billing_looks.standing(conn, held.run)

    assert (now.stage, now.held, now.is_moving) == ("approved", 2, False)
    assert owed().ready == 0


def test_usage_whose_document_waits_is_in_exception_and_its_money_is_counted_once(held):
    held.assert_all_accounted_for(excepted=9)

    with snapshot() as conn:
        assert figures.unbilled(conn) == []
        ((entity, currency, amount),) = [(e.legal_entity, e.currency, e.amount) for e in figures.excepted(conn)]
    assert (entity, currency, amount) == ("pony", "USD", held.bound.one(GROSS))


def test_a_document_that_comes_while_the_look_ends_is_woken_by_it_or_owes_the_next(held, erp):
    """The look has asked and found the period open; before it writes so, a document waits anew."""
    (row,) = held.bound.rows("select id from work where subject like 'erp_period/%'")
    with engine().begin() as conn:
        woken = holds.wake(conn, "books/2026-03", step="post")
    assert len(woken) == 2
    assert [each.step for each in woken] == ["post", "post"]
    assert held.bound.one("select state from work where id = :id", id=row.id) == "ready"

    held.work("post")  # the period is closed all the same
    assert [each[1] for each in exceptions(held)] == ["open", "open"]
    assert held.bound.one("select count(*) from work where subject like 'erp_period/%'") == 1


def test_a_look_that_nobody_waits_for_any_more_asks_nobody(held, erp):
    held.bound.run("update exceptions set state = 'dismissed', closed_at = now() where code = 'period_closed'")
    erp.calls.clear()
    look(held)

    assert erp.calls == []
    assert held.bound.one("select state from work where subject like 'erp_period/%'") == "done"
    with engine().begin() as conn:
        assert holds.asked_about(conn, "books/2026-03") is None
        assert holds.asked_about(conn, "books/1999-01") is None
