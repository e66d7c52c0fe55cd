"""A small month from its events to a closed run, on a real PostgreSQL and a real ledger, and what follows it."""

import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from line_bench import batch, event

from domain.closing import OverrideInvalid, StageOutOfOrder
from workers.store import billing_runs, run_totals
from workers.store.acting import Named, name
from workers.store.billing_runs import Wanted
from workers.store.database import engine

sys.path.append(str(Path(__file__).parent / "erp"))
from erp_hledger import balances, hledger

#: United: 3 departures, 3,000 miles, 2 aircraft. Delta: 1 departure, 500 miles, 1 aircraft.
MARCH = (
    ("u1", "UA", "N1", 1400),
    ("u2", "UA", "N1", 1400),
    ("u3", "UA", "N2", 200),
    ("d1", "DL", "N3", 500),
)


def by_hand(departures: int, miles: int, aircraft: int) -> tuple[Decimal, Decimal]:
    """Net and tax of one airline, worked out line by line on another path."""
    cent = Decimal("0.01")
    first = min(miles, 1000)
    amounts = [
        departures * Decimal("41.2575"),
        (first * Decimal("0.02515") + 250 + (miles - first) * Decimal("0.0142625")) if miles else Decimal(0),
        aircraft * Decimal("118.12505"),
    ]
    net = sum((amount.quantize(cent, "ROUND_HALF_UP") for amount in amounts), Decimal(0))
    return net, (net * Decimal("0.08875")).quantize(cent, "ROUND_HALF_UP")


def test_a_month_goes_from_events_to_a_closed_run(month):
    month.use(*MARCH)

    run = month.request()
    assert month.stage(run) == "drafted"
    assert month.blockers(run) == {"approval_missing": 1}
    assert [row[2:4] for row in month.documents(run)] == [("taxed", None), ("taxed", None)]
    month.assert_all_accounted_for(in_flight=12)

    month.approve(run)
    assert (month.stage(run), month.blockers(run)) == ("closed", {})
    month.assert_all_accounted_for()


def test_the_documents_are_the_sum_of_their_rounded_lines(month):
    month.use(*MARCH)

    run = month.bill()

    ua, dl = by_hand(3, 3000, 2), by_hand(1, 500, 1)
    assert ua == (Decimal("663.70"), Decimal("58.90"))
    assert [row[0:4] for row in month.documents(run)] == [
        ("dl", "invoice", "posted", "PONY-000002"),
        ("ua", "invoice", "posted", "PONY-000001"),
    ]
    assert [tuple(map(Decimal, row[4:])) for row in month.documents(run)] == [(*dl, sum(dl)), (*ua, sum(ua))]


def test_hledger_agrees_with_the_documents(month):
    month.use(*MARCH)

    month.bill()

    hledger("-f", str(month.ledger / "main.journal"), "check", "--strict")
    (ua, ua_tax), (dl, dl_tax) = by_hand(3, 3000, 2), by_hand(1, 500, 1)
    found = balances(month.ledger)
    assert found["assets:receivable", "USD"] == ua + ua_tax + dl + dl_tax
    assert found["liabilities:tax", "USD"] == -(ua_tax + dl_tax)
    assert sum(amount for (account, _), amount in found.items() if account.startswith("revenue")) == -(ua + dl)
    assert sum(found.values()) == 0


def test_lines_documents_journal_and_erp_hold_the_same(month):
    month.use(*MARCH)
    run = month.bill()
    take_back(month, "u3")
    credit = month.bill()

    for each in (run, credit):
        with engine().begin() as conn:
            totals = run_totals.of_run(conn, each)
        assert [total.hop for total in totals] == ["documents", "erp", "journal", "lines"]
        assert run_totals.differing(totals) == []
    ((ua, ua_tax), (dl, dl_tax)) = by_hand(3, 3000, 2), by_hand(1, 500, 1)
    with engine().begin() as conn:
        erp = next(total for total in run_totals.of_run(conn, run) if total.hop == "erp")
    assert (erp.documents, erp.net, erp.tax, erp.lines) == (2, ua + dl, ua_tax + dl_tax, 6)


def test_a_run_whose_totals_differ_between_hops_is_not_reconciled(month):
    month.use(*MARCH)
    run = month.request()
    with engine().begin() as conn:
        name(conn, Named("bob", "agreed with finance"))
        billing_runs.approve(conn, run, person="bob")
        billing_runs.press(conn, run)
    month.work("close")
    month.work("post")
    month.bound.run("update erp_postings set read_tax = read_tax + 0.01, read_gross = read_gross + 0.01 where id = 1")

    month.work()

    assert (month.stage(run), month.blockers(run)) == ("posted", {"control_totals_differ": 1})
    with engine().begin() as conn:
        assert run_totals.differing(run_totals.of_run(conn, run)) == ["erp USD"]
        assert run_totals.differing([each for each in run_totals.of_run(conn, run) if each.hop != "journal"]) == [
            "journal USD",
            "erp USD",
        ]


def test_each_stage_and_each_document_is_told_once(month):
    month.use(*MARCH)

    run = month.bill()

    told = month.bound.rows(
        """select routing_key, count(*), count(sent_at) from notices where routing_key <> 'tallyline.run.blocked'
           group by 1 order by 1"""
    )
    assert [tuple(row) for row in told] == [("tallyline.document.posted", 2, 2), ("tallyline.run.stage_entered", 6, 6)]
    stages = month.bound.rows(
        "select body -> 'data' ->> 'stage' from notices where routing_key = 'tallyline.run.stage_entered' order by id"
    )
    assert [row[0] for row in stages] == ["frozen", "drafted", "approved", "posted", "reconciled", "closed"]
    assert month.stage(run) == "closed"


def test_a_late_event_bills_exactly_the_difference(month):
    """Three departures, then two more: together what five would have cost, to the cent."""
    month.use(*MARCH)
    month.bill()

    month.use(("u4", "UA", "N1", 1000), ("u5", "UA", "N4", 77))
    run = month.bill()

    (document,) = month.documents(run)
    before, after = by_hand(3, 3000, 2)[0], by_hand(5, 4077, 3)[0]
    assert document[:3] == ("ua", "invoice", "posted")
    assert Decimal(document[4]) == after - before
    assert month.stage(run) == "closed"
    month.assert_all_accounted_for()


def test_a_late_event_that_costs_nothing_is_billed_all_the_same(month):
    """The metric counts aircraft, and this one was seen before."""
    month.bound.run("""update prices set terms = '{"model": "per_unit", "unit_amount": "0"}'
                     where metric_id in (select id from metrics where name <> 'aircraft')""")
    month.use(("u1", "UA", "N1", 1), ("d1", "DL", "N3", 500))
    month.bill()

    month.use(("u2", "UA", "N1", 1))
    run = month.bill()

    (document,) = month.documents(run)
    assert document[:3] == ("ua", "invoice", "posted")
    assert Decimal(document[6]) == 0
    month.assert_all_accounted_for()


def test_usage_taken_back_becomes_a_credit_note_with_a_number_of_its_own(month):
    month.use(*MARCH)
    month.bill()

    take_back(month, "u3")
    run = month.bill()

    (document,) = month.documents(run)
    before, after = by_hand(3, 3000, 2), by_hand(2, 2800, 1)
    assert document[:4] == ("ua", "credit_note", "posted", "PONY-C000001")
    assert Decimal(document[4]) == after[0] - before[0] < 0
    hledger("-f", str(month.ledger / "main.journal"), "check", "--strict")
    assert balances(month.ledger)["revenue:departures", "USD"] == -(Decimal("82.52") + Decimal("41.26"))
    told = month.bound.one(
        """select body -> 'data' ->> 'net' from notices
           where routing_key = 'tallyline.document.posted' order by id desc limit 1"""
    )
    assert Decimal(told) == before[0] - after[0]
    month.assert_all_accounted_for()


def take_back(month, event_id):
    """Write -1 for every attribution of an event, in a batch of its own, as a void does."""
    month.bound.run(
        """with gone as (insert into batches (kind) values ('moved') returning id),
           back as (insert into attributions select a.event_no, a.metric_id, a.subscription_id, a.contract_version_id,
             a.billing_period_id, a.source_id, 1, -1, a.mapping_id, g.id, a.hour, a.quantity, a.value, a.dimensions
             from attributions a join usage_events e on e.event_no = a.event_no, gone g where e.event_id = :id
             returning source_id, metric_id, hour, event_no, quantity),
           told as (insert into control_totals (hop, source_id, metric_id, hour, events, quantity, hash)
             select 'attributed', source_id, metric_id, hour, -1, -quantity, -hashint8extended(event_no, 0)::numeric
             from back)
           insert into work (step, subject, correlation_id) select 'aggregate', 'batch/' || id, 'test' from gone""",
        id=event_id,
    )
    month.work("aggregate")


def test_an_exception_of_the_period_blocks_freezing_until_it_is_overridden_by_name(month):
    month.use(*MARCH, ("x1", "ZZ", "N9", 100))

    run = month.request()
    assert (month.stage(run), month.blockers(run)) == ("open", {"subscription_not_found": 3})

    with engine().begin() as conn, pytest.raises(OverrideInvalid):
        billing_runs.override(conn, run, "price_not_found", person="bob", reason="why not")
    month.override(run, "subscription_not_found")
    assert month.stage(run) == "drafted"


def test_an_override_covers_what_was_seen_and_no_more(month):
    month.use(*MARCH, ("x1", "ZZ", "N9", 100))
    run = month.request()

    month.use(("x2", "ZZ", "N9", 100))
    month.override(run, "subscription_not_found")

    assert (month.stage(run), month.blockers(run)) == ("open", {"subscription_not_found": 6})
    month.override(run, "subscription_not_found")
    assert month.stage(run) == "drafted"


def test_asking_again_goes_on_with_the_same_run(month):
    month.use(*MARCH, ("x1", "ZZ", "N9", 100))
    run = month.request()

    month.bound.run("update exceptions set state = 'dismissed', closed_at = now()")

    assert month.request() == run
    assert month.stage(run) == "drafted"


def test_an_exception_of_another_month_blocks_nothing(month):
    month.use(*MARCH)
    month.receive(batch(event("x1", subject="ZZ", time="2026-02-10T10:00:00Z")))
    month.work("validate", "enrich", "aggregate")

    run = month.request()

    assert month.stage(run) == "drafted"


def test_what_was_received_before_the_request_is_in_its_window_before_freezing(month):
    month.use(*MARCH)
    month.receive(batch(event("u9", subject="UA")))
    with engine().begin() as conn:
        run = billing_runs.request(conn, Wanted(month.period, date(2026, 4, 1), date(2026, 3, 31), "ann"))
        billing_runs.press(conn, run)

    month.work("close")
    assert month.stage(run) == "open"
    assert "not yet in their windows" in month.bound.one("select error from work where step = 'close'")

    month.work("validate")
    month.let_time_pass()
    month.work("close")
    assert month.stage(run) == "open"

    month.work("enrich", "aggregate")
    month.let_time_pass()
    month.work()
    assert month.stage(run) == "drafted"
    assert month.bound.one("select sum(events) from aggregates where lot = 1") == 15
    assert month.bound.one("select max(attempts) from work where step = 'close'") == 0


def test_what_is_received_after_the_seal_waits_for_the_next_lot(month):
    month.use(*MARCH)
    run = month.request()

    month.use(("u4", "UA", "N1", 1000))
    month.approve(run)

    assert month.bound.rows("select lot, sum(events) from aggregates group by 1 order by 1") == [(1, 12), (2, 3)]
    assert month.stage(run) == "closed"
    month.assert_all_accounted_for(in_flight=3)


def test_a_period_that_has_not_ended_is_not_frozen(month):
    month.use(*MARCH)
    month.bound.run("update billing_periods set ends_at = now() + interval '1 day'")

    run = month.request()

    assert (month.stage(run), month.blockers(run)) == ("open", {"period_not_ended": 1})


def test_usage_that_does_not_add_up_is_not_frozen(month):
    month.use(*MARCH)
    month.bound.run("delete from attributions where ctid in (select ctid from attributions limit 1)")

    run = month.request()

    assert (month.stage(run), month.blockers(run)) == (
        "open",
        {"usage_does_not_add_up": 2},  # the usage, and the window that held it
    )


def test_drafts_that_cannot_be_completed_are_left_to_the_next_run_by_name(month):
    month.use(*MARCH)
    month.bound.run(
        """delete from prices where contract_version_id in (
             select v.id from contract_versions v join contracts c on c.id = v.contract_id where c.ref = 'c-dl')"""
    )

    run = month.request()
    assert (month.stage(run), month.blockers(run)) == ("frozen", {"drafts_blocked": 1})
    assert month.bound.rows("select code, state from exceptions") == [("price_not_found", "open")]

    month.override(run, "drafts_blocked")
    assert month.stage(run) == "drafted"
    assert [row[0:3] for row in month.documents(run)] == [("dl", "invoice", "empty"), ("ua", "invoice", "taxed")]
    assert month.bound.rows("select state, closed_by, reason from exceptions") == [
        ("resolved", "bob", "agreed with finance")
    ]
    month.approve(run)
    assert (month.stage(run), month.blockers(run)) == ("reconciled", {"usage_in_flight": 3})

    month.bound.run(
        """insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
           select v.id, p.metric_id, p.terms, p.tax_category, p.revenue_account from prices p, contract_versions v
           join contracts c on c.id = v.contract_id where c.ref = 'c-dl'"""
    )
    later = month.bill()
    assert [row[0:3] for row in month.documents(later)] == [("dl", "invoice", "posted")]
    assert Decimal(month.documents(later)[0][4]) == by_hand(1, 500, 1)[0]
    month.let_time_pass()
    month.work()
    assert (month.stage(run), month.stage(later)) == ("closed", "closed")
    month.assert_all_accounted_for()


def test_a_draft_that_cannot_be_taxed_is_void_and_left_to_the_next_run(month):
    month.use(*MARCH)
    month.bound.run("delete from tax_rates")

    run = month.request()
    assert month.blockers(run) == {"drafts_blocked": 2}
    month.override(run, "drafts_blocked")

    assert [row[0:3] for row in month.documents(run)] == [("dl", "invoice", "void"), ("ua", "invoice", "void")]
    month.approve(run)
    month.bound.run(
        """insert into tax_rates (jurisdiction, category, rate, starts_on, source)
           values ('US-NY', 'standard', 8.875, '2013-01-01', 'test')"""
    )
    later = month.bill()
    assert [row[0:3] for row in month.documents(later)] == [("dl", "invoice", "posted"), ("ua", "invoice", "posted")]
    assert Decimal(month.documents(later)[1][4]) == by_hand(3, 3000, 2)[0]


def test_a_subscription_without_usage_is_rated_in_one_run_only(month):
    month.bound.run("""update prices set terms = '{"model": "graduated", "zero_usage": "first_tier_flat", "tiers": [
      {"up_to": null, "unit_amount": "0", "flat_amount": "7.50"}]}'
      where metric_id in (select id from metrics where name = 'distance')""")
    month.use(("u1", "UA", "N1", 1))

    first, second = month.bill(), month.bill()

    assert next((row[0], row[4]) for row in month.documents(first)) == ("dl", "7.50")
    assert month.documents(second) == []
    assert (month.stage(first), month.stage(second)) == ("closed", "closed")


def test_nobody_approves_what_is_not_drafted(month):
    month.use(*MARCH, ("x1", "ZZ", "N9", 100))
    run = month.request()

    with engine().begin() as conn, pytest.raises(StageOutOfOrder):
        billing_runs.approve(conn, run, person="bob")


def test_a_period_is_not_billed_again_before_its_last_drafts_are_issued(month):
    month.use(*MARCH)
    run = month.request()

    with engine().begin() as conn, pytest.raises(StageOutOfOrder, match=str(run)):
        billing_runs.request(conn, Wanted(month.period, date(2026, 4, 2), date(2026, 3, 31), "ann"))


def test_a_period_without_anybody_to_bill_is_closed_without_documents(month):
    month.use(*MARCH)
    month.bill()

    run = month.bill()

    assert (month.stage(run), month.documents(run)) == ("closed", [])


def test_a_ledger_that_was_changed_after_posting_is_not_reconciled(month, monkeypatch):
    month.use(*MARCH)
    run = month.request()
    with engine().begin() as conn:
        name(conn, Named("bob", "agreed with finance"))
        billing_runs.approve(conn, run, person="bob")
        billing_runs.press(conn, run)
    month.work("close")
    month.work("post")
    path = min(month.ledger.glob("*/tl-*.journal"))
    path.write_text(path.read_text().replace("; external-key: tl-", "; external-key: xx-"))

    month.work()

    assert (month.stage(run), month.blockers(run)) == ("posted", {"posting_differs": 1})
    assert month.bound.rows("select code from exceptions") == [("posting_differs",)]
