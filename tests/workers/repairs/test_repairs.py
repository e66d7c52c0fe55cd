"""Repairs on a real month: every cent is billed once and every system agrees."""

import json

import pytest
from repairs_bench import DL, MARCH, UA, ask, case, confirmed, receivable, tries

from domain.repairs import RepairRefused
from workers.deeds import documents
from workers.deeds.deed import Order
from workers.store import billing_looks, run_totals
from workers.store.database import engine
from workers.store.repairs import DocumentNotFound


def test_what_each_system_holds_is_told(refused):
    ua, dl = case().holdings, case(DL).holdings

    assert (ua.books, ua.erp, ua.tax, ua.has_entry, ua.is_reversed) == ("issued", "nothing", "committed", True, False)
    assert (dl.books, dl.erp) == ("issued", "document")
    with pytest.raises(DocumentNotFound, match="there is no document"):
        case("PONY-999999")


def test_a_document_is_sent_again_under_its_number_and_key(refused, erp):
    ask("resend")
    refused.work()
    refused.let_time_pass()
    refused.work()

    assert refused.stage(refused.run) == "closed"
    assert tries(refused) == [("send_again", "done")]
    assert refused.bound.rows("select state, requested_by, reason from repairs") == [
        ("done", "ann", "the customer was wrong")
    ]
    assert refused.bound.rows("select state, closed_by from exceptions") == [("resolved", "ann")]
    assert len(list(refused.ledger.glob("2026-03/*.journal"))) == 2
    refused.assert_all_accounted_for(in_flight=0, excepted=0)


def test_a_document_that_is_voided_is_billed_by_the_next_run_exactly_once(refused, tax):
    gross = refused.bound.one("select gross from invoices where number_text = :n", n=UA)
    ask("void")
    refused.work()

    assert tries(refused) == [
        ("withdraw", "done"),
        ("void_tax", "done"),
        ("reverse_entry", "done"),
        ("void_document", "done"),
    ]
    assert refused.bound.rows("select state, number_text from invoices order by id") == [("void", UA), ("posted", DL)]
    assert tax.held == {UA: "void", DL: "committed"}
    assert receivable(refused) == confirmed(refused)
    assert refused.bound.one("select state from exceptions") == "resolved"
    refused.assert_all_accounted_for(in_flight=6, excepted=0)
    refused.let_time_pass()
    refused.work()
    assert refused.blockers(refused.run) == {"usage_in_flight": 6}

    later = refused.bill()
    assert [row[0:4] for row in refused.documents(later)] == [("ua", "invoice", "posted", "PONY-000003")]
    assert refused.bound.one("select gross from invoices where number_text = 'PONY-000003'") == gross
    refused.let_time_pass()
    refused.work()
    assert (refused.stage(refused.run), refused.stage(later)) == ("closed", "closed")
    assert (
        receivable(refused)
        == confirmed(refused)
        == refused.bound.one("select sum(gross) from invoices where state = 'posted'")
    )
    refused.assert_all_accounted_for(in_flight=0, excepted=0)
    for run in (refused.run, later):
        with engine().begin() as conn:
            assert run_totals.differing(run_totals.of_run(conn, run)) == []


def test_usage_that_costs_nothing_is_released_and_billed_too(month, erp, tax):
    month.bound.run("""update prices set terms = '{"model": "per_unit", "unit_amount": "0"}'
                     where metric_id = (select id from metrics where name = 'distance')""")
    month.use(*MARCH)
    erp.plan.append("refused")
    month.bill()
    ask("void")
    month.work()
    month.bill()

    month.assert_all_accounted_for(in_flight=0, excepted=0)


def test_a_flat_fee_without_usage_is_left_to_the_next_run_too(month, erp, tax):
    month.bound.run("""update prices set terms = '{"model": "graduated", "zero_usage": "first_tier_flat", "tiers": [
      {"up_to": null, "unit_amount": "0", "flat_amount": "7.50"}]}'
      where metric_id in (select id from metrics where name = 'distance')""")
    month.use(("u1", "UA", "N1", 1))
    erp.plan.extend(["none", "refused"])
    run = month.bill()
    (number,) = [row[3] for row in month.documents(run) if row[0] == "dl"]
    ask("void", number)
    month.work()
    month.let_time_pass()
    month.work()
    assert month.stage(run) == "closed"
    with engine().begin() as conn:
        cycle = billing_looks.cycles(conn, "pony")["monthly"]
        period = billing_looks.period(conn, cycle, month.bound.one("select starts_on from billing_periods"))
        assert billing_looks.has_new_usage(conn, period)

    later = month.bill()
    assert [(row[0], row[4]) for row in month.documents(later)] == [("dl", "7.50")]
    with engine().begin() as conn:
        assert not billing_looks.has_new_usage(conn, period)


def test_a_document_that_a_later_one_builds_on_is_not_undone_before_it(refused):
    refused.use(("u9", "UA", "N1", 100))
    refused.bound.run("update billing_runs set stage = 'posted'")  # as if it waited for nothing
    refused.request()

    assert case().holdings.later == "draft 3"
    with pytest.raises(RepairRefused, match="draft 3 bills the difference"):
        ask("void")


def test_a_subscription_whose_document_is_being_undone_is_left_to_the_run_after(refused):
    ask("void")
    refused.use(("u9", "UA", "N1", 100), ("d9", "DL", "N1", 100))
    refused.bound.run("update work set due_at = now() + interval '1 hour' where subject = 'repair/1'")
    refused.bound.run("update billing_runs set stage = 'posted'")
    later = refused.request()
    assert [row[0] for row in refused.documents(later)] == ["dl"]
    refused.approve(later)
    refused.bound.run("update work set due_at = now() where subject = 'repair/1'")
    refused.work()

    last = refused.bill()
    assert [row[0:3] for row in refused.documents(last)] == [("ua", "invoice", "posted")]
    refused.assert_all_accounted_for(in_flight=0, excepted=0)


def test_a_held_document_can_be_undone_too(month, erp, tax):
    month.use(*MARCH)
    (month.ledger / "periods").write_text("2026-03 closed\n")
    month.bill()
    ask("void")
    month.work()

    assert month.bound.rows("select state, reason from exceptions order by work_id") == [
        ("resolved", "the customer was wrong"),
        ("open", None),
    ]
    assert month.bound.rows("select cause.code from repairs r join exceptions cause on cause.id = r.exception_id") == [
        ("period_closed",)
    ]
    month.assert_all_accounted_for(in_flight=6, excepted=3)


def test_journal_in_and_document_out_is_put_right_by_the_journal_alone(refused):
    """A database that was restored in two parts: the document is void, its entry stands."""
    refused.bound.run("update erp_postings set state = 'superseded' where id = 1")
    refused.bound.run("update invoices set state = 'void' where number_text = :n", n=UA)
    with pytest.raises(RepairRefused, match="void"):
        ask("void")
    ask("reverse_journal")
    refused.work()

    assert tries(refused) == [("reverse_entry", "done")]
    assert receivable(refused) == confirmed(refused)


def test_a_number_is_looked_for_in_the_legal_entity_that_is_named(refused):
    with pytest.raises(DocumentNotFound, match="there is no document"):
        ask("void", entity="other")
    assert ask("void", entity="pony").id == 1


def test_what_was_planned_is_kept_with_what_each_system_held(refused):
    ask("void", approval_id=7)

    ((holdings, acts, approval),) = refused.bound.rows("select holdings::text, acts, approval_id from repairs")
    assert json.loads(holdings)["erp"] == "nothing"
    assert acts == ["withdraw", "void_tax", "reverse_entry", "void_document"]
    assert approval == 7
    assert tries(refused) == []


def test_a_kind_of_repair_that_does_not_exist_is_no_deed(refused):
    (deed,) = documents.DEEDS
    order = Order("ann", "why not", {"number": UA, "kind": "burn"})

    with engine().begin() as conn, pytest.raises(RepairRefused, match="there is no repair 'burn'"):
        deed.plan(conn, order)
    assert refused.bound.one("select count(*) from repairs") == 0
