"""Usage that stands still on its way to a document is in exception, at every place where it can stand still."""

import sys
from decimal import Decimal
from pathlib import Path

import pytest
from line_bench import batch, event

from workers.erp import registry
from workers.erp.ledger_file import LedgerFile
from workers.step import perform
from workers.store import figures
from workers.store.database import snapshot

sys.path.append(str(Path(__file__).parent / "erp"))
from erp_faults import Faulty

#: United: 2 departures, 2,800 miles, 1 aircraft. Delta: 1 departure, 500 miles, 1 aircraft.
MARCH = (("u1", "UA", "N1", 1400), ("u2", "UA", "N1", 1400), ("d1", "DL", "N3", 500))
#: Net, worked out by hand: 2 x 41.2575 -> 82.52 (82.515), 1000 x 0.02515 + 250 + 1800 x 0.0142625 -> 300.82, 118.13.
UNITED = Decimal("82.52") + Decimal("300.82") + Decimal("118.13")
#: 41.26, 500 x 0.02515 + 250 -> 262.58 (262.575), 118.13.
DELTA = Decimal("41.26") + Decimal("262.58") + Decimal("118.13")


@pytest.fixture
def erp(month, monkeypatch):
    faulty = Faulty(LedgerFile(month.ledger))
    month.ledger.mkdir(parents=True)
    monkeypatch.setitem(registry.ADAPTERS, "ledger-file", lambda _connection: faulty)
    return faulty


def money(month):
    with snapshot() as conn:
        return (
            sum((each.amount for each in figures.unbilled(conn)), Decimal(0)),
            sum((each.amount for each in figures.excepted(conn)), Decimal(0)),
        )


def without_price(month, contract):
    month.bound.run(
        """delete from prices where metric_id = (select id from metrics where name = 'aircraft')
           and contract_version_id in (select v.id from contract_versions v join contracts c on c.id = v.contract_id
             where c.ref = :ref)""",
        ref=contract,
    )


def test_what_nothing_holds_up_is_in_flight(month):
    month.use(*MARCH)

    month.assert_all_accounted_for(in_flight=9, excepted=0)
    assert money(month) == (UNITED + DELTA, 0)


def test_a_batch_that_could_not_be_added_to_its_windows(month):
    month.use(*MARCH)
    month.receive(batch(event("late", subject="UA", data={"tail": "N9", "distance": 5})))
    month.work("validate", "enrich")
    month.bound.run("update work set starts = 5 where step = 'aggregate' and state = 'ready' and subject = 'batch/2'")
    (stuck,) = month.bound.rows("select id from work where subject = 'batch/2'")
    perform("aggregate", list(stuck), is_redelivered=True)

    month.assert_all_accounted_for(in_flight=9, excepted=3)


def test_a_subscription_that_could_not_be_rated(month):
    month.use(*MARCH)
    without_price(month, "c-dl")
    month.request()

    assert month.bound.rows("select code from exceptions") == [("price_not_found",)]
    month.assert_all_accounted_for(in_flight=6, excepted=3)
    # what has a price is told; Delta's aircraft has none, and United's lines stand on a draft
    assert money(month) == (0, DELTA - Decimal("118.13"))


def test_usage_that_comes_after_the_seal_is_not_held_up_by_it(month):
    month.use(*MARCH)
    without_price(month, "c-dl")
    month.request()
    month.use(("d2", "DL", "N3", 500))

    month.assert_all_accounted_for(in_flight=9, excepted=3)
    # the second departure: 82.515 -> 82.52 less 41.26; 500 miles more: 275.15 less 262.58
    assert money(month) == (Decimal("41.26") + Decimal("12.57"), DELTA - Decimal("118.13"))


def test_a_draft_that_could_not_be_taxed(month):
    month.use(*MARCH)
    month.bound.run("delete from tax_rates")
    month.request()

    month.assert_all_accounted_for(in_flight=0, excepted=9)
    assert money(month) == (0, UNITED + DELTA)


def test_a_document_that_the_erp_refused(month, erp):
    month.use(*MARCH)
    erp.plan.append("refused")
    month.bill()

    month.assert_all_accounted_for(in_flight=0, excepted=6)
    refused = month.bound.one("select gross from invoices where account_id = 'ua'")
    assert month.bound.rows("select state from invoices order by account_id") == [("posted",), ("issued",)]
    assert money(month) == (0, refused)


def test_a_confirmed_document_stays_billed_though_a_later_look_failed(month, erp):
    month.use(*MARCH)
    month.bill()
    path = min(month.ledger.glob("2026-03/*.journal"))
    path.unlink()
    month.bound.run("update work set state = 'ready', due_at = now() where step = 'post'")
    month.work("post")

    assert month.bound.rows("select code from exceptions") == [("posting_differs",)]
    month.assert_all_accounted_for(in_flight=0, excepted=0)


def test_the_later_document_of_a_period_does_not_make_the_usage_of_a_refused_one_billed(month, erp):
    month.use(*MARCH)
    erp.plan.append("refused")
    month.bill()
    month.bound.run("update billing_runs set stage = 'posted'")  # as if it waited for nothing
    month.use(("u9", "UA", "N1", 100))
    later = month.bill()

    assert [row[0:3] for row in month.documents(later)] == [("ua", "invoice", "posted")]
    month.assert_all_accounted_for(in_flight=0, excepted=6)
    assert (month.stage(later), month.blockers(later)) == ("reconciled", {"usage_in_flight": 6})


def test_a_document_that_is_sent_again_is_in_flight_until_it_is_confirmed(month, erp):
    from workers.store import replay
    from workers.store.database import engine

    month.use(*MARCH)
    erp.plan.append("refused")
    month.bill()
    with engine().begin() as conn:
        replay.replay(conn, [1], person="bob", reason="the customer is there now")

    month.assert_all_accounted_for(in_flight=6, excepted=0)
    month.work()
    month.assert_all_accounted_for(in_flight=0, excepted=0)
