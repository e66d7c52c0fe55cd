"""What every ERP must do, whichever it is; the same tests run on each adapter."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import pytest
from erp_documents import JANUARY, document, line
from erp_faults import Crash, Faulty

from domain.documents import Adjustment
from domain.money import Money
from workers.erp.protocol import PERIOD_CLOSED, Busy, ErpUnreadable, Posted, Rejected, Resume, Unknown

pytestmark = pytest.mark.fast


def no_draft() -> Resume:
    return Resume(keep_draft=lambda _ref: None)


def test_what_was_posted_is_found_under_its_key(bench):
    outcome = bench.erp.post(document("TL-1"), no_draft())

    assert isinstance(outcome, Posted)
    found = bench.erp.find("TL-1")
    assert found is not None
    assert (found.ref, found.number, found.is_posted) == (outcome.ref, outcome.number, True)


def test_a_key_that_was_never_posted_is_not_found(bench):
    bench.erp.post(document("TL-1"), no_draft())

    assert bench.erp.find("TL-") is None
    assert bench.erp.find("TL-10") is None


def test_posting_twice_books_once(bench):
    first = bench.erp.post(document("TL-1"), no_draft())
    second = bench.erp.post(document("TL-1"), no_draft())

    assert isinstance(first, Posted)
    assert second == first or isinstance(second, Rejected)
    assert bench.count("TL-1") == 1


def test_a_key_in_use_is_never_given_to_another_document(bench):
    bench.erp.post(document("TL-1", net="100.00", tax="8.88"), no_draft())

    outcome = bench.erp.post(document("TL-1", net="99.00", tax="8.79"), no_draft())

    assert isinstance(outcome, Rejected)
    found = bench.erp.find("TL-1")
    assert bench.erp.read_back(found.ref).totals.net == Money.of("100.00", "USD")


@pytest.mark.parametrize(
    ("net", "tax", "currency"),
    [("100.00", "8.88", "USD"), ("-12.50", "-1.11", "EUR"), ("1000", "80", "JPY"), ("1.125", "0.005", "BHD")],
)
def test_what_is_read_back_has_the_totals_that_were_posted(bench, net, tax, currency):
    asked = document("TL-1", net=net, tax=tax, currency=currency)

    outcome = bench.erp.post(asked, no_draft())

    back = bench.erp.read_back(outcome.ref)
    assert (back.key, back.totals) == ("TL-1", asked.totals)
    assert back.document_number in (None, asked.number)
    assert back.entry in (None, asked.entry.postings)


def test_a_document_of_nothing_is_booked_too(bench):
    asked = document("TL-1", net="0.00", tax="0.00")

    outcome = bench.erp.post(asked, no_draft())

    assert bench.erp.read_back(outcome.ref).totals == asked.totals


@pytest.mark.parametrize("lines", [("110.00",), ()])
def test_what_stands_beside_the_lines_is_booked_and_read_back_with_them(bench, lines):
    asked = document("TL-1", net="100.00" if lines else "-10.00", tax="8.88" if lines else "-0.89")
    made = tuple(line(Money.of(net, "USD")) for net in lines)
    given = Adjustment(
        "Ten | percent; off", Money.of("-10.00", "USD"), "revenue:x", JANUARY, line(asked.totals.net).evidence
    )
    asked = replace(asked, document=replace(asked.document, lines=made, adjustments=(given,)))

    outcome = bench.erp.post(asked, no_draft())

    back = bench.erp.read_back(outcome.ref).totals
    assert back == asked.totals
    assert (back.net.to_text(), back.lines) == ("100.00" if lines else "-10.00", len(lines))
    assert (asked.service.first_on, asked.service.end_on) == (JANUARY.first_on, JANUARY.end_on)


def test_a_lost_answer_leaves_a_document_that_is_found(bench):
    erp = Faulty(bench.erp)
    erp.plan.append("lost answer")

    with pytest.raises(TimeoutError):
        erp.post(document("TL-1"), no_draft())

    assert erp.find("TL-1").is_posted
    assert bench.count("TL-1") == 1


def test_an_outcome_that_is_not_known_leaves_a_document_that_is_found(bench):
    erp = Faulty(bench.erp)
    erp.plan.append("unknown")

    assert isinstance(erp.post(document("TL-1"), no_draft()), Unknown)

    assert erp.find("TL-1").is_posted


def test_a_busy_erp_says_when_to_come_again_and_holds_nothing(bench):
    with bench.busy():
        outcome = bench.erp.post(document("TL-1"), no_draft())

    assert isinstance(outcome, Busy)
    assert outcome.retry_after_s >= 0
    assert bench.count("TL-1") == 0
    assert isinstance(bench.erp.post(document("TL-1"), no_draft()), Posted)


def test_a_refused_document_is_not_held(bench):
    refused = bench.refused()

    outcome = bench.erp.post(refused, no_draft())

    assert isinstance(outcome, Rejected)
    assert outcome.code
    assert outcome.sentence
    assert bench.count(refused.key) == 0


def test_a_closed_period_is_read_and_refuses_documents_until_it_is_reopened(bench):
    january, february = date(2013, 1, 31), date(2013, 2, 1)
    bench.set_period(january, is_open=False)

    assert bench.erp.period_status(january) == "closed"
    assert bench.erp.period_status(february) == "open"
    refusal = bench.erp.post(document("TL-1", posting_on=january), no_draft())
    assert isinstance(refusal, Rejected)
    assert refusal.code == PERIOD_CLOSED
    assert bench.count("TL-1") == 0

    bench.set_period(january, is_open=True)
    assert isinstance(bench.erp.post(document("TL-1", posting_on=january), no_draft()), Posted)


def test_a_crash_between_draft_and_post_is_taken_up_where_it_ended(bench):
    kept: list[str] = []
    erp = Faulty(bench.erp)
    erp.plan.append("crash at draft")
    try:
        erp.post(document("TL-1"), Resume(keep_draft=kept.append))
    except Crash:
        assert not erp.find("TL-1").is_posted

    outcome = bench.erp.post(document("TL-1"), Resume(keep_draft=kept.append, draft_ref=next(iter(kept), None)))

    assert isinstance(outcome, Posted)
    assert bench.count("TL-1") == 1
    assert len(kept) <= 1


def test_many_writers_of_one_key_make_one_document(bench):
    bench.erp.ping()
    with ThreadPoolExecutor(8) as writers:
        outcomes = list(writers.map(lambda _: bench.erp.post(document("TL-1"), no_draft()), range(8)))

    assert bench.count("TL-1") == 1
    assert any(isinstance(outcome, Posted) for outcome in outcomes)


def test_names_with_odd_characters_come_back_as_they_were(bench):
    names = 'Zürich; (AG) | "x"\t= *1,000  end '
    asked = replace(document("TL-1", account_id=names), account_name=names)

    outcome = bench.erp.post(asked, no_draft())

    back = bench.erp.read_back(outcome.ref)
    assert back.totals == asked.totals
    assert back.entry in (None, asked.entry.postings)


def test_a_reference_that_the_erp_does_not_know_cannot_be_read_back(bench):
    with pytest.raises(ErpUnreadable):
        bench.erp.read_back("no-such-document")


def test_limits_are_told_without_asking(bench):
    limits = bench.erp.limits()

    assert limits.call_s > 0
    assert limits.quiet_s >= 0
    assert limits.lines_max > 0
