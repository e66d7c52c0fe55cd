"""What may not be undone, or not yet, is left as it is and said so."""

import pytest
from erp_faults import Crash, Faulty
from erp_two_step import TwoStepErp
from repairs_bench import DL, MARCH, UA, ask, case, tries
from sqlalchemy.exc import DBAPIError

from domain.repairs import RepairRefused
from workers.erp import registry
from workers.store.database import engine


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
