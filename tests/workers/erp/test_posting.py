"""`post`: whatever an ERP or a worker does at the worst moment, each document is in the ERP once, and confirmed."""

from decimal import Decimal

import pytest
from billing_bench import issue, standing
from erp_benches import BENCHES
from erp_faults import Faulty
from erp_two_step import TwoStepErp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from posting_bench import CONFIRMED, JANUARY, calls, key_of, let_time_pass, replay


def test_a_document_is_posted_and_confirmed_by_reading_it_back(books, connected, deliver, bench):
    connected(bench.erp)
    posting = issue(books)

    deliver()

    assert standing(books, posting) == CONFIRMED
    assert bench.count(key_of(books, posting)) == 1
    assert calls(books, posting) == [("post", "sending"), ("post", "posted"), ("read_back", "equal")]
    (read,) = books.rows("select read_net, read_tax, read_gross, read_lines from erp_postings where id = :i", i=posting)
    assert read == (Decimal(100), Decimal("8.88"), Decimal("108.88"), 1)


def test_a_confirmed_document_is_told_once(books, connected, deliver, bench):
    connected(bench.erp)
    posting = issue(books)

    deliver()

    (notice,) = books.rows("select routing_key, body -> 'data' as told from notices")
    assert notice.routing_key == "tallyline.document.posted"
    assert (notice.told["gross"], notice.told["external_key"]) == ("108.88", key_of(books, posting))
    assert books.rows("select step, state from work where step = 'notify'") == [("notify", "ready")]


@pytest.mark.parametrize("fault", ["lost answer", "unknown"])
def test_a_lost_answer_does_not_post_twice(books, connected, deliver, bench, fault):
    erp = connected(Faulty(bench.erp))
    erp.plan.append(fault)
    posting = issue(books)

    deliver()

    assert standing(books, posting) == CONFIRMED
    assert bench.count(key_of(books, posting)) == 1
    assert erp.calls.count("post") == 1
    assert books.one("select attempts from work where step = 'post'") == 0


def test_a_lost_request_is_sent_again_after_two_look_ups_in_vain(books, connected, deliver, bench):
    erp = connected(Faulty(bench.erp))
    erp.plan.append("lost request")
    posting = issue(books)

    deliver()

    assert standing(books, posting) == CONFIRMED
    assert bench.count(key_of(books, posting)) == 1
    assert erp.calls.count("post") == 2
    assert calls(books, posting)[:4] == [
        ("post", "sending"),
        ("post", "unknown"),
        ("find", "not_found"),
        ("post", "sending"),
    ]


def test_a_document_is_not_sent_again_while_a_call_may_still_have_an_effect(books, connected, attempt):
    erp = connected(Faulty(TwoStepErp(quiet_s=900.0)))
    erp.plan.append("lost request")
    posting = issue(books)

    for _ in range(4):
        attempt()
        books.run("update work set due_at = now() where state = 'ready'")

    assert erp.calls.count("post") == 1
    assert standing(books, posting)[0] == "unknown"
    assert books.one("select not_found from erp_postings where id = :id", id=posting) == 0


def test_where_the_erp_would_take_a_key_twice_a_person_is_asked(books, connected, deliver):
    erp = connected(Faulty(TwoStepErp(key_is_unique=False)))
    erp.plan.append("lost request")
    posting = issue(books)

    deliver()

    assert standing(books, posting) == ("unknown", "issued", "dead")
    assert books.rows("select code, facts ->> 'number' from exceptions") == [("posting_unknown", f"PNY-{posting}")]
    assert erp.calls.count("post") == 1


def test_a_busy_erp_is_left_alone_and_costs_no_attempt(books, connected, attempt, deliver, bench):
    erp = connected(Faulty(bench.erp))
    erp.plan.extend(["busy", "busy"])
    posting = issue(books)

    attempt()
    assert standing(books, posting) == ("planned", "issued", "ready")
    deliver()

    assert standing(books, posting) == CONFIRMED
    assert erp.calls.count("post") == 3
    assert books.one("select attempts from work where step = 'post'") == 0


def test_a_busy_erp_closes_the_gate_for_as_long_as_it_asks(books, connected, attempt):
    erp = connected(TwoStepErp(is_busy=True))
    first, second = issue(books), issue(books)

    attempt()

    assert calls(books, first) == [("post", "sending"), ("post", "busy")]
    assert calls(books, second) == []
    assert books.one("select count(*) from work where due_at > now() + interval '1 s' and attempts = 0") == 2
    erp.is_busy = False


def test_a_refusal_waits_for_a_person_with_the_words_of_the_erp(books, connected, deliver, bench):
    erp = connected(Faulty(bench.erp))
    erp.plan.append("refused")
    posting = issue(books)

    deliver()

    assert standing(books, posting) == ("rejected", "issued", "dead")
    ((code, sentence, erp_code),) = books.rows("select code, sentence, facts ->> 'erp_code' from exceptions")
    assert (code, erp_code) == ("posting_rejected", "customer_unknown")
    assert "no such customer" in sentence
    assert bench.count(key_of(books, posting)) == 0

    replay(books, posting)
    deliver()
    assert standing(books, posting) == CONFIRMED
    assert bench.count(key_of(books, posting)) == 1


def test_a_closed_period_holds_the_document_and_says_so_once(books, connected, attempt, deliver, bench):
    connected(bench.erp)
    bench.set_period(JANUARY, is_open=False)
    posting = issue(books)

    for _ in range(2):
        attempt()
        let_time_pass(books)

    assert standing(books, posting) == ("planned", "issued", "ready")
    assert books.rows("select routing_key from notices") == [("tallyline.document.held",)]
    assert books.one("select max(attempts) from work where step = 'post'") == 0
    assert books.rows("select code, waits_key from exceptions") == [("period_closed", "books/2013-01")]

    bench.set_period(JANUARY, is_open=True)
    deliver()
    assert standing(books, posting) == CONFIRMED


def test_a_period_that_closes_between_question_and_posting_holds_too(books, connected, attempt):
    erp = connected(Faulty(TwoStepErp()))
    erp.plan.append("closed")
    posting = issue(books)

    attempt()

    assert standing(books, posting) == ("planned", "issued", "ready")
    assert ("post", "rejected") in calls(books, posting)
    assert books.rows("select routing_key from notices") == [("tallyline.document.held",)]


@pytest.mark.parametrize("fault", ["crash before", "crash at draft", "crash after"])
def test_a_worker_that_dies_leaves_one_document(books, connected, deliver, bench, fault):
    erp = connected(Faulty(bench.erp))
    erp.plan.append(fault)
    posting = issue(books)

    deliver()

    assert standing(books, posting) == CONFIRMED
    assert bench.count(key_of(books, posting)) == 1


def test_a_draft_is_kept_before_it_is_posted_and_taken_up_again(books, connected, attempt, deliver):
    erp = connected(Faulty(TwoStepErp()))
    erp.plan.append("crash at draft")
    posting = issue(books)

    assert attempt()

    assert books.one("select draft_ref from erp_postings where id = :id", id=posting) == "draft-1"
    let_time_pass(books)
    deliver()
    assert list(erp.erp.held) == ["draft-1"]
    assert standing(books, posting) == CONFIRMED


def test_a_draft_is_not_posted_while_another_call_may_be_posting_it(books, connected, attempt):
    erp = connected(Faulty(TwoStepErp(quiet_s=900.0)))
    erp.plan.append("crash at draft")
    posting = issue(books)
    attempt()

    books.run("update work set lease_until = null")
    attempt()

    assert erp.calls.count("post") == 1
    assert calls(books, posting)[-1] == ("find", "draft")


FAULTS = ["lost answer", "unknown", "lost request", "busy", "crash before", "crash at draft", "crash after", "none"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(FAULTS), max_size=8), st.sampled_from(sorted(BENCHES)))
def test_whatever_goes_wrong_in_whatever_order_each_document_is_booked_once(  # noqa: PLR0913, PLR0917
    books, connected, deliver, tmp_path_factory, plan, kind
):
    books.run("update work set state = 'done'")
    bench = BENCHES[kind](tmp_path_factory.mktemp("erp"))
    erp = connected(Faulty(bench.erp))
    erp.plan.extend(plan)
    postings = [issue(books) for _ in range(3)]

    deliver(rounds=60)

    assert [standing(books, posting) for posting in postings] == [CONFIRMED] * 3
    assert [bench.count(key_of(books, posting)) for posting in postings] == [1, 1, 1]
