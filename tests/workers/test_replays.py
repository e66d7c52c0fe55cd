"""Replays go on in portions, beside live work, and end as they should whatever happens to them on the way."""

import threading
from time import monotonic

import pytest
from line_bench import batch, event
from replay_bench import (
    REPAIRED,
    UNKNOWN_SOURCE,
    UNKNOWN_SUBJECT,
    carry_out,
    forecast,
    fresh,
    open_ids,
    plan,
    show,
    start,
    wanted,
)
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from domain.replays import ReplayOutOfOrder
from workers import replaying
from workers.rehearsal import ReplayBusy
from workers.store import replay_items, replays
from workers.store.database import engine
from workers.store.replay_selection import ReplayEmpty, ReplayTooLarge, Selection
from workers.store.replays import Wanted


@pytest.fixture
def trouble(month):
    """Five events of a source that nobody knows, and three usages of a subject that nobody has mapped."""
    fresh(month)
    month.receive(
        batch(*(event(f"e{n}", source=UNKNOWN_SOURCE) for n in range(5)), event("z", subject=UNKNOWN_SUBJECT))
    )
    month.work("validate", "enrich", "aggregate")
    return month


@pytest.fixture
def portions(monkeypatch):
    """Portions of two."""
    monkeypatch.setattr(replay_items.release, "__kwdefaults__", {"rows": 2})


def control(replay_id, act):
    with engine().begin() as conn:
        return replays.control(conn, replay_id, act)


def work(month):
    month.work("validate", "enrich", "aggregate", "notify")


def accepted(month):
    return month.bound.one("select count(*) from usage_events")


@pytest.mark.parametrize("rows", [500, 3])
def test_of_two_refused_versions_of_an_event_the_one_that_came_first_is_accepted(month, monkeypatch, rows):
    monkeypatch.setattr(replay_items.release, "__kwdefaults__", {"rows": rows})
    fresh(month)
    for distance in (100, 999):
        versions = (event(f"e{n}", source=UNKNOWN_SOURCE, data={"distance": distance}) for n in range(10))
        month.receive(batch(*versions))
    month.work("validate", "notify")
    month.bound.run(REPAIRED)

    replay = carry_out(month, plan(wanted(code="source_unknown")))

    assert (replay.done, replay.refused) == (10, 10)
    assert month.bound.rows("select data ->> 'distance', count(*) from usage_events group by 1") == [("100", 10)]
    conflicts = "select count(*) from exceptions where state = 'open' and code = 'conflicting_duplicate'"
    assert month.bound.one(conflicts) == 10


def test_whoever_holds_exceptions_in_order_of_their_ids_meets_no_release_halfway(month):
    fresh(month)
    for distance in (100, 999):
        versions = (event(f"e{n}", source=UNKNOWN_SOURCE, data={"distance": distance}) for n in range(10))
        month.receive(batch(*versions))
    month.work("validate", "notify")
    start(plan(wanted(code="source_unknown")))
    first, *others = open_ids(month)
    released = threading.Thread(target=replaying.tick)
    hold = text("select id from exceptions where id = any(cast(:ids as bigint[])) order by id for no key update")
    blocked = """select count(*) from pg_stat_activity
      where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0"""

    with engine().begin() as conn:
        conn.execute(hold, {"ids": [first]})
        released.start()
        deadline = monotonic() + 20
        while month.bound.one(blocked) < 1:
            assert monotonic() < deadline
        held = conn.execute(hold, {"ids": others}).scalars().all()
    released.join(20)

    assert held == others
    assert month.bound.one("select count(*) from replay_items where state = 'sent'") == 20


def test_a_portion_is_released_only_when_the_one_before_it_is_through(trouble, portions):
    trouble.bound.run(REPAIRED)
    replay = plan(wanted(code="source_unknown"))
    start(replay)

    replaying.tick()
    replaying.tick()
    assert (show(replay).sent, show(replay).waiting) == (2, 3)

    work(trouble)
    replaying.tick()
    assert (show(replay).done, show(replay).sent, show(replay).waiting) == (2, 2, 1)
    assert trouble.bound.rows(
        "select distinct lane from work where step = 'validate' and id > 1 and state = 'ready'"
    ) == [("replay",)]


def test_live_work_that_waits_goes_first(trouble, portions):
    replay = plan(wanted(code="source_unknown"))
    start(replay)
    trouble.receive(batch(event("live")))
    trouble.bound.run("update work set due_at = now() - interval '6 seconds' where state = 'ready'")

    replaying.tick()
    assert show(replay).sent == 0

    work(trouble)
    replaying.tick()
    assert show(replay).sent == 2


def test_a_paused_replay_goes_on_where_it_was(trouble, portions):
    trouble.bound.run(REPAIRED)
    replay = plan(wanted(code="source_unknown"))
    start(replay)
    replaying.tick()
    control(replay, "pause")
    work(trouble)
    replaying.tick()
    assert (show(replay).state, show(replay).done, show(replay).waiting) == ("paused", 2, 3)

    control(replay, "resume")
    for _ in range(4):
        replaying.tick()
        work(trouble)
    assert (show(replay).state, show(replay).done) == ("done", 5)
    assert accepted(trouble) == 6


def test_what_is_cancelled_is_never_sent_and_stays_open(trouble, portions):
    trouble.bound.run(REPAIRED)
    replay = plan(wanted(code="source_unknown"))
    start(replay)
    replaying.tick()

    control(replay, "cancel")
    work(trouble)
    replaying.tick()

    assert (show(replay).state, show(replay).done, show(replay).skipped) == ("cancelled", 2, 3)
    assert len([1 for row in trouble.bound.rows("select code from exceptions where state = 'open'")
                if row[0] == "source_unknown"]) == 3  # fmt: skip


@pytest.mark.parametrize(
    ("acts", "act"),
    [(["start"], "start"), ([], "pause"), ([], "resume"), (["cancel"], "cancel"), (["start"], "resume")],
)
def test_an_act_that_does_not_fit_the_state_is_refused(trouble, acts, act):
    replay = plan(wanted(code="source_unknown"))
    for each in acts:
        control(replay, each)

    with pytest.raises(ReplayOutOfOrder, match=f"it takes no {act}"):
        control(replay, act)


def test_a_replay_that_is_not_there_is_said_so(trouble):
    with pytest.raises(ReplayOutOfOrder, match="no replay 99"), engine().connect() as conn:
        replays.show(conn, 99)


def test_a_worker_killed_before_its_commit_has_released_nothing(trouble, portions):
    trouble.bound.run(REPAIRED)
    replay = plan(wanted(code="source_unknown"))
    start(replay)
    with engine().connect() as conn:  # closed without a commit, as by a kill -9
        assert replaying.advance(conn)
        assert replays.show(conn, replay).sent == 2

    assert (show(replay).sent, show(replay).waiting) == (0, 5)
    for _ in range(4):
        replaying.tick()
        work(trouble)
    assert (show(replay).state, accepted(trouble)) == ("done", 6)
    trouble.assert_all_accounted_for(in_flight=15)


def test_hints_that_are_lost_are_found_again_by_their_rows(trouble, monkeypatch):
    trouble.bound.run(REPAIRED)
    replay = plan(wanted(code="source_unknown"))
    start(replay)
    monkeypatch.setattr(replaying, "publish", lambda _hints: None)
    replaying.tick()

    work(trouble)
    replaying.tick()

    assert (show(replay).state, show(replay).done) == ("done", 5)


def test_a_replay_of_a_replay_changes_nothing(trouble):
    trouble.bound.run(REPAIRED)
    ids = open_ids(trouble)
    carry_out(trouble, plan(wanted(*ids)))
    before = trouble.bound.rows("select id, quantity, events from aggregates order by id")

    again = carry_out(trouble, plan(wanted(*ids)))

    assert (again.skipped, again.done, again.refused) == (len(ids), 0, 0)
    assert trouble.bound.rows("select id, quantity, events from aggregates order by id") == before
    assert forecast(wanted(*ids))["effect"] == {}


def test_two_replays_of_the_same_send_it_once(trouble):
    trouble.bound.run(REPAIRED)
    ids = open_ids(trouble)
    first, second = plan(wanted(*ids)), plan(wanted(*ids))
    start(first)
    start(second)
    for _ in range(6):
        replaying.tick()
        work(trouble)

    assert {show(first).state, show(second).state} == {"done"}
    assert show(first).done + show(second).done == len(ids)
    assert accepted(trouble) == 6
    trouble.assert_all_accounted_for(in_flight=18)


def test_what_was_resolved_meanwhile_is_skipped(trouble):
    trouble.bound.run(REPAIRED)
    replay = plan(wanted(code="subscription_not_found"))
    trouble.bound.run("""update exceptions set state = 'resolved', closed_at = now(), closed_by = 'me',
      reason = 'elsewhere' where code = 'subscription_not_found'""")

    assert carry_out(trouble, replay).skipped == 3


def test_what_is_refused_again_is_told_by_its_code(trouble):
    replay = carry_out(trouble, plan(wanted(*open_ids(trouble))))

    with engine().connect() as conn:
        told = {(each.sort, each.state, each.outcome) for each in replays.items(conn, replay.id, rows=100)}
    assert told == {("event", "refused", "source_unknown"), ("usage", "refused", "unchanged")}
    assert len(open_ids(trouble)) == 8


def test_work_that_dies_again_is_refused(trouble):
    trouble.receive(batch(event("x")))
    trouble.bound.run("update work set state = 'dead', outcome = 'poison', done_at = now() where state = 'ready'")
    exception = trouble.bound.one("""insert into exceptions (step, code, key16, hash, work_id, sentence)
      select 'validate', 'poison', gen_random_uuid(), '', max(id), 'it kills' from work returning id""")
    replay = plan(wanted(exception))
    start(replay)
    replaying.tick()
    trouble.bound.run("update work set state = 'dead', outcome = 'poison', done_at = now() where state = 'ready'")

    replaying.tick()

    assert (show(replay).state, show(replay).refused) == ("done", 1)


def test_work_that_was_woken_elsewhere_is_skipped(trouble):
    exception = trouble.bound.one("""insert into exceptions (step, code, key16, hash, work_id, sentence)
      select 'validate', 'poison', gen_random_uuid(), '', max(id), 'it kills' from work returning id""")

    assert carry_out(trouble, plan(wanted(exception))).skipped == 1


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"code": "source_unknown"}, 5), ({"source": UNKNOWN_SOURCE}, 5), ({"source": "/ops/jfk"}, 3),
        ({"step": "enrich"}, 3), ({"kind": "business"}, 8), ({"kind": "technical"}, 0), ({"period": "2026-03"}, 8),
        ({"period": "2026-02"}, 0), ({"older_than_s": 3600}, 0), ({"code": "source_unknown", "step": "enrich"}, 0),
        ({"cause": f"mapping/1/{UNKNOWN_SUBJECT}"}, 3), ({"account": "dl"}, 0),
    ],
)  # fmt: skip
def test_a_filter_holds_what_fits_all_its_parts(trouble, filters, found):
    asked = Wanted("replay", Selection(**filters), "ann", "a test")

    with engine().connect() as conn:
        assert replays.show(conn, replays.plan(conn, asked)).total == found


def test_usage_is_found_by_the_account_that_would_pay_now(trouble):
    trouble.bound.run(REPAIRED)

    with engine().connect() as conn:
        assert replays.show(conn, replays.plan(conn, wanted(account="dl"))).total == 3


def test_more_than_a_replay_holds_is_refused(trouble, monkeypatch):
    monkeypatch.setattr("workers.store.replay_selection.ITEMS_MAX", 4)

    with engine().connect() as conn, pytest.raises(ReplayTooLarge, match="narrow it"):
        replays.plan(conn, wanted(code="source_unknown"))


@pytest.mark.parametrize("limit", ["LOCK_S_MAX", "STATEMENT_S_MAX"])
def test_a_rehearsal_that_meets_a_lock_says_that_it_is_busy(trouble, monkeypatch, limit):
    trouble.bound.run(REPAIRED)
    monkeypatch.setattr(f"workers.rehearsal.{limit}", 0.1)
    with trouble.bound.owner.begin() as other:
        other.exec_driver_sql("select 1 from exceptions for no key update")

        with pytest.raises(ReplayBusy):
            forecast(wanted(*open_ids(trouble)))


def test_a_rehearsal_ends_when_its_time_is_over(trouble, monkeypatch):
    monkeypatch.setattr("workers.rehearsal.REHEARSAL_S_MAX", -1)

    with pytest.raises(ReplayBusy, match="select less"):
        forecast(wanted(*open_ids(trouble)))


def test_a_rehearsal_keeps_live_usage_of_its_windows_out_only_until_it_is_undone(trouble):
    trouble.bound.run(REPAIRED)
    trouble.use(("live", "DL", "N1", 10))
    told = forecast(wanted(*open_ids(trouble)))

    trouble.use(("live2", "DL", "N1", 10))

    assert told["effect"] == forecast(wanted(*open_ids(trouble)))["effect"] or told["effect"]
    assert trouble.bound.one("select sum(events) from aggregates") == 6


@pytest.mark.parametrize(("kind", "resolution"), [("dismiss", "dismissed"), ("write_off", "written_off")])
def test_a_decision_counts_as_excluded_and_can_be_taken_back(trouble, kind, resolution):
    replay = plan(wanted(code="subscription_not_found", kind=kind))
    with engine().begin() as conn:
        assert replays.resolve(conn, replays.control(conn, replay, "start")) == 3
        replays.finish(conn)

    assert show(replay).state == "done"
    assert trouble.bound.rows("""select distinct state, resolution, closed_by, reason from exceptions
      where code = 'subscription_not_found'""") == [("dismissed", resolution, "ann", "it is put right")]
    trouble.assert_all_accounted_for()
    assert trouble.bound.one("select count(*) from exceptions where resolution is not null") == 3

    ids = [row[0] for row in trouble.bound.rows("select id from exceptions where state = 'dismissed' order by id")]
    with engine().begin() as conn:
        assert replays.reopen(conn, ids, reason="after all") == [("mapping", f"1/{UNKNOWN_SUBJECT}")]
    assert trouble.bound.one("select count(*) from exceptions where resolution is not null") == 0
    trouble.assert_all_accounted_for()
    with engine().begin() as conn, pytest.raises(ReplayEmpty, match="is not dismissed"):
        replays.reopen(conn, ids, reason="once more")


def test_usage_that_is_dismissed_while_it_is_about_to_be_decided_is_not_billed(trouble):
    trouble.bound.run(REPAIRED)
    replay = plan(wanted(code="subscription_not_found"))
    start(replay)
    replaying.tick()
    decision = plan(wanted(code="subscription_not_found", kind="dismiss"))
    with engine().begin() as conn:
        replays.resolve(conn, replays.control(conn, decision, "start"))

    work(trouble)
    replaying.tick()

    assert trouble.bound.one("select count(*) from attributions") == 0
    assert (show(replay).state, show(replay).skipped) == ("done", 3)
    trouble.assert_all_accounted_for()


def test_work_is_never_dismissed(trouble):
    exception = trouble.bound.one("""insert into exceptions (step, code, key16, hash, work_id, sentence)
      select 'validate', 'poison', gen_random_uuid(), '', max(id), 'it kills' from work returning id""")

    with engine().connect() as conn, pytest.raises(ReplayEmpty, match="never dismissed"):
        replays.plan(conn, wanted(exception, kind="dismiss"))


def test_the_application_cannot_rewrite_what_was_asked_for_or_amended(trouble):
    plan(wanted(code="source_unknown"))
    for statement in (
        "update replays set reason = 'another'", "delete from replays", "delete from replay_items",
        "update replay_items set exception_id = 1", "update amendments set data = '{}'", "delete from amendments",
    ):  # fmt: skip
        with engine().connect() as conn, pytest.raises(DBAPIError, match="permission denied"):
            conn.exec_driver_sql(statement)


def test_the_database_holds_an_exception_once_in_a_replay(trouble):
    replay = plan(wanted(code="source_unknown"))

    with engine().connect() as conn, pytest.raises(IntegrityError):
        conn.exec_driver_sql(f"insert into replay_items (replay_id, exception_id) select {replay}, 1")
