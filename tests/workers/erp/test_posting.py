"""`post`: whatever an ERP or a worker does at the worst moment, each document is in the ERP once, and confirmed."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from billing_bench import PRICES, issue, standing
from erp_benches import BENCHES
from erp_documents import document
from erp_faults import Crash, Faulty
from erp_two_step import TwoStepErp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workers.post  # noqa: F401 - registers its step
from domain.money import Money
from queues import gate as gates
from queues.gate import Pace
from workers import posting, posting_call, step
from workers.erp import registry
from workers.erp.moves import differences
from workers.erp.protocol import ReadBack
from workers.store.database import engine
from workers.store.erp_postings import begin

JANUARY = date(2013, 1, 31)
SUBJECT = "erp_posting/{}"


@pytest.fixture
def books(register, monkeypatch):
    """The register with prices and an ERP connection; nothing is posted yet."""
    register.run(PRICES)
    register.run("truncate work, erp_attempts, notices, exceptions restart identity cascade")
    gates.gate.cache_clear()
    monkeypatch.setattr(posting_call, "TURN_S", 0.2)
    return register


@pytest.fixture
def connected(monkeypatch):
    """Makes an adapter the ERP of the connection."""

    def connect(erp):
        monkeypatch.setitem(registry.ADAPTERS, "test-erp", lambda _connection: erp)
        return erp

    return connect


def ready(books):
    return [row.id for row in books.rows("select id from work where step = 'post' and state = 'ready' order by id")]


def let_time_pass(books):
    """As if every lease had run out, every quiet time were over and every due time had come."""
    books.run("update work set due_at = now(), lease_until = null where state = 'ready'")
    books.run("update erp_postings set lease_until = now() - interval '1 s' where lease_until is not null")
    gates.gate.cache_clear()


@pytest.fixture
def attempt(books):
    """Run each ready row once, as a worker would; whether one died of it."""

    def run() -> bool:
        died = False
        for each in ready(books):
            try:
                step.perform("post", [each])
            except Crash:
                died = True
        return died

    return run


@pytest.fixture
def deliver(books, attempt):
    """Run what is ready and let time pass, until nothing is ready any more."""

    def run(rounds: int = 20) -> None:
        for _ in range(rounds):
            if not ready(books):
                return
            attempt()
            let_time_pass(books)
        raise AssertionError("the posting never ends")

    return run


def key_of(books, posting):
    return books.one("select external_key from erp_postings where id = :id", id=posting)


def calls(books, posting):
    return [
        (row.call, row.outcome)
        for row in books.rows(
            "select call, outcome from erp_attempts where erp_posting_id = :id order by id", id=posting
        )
    ]


def replay(books, posting):
    books.run("update work set state = 'ready', due_at = now() where subject = :s", s=SUBJECT.format(posting))


CONFIRMED = ("confirmed", "posted", "done")


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


def taxed(asked, tax):
    """The document with another tax."""
    taxes = (replace(asked.document.taxes[0], tax=Money.of(tax, "USD")),)
    return replace(asked, document=replace(asked.document, taxes=taxes))


def test_other_totals_in_the_erp_are_parked_never_accepted(books, connected, deliver):
    erp = connected(TwoStepErp(alters=lambda asked: taxed(asked, "8.87")))
    posting = issue(books)

    deliver()

    assert standing(books, posting) == ("unknown", "issued", "dead")
    ((code, sentence),) = books.rows("select code, sentence from exceptions")
    assert code == "posting_differs"
    assert "tax, gross" in sentence
    assert books.one("select read_tax from erp_postings where id = :id", id=posting) == Decimal("8.87")

    erp.held["draft-1"].document = taxed(erp.held["draft-1"].document, "8.88")
    replay(books, posting)
    deliver()
    assert standing(books, posting) == CONFIRMED


class Interrupted:
    """An ERP during whose call something else happens."""

    def __init__(self, erp, meanwhile):
        self.erp, self.meanwhile, self.seen = erp, meanwhile, []

    def __getattr__(self, name):
        return getattr(self.erp, name)

    def post(self, document, resume):
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        self.seen.append(meanwhile())
        return self.erp.post(document, resume)


def test_intent_and_lease_are_committed_before_the_call_and_no_transaction_is_open_during_it(books, connected, deliver):
    def look():
        (row,) = books.rows("select state, lease_until > now() as is_held from erp_postings order by id desc limit 1")
        idle = books.one(
            """select count(*) from pg_stat_activity
               where state = 'idle in transaction' and datname = current_database()"""
        )
        return row.state, row.is_held, idle

    erp = connected(Interrupted(TwoStepErp(), look))
    issue(books)

    deliver()

    assert erp.seen[0] == ("sending", True, 0)


def test_an_outcome_that_comes_too_late_is_kept_as_stale_and_looked_up(books, connected, attempt, deliver, bench):
    """The lease ran out during the call, another worker took over, and found nothing yet."""

    def take_over():
        books.run("update work set lease_no = lease_no + 1, lease_until = null where step = 'post'")

    erp = connected(Interrupted(bench.erp, take_over))
    posting = issue(books)

    attempt()

    assert books.one("select outcome from erp_attempts where is_stale") in ("posted", "unknown")
    assert standing(books, posting) == ("sending", "issued", "ready,ready")
    let_time_pass(books)
    deliver()
    assert standing(books, posting) == ("confirmed", "posted", "done,done")
    assert bench.count(key_of(books, posting)) == 1
    assert erp.seen[0] is None


def test_an_outcome_of_a_lost_posting_lease_is_stale_too(books, connected, attempt, bench):
    connected(Interrupted(bench.erp, lambda: books.run("update erp_postings set lease_no = lease_no + 1")))
    posting = issue(books)

    attempt()

    assert books.one("select count(*) from erp_attempts where is_stale and erp_posting_id = :id", id=posting) == 1
    assert len(ready(books)) == 2


def test_one_worker_at_a_time_posts_a_document_whatever_work_there_is(books, connected, deliver):
    posting = issue(books)
    books.run(
        """insert into work (step, subject, revision, lane, connection_id, correlation_id)
           values ('post', :s, 2, 'close', 'books', 'c')""",
        s=SUBJECT.format(posting),
    )
    first, second = ready(books)

    def other_worker():
        step.perform("post", [second])
        return books.one("select error from work where id = :id", id=second)

    erp = connected(Interrupted(Faulty(TwoStepErp()), other_worker))
    step.perform("post", [first])

    assert "may still have an effect" in erp.seen[0]
    assert erp.erp.calls.count("post") == 1


def test_the_lease_of_a_posting_is_given_to_one(books):
    posting = issue(books)

    with engine().begin() as conn:
        assert begin(conn, posting, lease_s=60.0) == 1
        assert begin(conn, posting, lease_s=60.0) is None


def test_a_call_that_would_begin_too_late_is_not_begun(books, connected, attempt, monkeypatch):
    erp = connected(Faulty(TwoStepErp()))
    posting = issue(books)

    monkeypatch.setattr(posting_call, "START_S", -1.0)
    attempt()

    assert "post" not in erp.calls
    assert standing(books, posting) == ("planned", "issued", "ready")


def test_a_superseded_posting_is_left_as_it_is(books, connected, deliver):
    erp = connected(Faulty(TwoStepErp()))
    posting = issue(books)
    books.run("update erp_postings set state = 'superseded' where id = :id", id=posting)

    deliver()

    assert erp.calls == []
    assert standing(books, posting) == ("superseded", "issued", "done")


def test_a_confirmed_document_that_is_looked_at_again_is_reconciled(books, connected, deliver, bench):
    connected(bench.erp)
    posting = issue(books)
    deliver()

    replay(books, posting)
    deliver()

    assert books.one("select reconciled_at is not null from erp_postings where id = :id", id=posting)
    assert calls(books, posting)[-1] == ("read_back", "equal")
    assert bench.count(key_of(books, posting)) == 1


@pytest.mark.parametrize("change", ["gone", "another"])
def test_a_confirmed_document_that_is_gone_or_another_one_is_an_exception(books, connected, deliver, change):
    erp = connected(TwoStepErp())
    posting = issue(books)
    deliver()

    held = erp.held.pop("draft-1")
    if change == "another":
        erp.held["draft-9"] = held
    replay(books, posting)
    deliver()

    ((code, sentence),) = books.rows("select code, sentence from exceptions")
    assert code == "posting_differs"
    assert ("nothing" if change == "gone" else "draft-9") in sentence
    assert standing(books, posting)[0] == "confirmed"


def test_a_document_whose_lines_are_not_what_was_approved_is_not_sent(books, connected, deliver):
    erp = connected(Faulty(TwoStepErp()))
    posting = issue(books)
    tampered = "update invoices set net = net + 0.01, gross = gross + 0.01"
    books.run(f"set local session_replication_role = replica; {tampered}")

    deliver()

    assert "post" not in erp.calls
    assert standing(books, posting)[2] == "dead"
    assert books.rows("select code from exceptions") == [("control_totals_differ",)]


@pytest.mark.parametrize("limit", [{"lines_max": 0}, {"amount_decimals_max": 1}])
def test_what_an_erp_cannot_take_is_not_sent(books, connected, deliver, limit):
    erp = connected(Faulty(TwoStepErp()))
    limits = replace(erp.limits(), **limit)
    erp.limits = lambda: limits
    posting = issue(books)

    deliver()

    assert "post" not in erp.calls
    assert standing(books, posting)[2] == "dead"
    assert books.rows("select code from exceptions") == [("posting_rejected",)]


def test_an_erp_that_is_away_costs_no_attempt(books, connected, deliver, bench):
    erp = connected(Faulty(bench.erp, away=3))
    posting = issue(books)

    deliver()

    assert standing(books, posting) == CONFIRMED
    assert erp.calls.count("post") == 1
    assert books.one("select attempts from work where step = 'post'") == 0


def test_an_erp_that_is_away_is_left_alone_by_its_other_postings(books, connected, attempt, deliver, bench):
    erp = connected(Faulty(bench.erp, away=1, away_s=10.0))
    first, second = issue(books), issue(books)

    attempt()

    assert erp.calls == ["find"]
    assert books.rows("select outcome, attempts from work where step = 'post' order by id") == [
        ("erp_away", 0), ("snooze", 0),
    ]  # fmt: skip
    deliver()
    assert standing(books, first) == standing(books, second) == CONFIRMED


def test_an_erp_that_is_away_with_redis_away_is_told_as_redis(books, connected, attempt, bench, monkeypatch):
    class Closed(gates.LocalGate):
        def pause(self, key, seconds):
            raise gates.GateClosed("no redis", delay_s=5)

    connected(Faulty(bench.erp, away=1, away_s=10.0))
    issue(books)
    closed = Closed()
    monkeypatch.setattr(posting, "gate", lambda: closed)

    attempt()

    assert books.rows("select outcome, attempts from work where step = 'post'") == [("redis_away", 0)]


def test_a_full_gate_delays_the_posting_before_any_lease_is_taken(books, connected, attempt, deliver):
    connected(TwoStepErp())
    posting = issue(books)
    pace = Pace(per_second=1000, concurrency=2, burst=2, lease_s=60)
    for _ in range(2):
        gates.gate().acquire("erp:books", pace, max_wait_s=0)

    attempt()

    assert standing(books, posting) == ("planned", "issued", "ready")
    assert calls(books, posting) == []
    assert books.one("select attempts from work where step = 'post'") == 0
    deliver()
    assert standing(books, posting) == CONFIRMED


def test_a_connection_without_an_adapter_is_named(books, deliver):
    posting = issue(books)
    books.run("update erp_connections set adapter = 'abacus'")

    deliver()

    assert standing(books, posting)[2] == "dead"
    ((code, sentence),) = books.rows("select code, sentence from exceptions")
    assert code == "erp_unreadable"
    assert "abacus" in sentence


@pytest.mark.parametrize("settings_", ['{"folder": 7}', '{"folder": ""}'])
def test_a_ledger_without_a_folder_is_named(books, deliver, settings_):
    issue(books)
    books.run("update erp_connections set adapter = 'ledger-file', settings = cast(:s as jsonb)", s=settings_)

    deliver()

    assert books.rows("select code from exceptions") == [("erp_unreadable",)]


def test_the_ledger_of_a_connection_lies_in_the_home_folder(books, deliver, monkeypatch, tmp_path):
    from queues import settings as chosen

    monkeypatch.setenv("TALLYLINE_HOME", str(tmp_path))
    chosen.settings.cache_clear()
    posting = issue(books)
    books.run("update erp_connections set adapter = 'ledger-file'")

    deliver()

    (path,) = (tmp_path / "ledgers" / "books" / "2013-01").iterdir()
    assert path.stem == key_of(books, posting)


def test_every_difference_between_a_document_and_what_was_read_back_has_a_name():
    asked = document("TL-1")
    same = ReadBack("ref", "TL-1", "1", asked.number, asked.totals, asked.entry.postings[::-1])

    assert differences(asked, same) == []
    assert differences(asked, replace(same, key="TL-2", document_number="PNY-2", entry=())) == [
        "key",
        "number",
        "entry",
    ]
    assert differences(asked, replace(same, document_number=None, entry=None)) == []
    other = replace(asked.totals, net=Money.of(1, "USD"), tax=Money.of("8.88", "EUR"), lines=2)
    assert differences(asked, replace(same, totals=other)) == ["net", "tax", "lines"]


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
