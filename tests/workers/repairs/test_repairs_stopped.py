"""Whatever stops a repair wherever, it goes on from there and is done once."""

import pytest
from erp_faults import Crash
from repairs_bench import DL, MARCH, UA, ask, case, confirmed, receivable, tries

from domain.repairs import RepairRefused
from workers import repairing, step
from workers.store import identity, repair_acts, repairs
from workers.store.database import snapshot
from workers.tax_engines import registry as tax_registry
from workers.tax_engines.protocol import TaxEngineAway, TaxRefused


def test_a_tax_engine_that_is_away_or_refuses_leaves_the_rest_of_the_undo_for_later(refused, tax):
    tax.faults.extend([TaxEngineAway("503", delay_s=0.5), TaxRefused("the return of March is filed")])
    ask("void")
    refused.work()
    assert refused.bound.one("select outcome from work where subject = 'repair/1'") == "tax_engine_away"
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
