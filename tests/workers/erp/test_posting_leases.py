"""One worker at a time posts a document, and only while its lease holds; what comes too late is looked up."""

from billing_bench import issue, standing
from erp_faults import Faulty
from erp_two_step import TwoStepErp
from posting_bench import SUBJECT, key_of, let_time_pass, ready

from workers import posting_call, step
from workers.store.database import engine
from workers.store.erp_postings import begin


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
        assert begin(conn, posting, lease_s=60.0, debtor=None) == 1
        assert begin(conn, posting, lease_s=60.0, debtor=None) is None


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
