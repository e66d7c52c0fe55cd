"""Repairs on a real month: whatever stops them wherever, every cent is billed once and every system agrees."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from domain.repairs import RepairRefused
from workers import repairing, step
from workers.deeds import documents
from workers.deeds.deed import Order
from workers.erp import registry
from workers.erp.ledger_file import LedgerFile
from workers.store import billing_looks, identity, repair_acts, repairs, run_totals
from workers.store.database import engine, snapshot
from workers.store.repairs import DocumentNotFound, Wanted
from workers.tax_engines import registry as tax_registry
from workers.tax_engines.protocol import TaxEngineAway, TaxRefused

sys.path.append(str(Path(__file__).parent / "erp"))
from erp_faults import Crash, Faulty
from erp_two_step import TwoStepErp

MARCH = (("u1", "UA", "N1", 1400), ("u2", "UA", "N1", 1400), ("d1", "DL", "N3", 500))
UA, DL = "PONY-000001", "PONY-000002"


@dataclass
class TaxTelephone:
    """An engine far away that remembers what it was told; each fault is raised once."""

    held: dict[str, str] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)

    def commit(self, document):
        if self.faults:
            raise self.faults.pop(0)
        self.held[document.number] = "committed"
        return f"tax-{document.number}"

    def void(self, document):
        if self.faults:
            raise self.faults.pop(0)
        self.held[document.number] = "void"


@pytest.fixture
def tax(monkeypatch):
    engine_ = TaxTelephone()
    monkeypatch.setitem(tax_registry.ENGINES, "table", lambda: engine_)
    return engine_


@pytest.fixture
def erp(month, monkeypatch):
    month.ledger.mkdir(parents=True)
    faulty = Faulty(LedgerFile(month.ledger))
    monkeypatch.setitem(registry.ADAPTERS, "ledger-file", lambda _connection: faulty)
    return faulty


@pytest.fixture
def refused(month, erp, tax):
    """March is issued; the ERP has refused United's document and confirmed Delta's."""
    month.use(*MARCH)
    erp.plan.append("refused")
    month.run = month.bill()
    assert [row[0:4] for row in month.documents(month.run)] == [
        ("dl", "invoice", "posted", DL),
        ("ua", "invoice", "issued", UA),
    ]
    return month


def ask(kind, number=UA, **more):
    with engine().begin() as conn:
        return repairs.request(conn, Wanted(number, kind, "ann", "the customer was wrong", **more))


def case(number=UA):
    with engine().begin() as conn:
        return repairs.case(conn, number)


def tries(month):
    return [tuple(row) for row in month.bound.rows("select act, outcome from repair_history order by id")]


def receivable(month):
    """What our journal says that accounts owe."""
    return month.bound.one("select coalesce(sum(amount), 0) from postings where ledger_account = 'assets:receivable'")


def confirmed(month):
    return month.bound.one("select coalesce(sum(read_gross), 0) from erp_postings where state = 'confirmed'")


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


def test_what_the_erp_has_confirmed_is_never_undone(refused):
    with pytest.raises(RepairRefused, match="credit note"):
        ask("void", DL)
    with pytest.raises(RepairRefused, match="nothing to repair"):
        ask("resend", DL)
    for statement in (
        "update erp_postings set state = 'superseded', confirmed_at = null where state = 'confirmed'",
        "update invoices set state = 'void' where state = 'posted'",
    ):
        with engine().begin() as conn, pytest.raises(DBAPIError):
            conn.exec_driver_sql(statement)
    assert refused.bound.one("select count(*) from repairs") == 0


def test_a_void_document_stays_void_and_keeps_its_number(refused):
    ask("void")
    refused.work()

    for statement in (
        "update invoices set state = 'issued' where state = 'void'",
        "update invoices set number_text = 'PONY-9' where state = 'void'",
        "update repair_history set outcome = 'failed'",
        "delete from repairs",
    ):
        with engine().begin() as conn, pytest.raises(DBAPIError):
            conn.exec_driver_sql(statement)
    with pytest.raises(RepairRefused, match="nothing of it is left"):
        ask("reverse_journal")


def test_a_document_that_the_erp_holds_after_all_is_not_undone(refused, erp):
    """The ERP said no, and somebody booked the document there by hand under our key."""
    from workers.erp.protocol import Resume
    from workers.store import erp_postings

    with engine().begin() as conn:
        asked = erp_postings.load(conn, case().posting_id).asked
    erp.erp.post(asked, Resume(keep_draft=lambda _ref: None))
    ask("void")
    refused.work()

    assert tries(refused) == [("withdraw", "failed")]
    assert "send it again" in refused.bound.one("select answer ->> 'sentence' from repair_history")
    assert refused.bound.one("select state from repairs") == "failed"
    assert refused.bound.one("select state from invoices where number_text = :n", n=UA) == "issued"
    refused.assert_all_accounted_for(in_flight=0, excepted=6)

    ask("resend")
    refused.work()
    refused.let_time_pass()
    refused.work()
    assert refused.stage(refused.run) == "closed"


def test_a_draft_in_the_erp_has_to_be_deleted_there_first(month, tax, monkeypatch):
    erp = Faulty(TwoStepErp())
    monkeypatch.setitem(registry.ADAPTERS, "ledger-file", lambda _connection: erp)
    month.use(*MARCH)
    erp.plan.append("crash at draft")
    with pytest.raises(Crash):
        month.bill()
    month.bound.run("update work set state = 'dead', lease_until = null where subject = 'erp_posting/1'")
    month.bound.run("update erp_postings set state = 'rejected', lease_until = null where id = 1")
    month.work()
    assert case().holdings.erp == "draft"

    ask("void")
    month.work()
    assert "delete it there first" in month.bound.one("select answer ->> 'sentence' from repair_history")

    erp.erp.held.clear()
    ask("void")
    month.work()
    assert month.bound.one("select state from invoices where number_text = :n", n=UA) == "void"


def test_what_is_not_known_is_looked_up_before_anything_is_undone(refused, erp):
    refused.bound.run("update erp_postings set state = 'unknown' where id = 1")
    with pytest.raises(RepairRefused, match="not known whether"):
        ask("void")

    refused.bound.run("update erp_postings set state = 'rejected' where id = 1")
    ask("void")
    refused.bound.run("update erp_postings set state = 'unknown' where id = 1")
    refused.work()

    assert tries(refused) == [("withdraw", "failed")]
    assert refused.bound.one("select state from repairs") == "failed"


def test_a_document_that_differs_in_the_erp_is_corrected_there(refused):
    refused.bound.run("update erp_postings set code = 'posting_differs', state = 'unknown' where id = 1")
    assert case().holdings.erp == "other_document"
    refused.bound.run(
        """insert into erp_attempts (erp_posting_id, lease_no, call, outcome, request, answer)
           values (1, 1, 'read_back', 'differs', '{}', '{"names": ["entry"]}')"""
    )
    assert case().holdings.erp == "document_without_journal"
    with pytest.raises(RepairRefused, match="correct it there"):
        ask("void")


def test_a_repair_waits_for_a_worker_that_posts_the_document(refused):
    refused.bound.run("update erp_postings set lease_until = now() + interval '1 minute' where id = 1")
    ask("void")
    refused.work()
    assert refused.bound.one("select outcome from work where subject = 'repair/1'") == "snooze"

    refused.let_time_pass()
    refused.work()
    assert refused.bound.one("select state from repairs") == "done"


def test_a_look_whose_lease_was_lost_withdraws_nothing(refused, erp, monkeypatch):
    find = erp.find

    def take_over(key):
        monkeypatch.setattr(erp, "find", find)
        refused.bound.run("update erp_postings set lease_no = lease_no + 1 where id = 1")
        return find(key)

    monkeypatch.setattr(erp, "find", take_over)
    ask("void")
    refused.work()

    assert refused.bound.one("select state from erp_postings where id = 1") == "rejected"
    assert refused.bound.one("select outcome from work where subject = 'repair/1'") == "snooze"
    refused.let_time_pass()
    refused.work()
    assert refused.bound.one("select state from repairs") == "done"


def test_a_tax_engine_that_is_away_or_refuses_leaves_the_rest_of_the_undo_for_later(refused, tax):
    tax.faults.extend([TaxEngineAway("503", delay_s=0.5), TaxRefused("the return of March is filed")])
    ask("void")
    refused.work()
    assert refused.bound.one("select outcome from work where subject = 'repair/1'") == "snooze"
    refused.let_time_pass()
    refused.work()

    assert refused.bound.rows("select code from exceptions where state = 'open'") == [("tax_refused",)]
    assert tries(refused) == [("withdraw", "done")]
    assert refused.bound.one("select state from invoices where number_text = :n", n=UA) == "issued"
    with pytest.raises(RepairRefused, match="is under way"):
        ask("resend")
    assert ask("void").id == 1
    with snapshot() as conn:
        assert identity.differences(conn) == []

    refused.bound.run("update work set state = 'ready', due_at = now() where subject = 'repair/1'")
    refused.work()
    assert refused.bound.one("select state from repairs") == "done"
    assert tax.held[UA] == "void"


def test_a_tax_engine_that_is_away_or_refuses_holds_the_document_back(month, erp, tax):
    month.use(*MARCH)
    tax.faults.extend([TaxEngineAway("503", delay_s=0.5), TaxRefused("no such company")])
    month.bill()

    assert erp.calls.count("post") == 0
    assert month.bound.rows("select code from exceptions") == [("tax_refused",)]
    assert case(DL).holdings.tax == "maybe_committed"
    month.let_time_pass()
    month.bound.run("update work set state = 'ready' where state = 'dead'")
    month.work()
    assert set(tax.held.values()) == {"committed"}
    assert month.bound.rows("select distinct state from tax_commitments") == [("committed",)]


def test_an_engine_that_is_gone_is_named(refused, monkeypatch):
    monkeypatch.delitem(tax_registry.ENGINES, "table")
    ask("void")
    refused.work()

    assert refused.bound.rows("select code from exceptions where state = 'open'") == [("tax_engine_unknown",)]


@pytest.mark.parametrize("place", range(1, 6))
def test_a_worker_that_dies_between_any_two_acts_leaves_a_repair_that_goes_on(refused, tax, monkeypatch, place):
    load, calls = repairs.load, []

    def die(conn, repair_id):
        calls.append(repair_id)
        if len(calls) == place:
            raise Crash
        return load(conn, repair_id)

    monkeypatch.setattr(repairing.repairs, "load", die)
    ask("void")
    with pytest.raises(Crash):
        refused.work()
    with snapshot() as conn:
        assert identity.differences(conn) == []

    refused.let_time_pass()
    refused.work()

    assert len(tries(refused)) == 4
    assert refused.bound.one("select state from repairs") == "done"
    assert receivable(refused) == confirmed(refused)
    refused.assert_all_accounted_for(in_flight=6, excepted=0)


def test_a_worker_that_dies_within_an_act_has_done_nothing_of_it(refused, monkeypatch):
    void = repair_acts.void_document

    def die(conn, repair):
        void(conn, repair)
        raise Crash

    monkeypatch.setattr(repairing.repair_acts, "void_document", die)
    ask("void")
    with pytest.raises(Crash):
        refused.work()
    assert refused.bound.one("select state from invoices where number_text = :n", n=UA) == "issued"

    monkeypatch.setattr(repairing.repair_acts, "void_document", void)
    refused.let_time_pass()
    refused.work()
    assert refused.bound.one("select state from invoices where number_text = :n", n=UA) == "void"


def test_a_repair_that_is_performed_twice_is_done_once(refused):
    ask("void")
    refused.work()
    refused.bound.run("update work set state = 'ready', due_at = now() where subject = 'repair/1'")
    (row,) = refused.bound.rows("select id from work where subject = 'repair/1'")
    step.perform("post", list(row))

    assert len(tries(refused)) == 4
    assert refused.bound.one("select count(*) from journal_entries") == 3


def test_a_posting_that_nobody_owes_any_more_is_owed_again(refused):
    refused.bound.run("update work set state = 'done' where subject = 'erp_posting/1'")
    ask("resend")
    refused.work()
    refused.let_time_pass()
    refused.work()

    assert refused.stage(refused.run) == "closed"
    assert refused.bound.one("select max(revision) from work where subject = 'erp_posting/1'") >= 2


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
