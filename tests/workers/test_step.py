"""`@step`: one transaction, four outcomes, and nothing that one row can do to another."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from dramatiq.middleware import TimeLimitExceeded
from line_bench import Bound
from sqlalchemy import text

from domain.errors import Rejection, Snooze, Transient
from queues import hints, work
from queues.work import NewWork
from workers import step
from workers.store.database import engine, forget_engine, make_engine
from workers.unit import Errand, LeaseLost, Unit

Body = Callable[[Unit], None]


@pytest.fixture
def owe(bound: Bound) -> Callable[..., list[int]]:
    """Insert work rows and return their ids."""

    def insert(*rows: NewWork) -> list[int]:
        with engine().begin() as conn:
            return [row.id for row in work.insert(conn, rows)]

    return insert


@pytest.fixture
def perform(bound: Bound, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a body as the step `rate` over the rows."""

    def run(body: Body, ids: list[int], *, is_redelivered: bool = False) -> None:
        monkeypatch.setitem(step._runs, "rate", partial(step._transact, body))
        step.perform("rate", ids, is_redelivered=is_redelivered)

    return run


@pytest.fixture
def call(bound: Bound, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a body as the step `post`, around a call to the outside."""

    def run(body: Callable[[Errand], None], ids: list[int]) -> None:
        monkeypatch.setitem(step._runs, "post", partial(step._call, body, 60.0))
        step.perform("post", ids)

    return run


@pytest.fixture(autouse=True)
def _empty(bound: Bound) -> Iterator[None]:
    bound.run("truncate work, exceptions restart identity cascade")
    kept = dict(step._runs)
    yield
    step._runs.clear()
    step._runs.update(kept)


def rate(subject: str, revision: int = 1) -> NewWork:
    return NewWork("rate", subject, correlation_id="c", revision=revision)


def states(bound: Bound) -> dict[str, str]:
    return dict(
        bound.rows("select subject || '@' || revision, state || ' ' || coalesce(outcome, '') from work order by 1")
    )


def test_a_row_is_done_in_the_transaction_of_its_effect_and_the_next_step_is_hinted_after_it(bound, owe, perform):
    ids = owe(rate("a/1"), rate("a/2"))

    def body(unit: Unit) -> None:
        for ready in unit.ready:
            unit.then(ready, "tax", f"invoice/{ready.subject_id}", weight=3)
        assert bound.hints == []

    perform(body, ids)

    assert states(bound) == {
        "a/1@1": "done done", "a/2@1": "done done", "invoice/1@1": "ready ", "invoice/2@1": "ready ",
    }  # fmt: skip
    assert [(name, len(hinted)) for name, hinted, _ in bound.hints] == [("tax", 2)]


def test_a_hint_delivered_twice_does_nothing_the_second_time(bound, owe, perform):
    ids = owe(rate("a/1"))
    runs = []

    for _ in range(2):
        perform(lambda unit: runs.append(len(unit.ready)), ids)

    assert runs == [1]


def test_a_bad_row_takes_no_good_one_with_it(bound, owe, perform):
    ids = owe(rate("a/1"), rate("a/2"), rate("a/3"))

    def body(unit: Unit) -> None:
        if any(ready.subject == "a/2" for ready in unit.ready):
            raise Rejection("no price for a/2", code="price_not_found", metric="distance")

    perform(body, ids)

    assert states(bound) == {"a/1@1": "done done", "a/2@1": "dead price_not_found", "a/3@1": "done done"}
    assert bound.rows("select code, sentence, facts, state, work_id from exceptions") == [
        ("price_not_found", "no price for a/2", {"metric": "distance"}, "open", ids[1])
    ]


def test_an_error_of_ours_is_tried_again_later_and_counted(bound, owe, perform):
    ids = owe(rate("a/1"))

    perform(lambda unit: 1 / 0, ids)

    attempts, waits_s, error = bound.rows("select attempts, extract(epoch from due_at - now()), error from work")[0]
    assert attempts == 1
    assert 0 < waits_s <= 2
    assert "ZeroDivisionError" in error


@pytest.mark.parametrize("error", [Transient("could not connect"), TimeLimitExceeded()])
def test_failures_that_never_end_are_dead_after_the_named_number_of_attempts(bound, owe, perform, error):
    ids = owe(rate("a/1"))

    def body(unit: Unit) -> None:
        raise error

    for _ in range(8):
        bound.run("update work set due_at = now()")
        perform(body, ids)

    assert states(bound) == {"a/1@1": "dead attempts_exhausted"}


def test_a_snooze_is_no_attempt(bound, owe, perform):
    ids = owe(rate("a/1"))

    def body(unit: Unit) -> None:
        raise Snooze("the window opens at eight", delay_s=90)

    perform(body, ids)

    attempts, waits_s, state = bound.rows("select attempts, extract(epoch from due_at - now()), state from work")[0]
    assert (attempts, state) == (0, "ready")
    assert 80 < waits_s <= 90


def test_a_row_shows_which_dependency_it_waits_for_until_somebody_answers(bound, owe, perform):
    class Away(Snooze):
        outcome = "erp_away"

    class Unasked(Snooze):
        outcome = None

    ids, shown = owe(rate("a/1")), []
    for snooze in (Unasked, Away, Unasked, Snooze, Unasked):

        def body(unit: Unit, snooze: type[Snooze] = snooze) -> None:
            raise snooze("not now", delay_s=0)

        perform(body, ids)
        shown.append(bound.one("select outcome from work"))

    assert shown == ["snooze", "erp_away", "erp_away", "snooze", "snooze"]
    assert bound.one("select attempts from work") == 0


def test_one_row_may_be_refused_and_another_snoozed_while_the_rest_goes_on(bound, owe, perform):
    ids = owe(rate("a/1"), rate("a/2"), rate("a/3"))

    def body(unit: Unit) -> None:
        unit.reject(unit.ready[0], Rejection("no", code="price_not_found"))
        unit.snooze(unit.ready[1], delay_s=60, sentence="later")

    perform(body, ids)

    assert states(bound) == {"a/1@1": "dead price_not_found", "a/2@1": "ready snooze", "a/3@1": "done done"}


def test_of_two_revisions_of_a_subject_the_older_ends_superseded(bound, owe, perform):
    ids = owe(rate("a/1", 1), rate("a/1", 2))
    seen = []

    perform(lambda unit: seen.extend(ready.revision for ready in unit.ready), ids)

    assert seen == [2]
    assert states(bound) == {"a/1@1": "done superseded", "a/1@2": "done done"}


def test_two_revisions_of_one_subject_never_run_at_once(bound, owe, perform):
    first, second = owe(rate("a/1", 1), rate("a/1", 2))
    inside, may_leave, order = threading.Event(), threading.Event(), []

    def slow(unit: Unit) -> None:
        inside.set()
        assert may_leave.wait(20)
        order.append("older")

    def fast(unit: Unit) -> None:
        order.append("newer")

    def run(body: Body, work_id: int) -> None:
        step._transact(body, "rate", [work_id])

    older = threading.Thread(target=run, args=(slow, first))
    newer = threading.Thread(target=run, args=(fast, second))
    older.start()
    assert inside.wait(20)
    newer.start()
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    while not bound.one(waiting):
        assert newer.is_alive()
    may_leave.set()
    older.join(20)
    newer.join(20)

    assert order == ["older", "newer"]


def test_a_hint_that_met_a_locked_row_is_sent_again(bound, owe, perform):
    ids = owe(rate("a/1"), rate("a/2"))

    with engine().begin() as holder:
        work.claim(holder, "rate", ids[:1])
        perform(lambda unit: None, ids)
        assert bound.hints == [("rate", (ids[0],), step.REST_S)]
        holder.rollback()

    assert states(bound) == {"a/1@1": "ready ", "a/2@1": "done done"}


def test_a_deadlock_costs_no_attempt_and_the_rows_are_hinted_again(bound, owe, perform):
    ids = owe(rate("a/1"), rate("a/2"))

    def body(unit: Unit) -> None:
        unit.conn.execute(text("do $$ begin raise exception 'deadlock' using errcode = '40P01'; end $$"))

    perform(body, ids)

    assert bound.rows("select attempts, outcome from work order by id") == [(0, "snooze"), (0, "snooze")]
    assert bound.hints == [("rate", tuple(ids), step.REST_S)]


def test_a_row_that_kills_its_worker_is_counted_alone_and_dead_after_five_starts(bound, owe, perform):
    ids = owe(rate("a/1"), rate("a/2"))
    bound.run("update work set starts = 5 where subject = 'a/1'")

    perform(lambda unit: None, ids, is_redelivered=True)

    assert states(bound) == {"a/1@1": "dead poison", "a/2@1": "done done"}
    assert bound.one("select starts from work where subject = 'a/2'") == 1


def test_a_start_is_committed_before_the_row_runs(bound, owe, perform):
    ids = owe(rate("a/1"))
    seen = []

    perform(lambda unit: seen.append(bound.one("select starts from work")), ids, is_redelivered=True)

    assert seen == [1]


def test_a_hint_is_cut_into_transactions_of_bounded_weight(bound, owe, perform):
    ids = owe(*(NewWork("rate", f"a/{n}", "c", weight=3_000) for n in range(3)))
    sizes = []

    perform(lambda unit: sizes.append(len(unit.ready)), ids)

    assert sizes == [1, 1, 1]


def test_a_hint_that_cannot_be_sent_leaves_the_row_to_the_sweeper(bound, owe, perform, monkeypatch):
    ids = owe(rate("a/1"))

    def refuse(*_: object, **__: object) -> None:
        raise hints.HintNotSent("tax: no broker")

    monkeypatch.setattr(step.hints, "send", refuse)
    perform(lambda unit: unit.then(unit.ready[0], "tax", "invoice/1"), ids)

    assert states(bound) == {"a/1@1": "done done", "invoice/1@1": "ready "}


def test_an_unreachable_database_hands_the_hint_back(bound, owe, monkeypatch):
    ids = owe(rate("a/1"))
    nowhere = make_engine("postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setattr(step, "engine", lambda: nowhere)

    with pytest.raises(step.DatabaseAway):
        step.perform("rate", ids)


def test_no_transaction_is_open_during_a_call_to_the_outside(bound, owe, call):
    bound.run("insert into erp_connections (id, adapter) values ('books', 'x') on conflict do nothing")
    ids = owe(NewWork("post", "erp_posting/1", "c", connection_id="books"))
    open_transactions = """select count(*) from pg_stat_activity where datname = current_database()
        and state like 'idle in transaction%'"""

    def body(errand: Errand) -> None:
        assert bound.one(open_transactions) == 0
        with errand.finish() as unit:
            unit.then(errand.ready, "notify", "notices/1")

    call(body, ids)

    assert states(bound) == {"erp_posting/1@1": "done done", "notices/1@1": "ready "}
    assert [name for name, _, _ in bound.hints] == ["notify"]


def test_a_leased_row_is_given_to_nobody_else(bound, owe, call):
    bound.run("insert into erp_connections (id, adapter) values ('books', 'x') on conflict do nothing")
    ids = owe(NewWork("post", "erp_posting/1", "c", connection_id="books"))
    calls = []

    def body(errand: Errand) -> None:
        calls.append(errand.lease_no)
        call(body, ids)
        with errand.finish():
            pass

    call(body, ids)

    assert calls == [1]


def test_who_lost_the_lease_writes_no_outcome(bound, owe, call):
    bound.run("insert into erp_connections (id, adapter) values ('books', 'x') on conflict do nothing")
    ids = owe(NewWork("post", "erp_posting/1", "c", connection_id="books"))
    lost = []

    def body(errand: Errand) -> None:
        bound.run("update work set lease_no = lease_no + 1")
        try:
            with errand.finish():
                pass
        except LeaseLost:
            lost.append(errand.lease_no)
            raise

    call(body, ids)

    assert lost == [1]
    assert states(bound) == {"erp_posting/1@1": "ready "}


def test_a_call_that_ends_without_an_outcome_is_a_failed_attempt(bound, owe, call):
    bound.run("insert into erp_connections (id, adapter) values ('books', 'x') on conflict do nothing")
    ids = owe(NewWork("post", "erp_posting/1", "c", connection_id="books"))

    call(lambda errand: None, ids)

    assert bound.rows("select attempts, outcome, lease_until from work") == [(1, "again", None)]


def test_of_several_calls_in_one_hint_each_has_its_own_outcome(bound, owe, call):
    bound.run("insert into erp_connections (id, adapter) values ('books', 'x') on conflict do nothing")
    ids = owe(*(NewWork("post", f"erp_posting/{n}", "c", connection_id="books") for n in range(3)))

    def body(errand: Errand) -> None:
        if errand.ready.subject == "erp_posting/0":
            raise Snooze("the ERP is away", delay_s=60)
        if errand.ready.subject == "erp_posting/1":
            raise Rejection("no such customer", code="posting_rejected")
        with errand.finish():
            pass

    call(body, ids)

    assert states(bound) == {
        "erp_posting/0@1": "ready snooze",
        "erp_posting/1@1": "dead posting_rejected",
        "erp_posting/2@1": "done done",
    }
    assert bound.one("select count(*) from work where lease_until is not null") == 0


def test_threads_that_come_first_share_one_engine(bound):
    forget_engine()
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(engine())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(map(id, found))) == 1
