"""A document goes to the account that receives those of the contract's account; whose usage it bills stays known."""

from collections.abc import Iterator

import pytest
from billing_month import Month
from test_close_story import MARCH

from workers.store import trace
from workers.store.database import snapshot


@pytest.fixture
def received(month: Month) -> Iterator[Month]:
    """March, with the documents of Delta going to United."""
    month.bound.run("update accounts set bill_to_id = 'ua' where id = 'dl'")
    yield month
    month.bound.run("update accounts set bill_to_id = null")


def test_each_contract_has_a_document_and_both_go_to_the_receiver(received):
    received.use(*MARCH)

    run = received.bill()

    found = received.bound.rows(
        """select i.account_id, c.account_id, c.ref from invoices i join contracts c on c.id = i.contract_id
           where i.billing_run_id = :run order by c.ref""",
        run=run,
    )
    assert [tuple(row) for row in found] == [("ua", "dl", "c-dl"), ("ua", "ua", "c-ua")]
    assert received.stage(run) == "closed"
    received.assert_all_accounted_for()


def test_the_erp_is_given_the_receiver(received):
    received.use(*MARCH)

    received.bill()

    files = [path.read_text() for path in received.ledger.glob("*/*.journal")]
    written = [each for each in files if each.startswith("; tallyline document")]
    assert len(written) == 2
    assert all("; account-id: ua\n" in each for each in written)


def test_a_trace_says_whose_usage_it_is_and_who_received_the_document(received):
    received.use(*MARCH)
    received.bill()

    with snapshot() as conn:
        event_no = trace.number_of(conn, "/ops/jfk", "d1")
        assert event_no is not None
        usages = trace.usages(conn, event_no)

    assert {(each["account"], each["line"]["billed_to"]) for each in usages} == {("dl", "ua")}


def test_a_draft_goes_where_it_was_meant_to_go_when_it_was_made(received):
    received.use(*MARCH)
    run = received.request()

    received.bound.run("update accounts set bill_to_id = null")
    received.approve(run)

    assert {row[0] for row in received.documents(run)} == {"ua"}
