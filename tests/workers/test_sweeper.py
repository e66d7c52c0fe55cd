"""The sweeper: due rows are hinted until they are done, dead ones are shown, resolved ones leave the console."""

from collections.abc import Sequence
from typing import Any

import pytest
from line_bench import Bound

from queues import work
from queues.publishing import NotPublished, QueueLook
from queues.work import NewWork
from workers import sweeper
from workers.store.database import engine


class Console:
    """A broker that says what it is told to and remembers what it was asked: what sweeps see of RabbitMQ."""

    def __init__(self) -> None:
        self.ready: dict[str, int] = {}
        self.shown: list[tuple[str, int, dict[str, Any]]] = []
        self.removed: list[tuple[str, list[int]]] = []
        self.is_away = False

    def look(self, queue: str) -> QueueLook | None:
        if self.is_away:
            raise NotPublished("no broker")
        return QueueLook(self.ready[queue], 1) if queue in self.ready else None

    def publish_dead(self, queue: str, work_id: int, *, headers: dict[str, Any]) -> None:
        self.shown.append((queue, work_id, headers))

    def remove_dead(self, queue: str, ids: Sequence[int]) -> None:
        self.removed.append((queue, list(ids)))


@pytest.fixture
def console(bound: Bound, monkeypatch: pytest.MonkeyPatch) -> Console:
    bound.run("truncate work, exceptions restart identity cascade")
    console = Console()
    monkeypatch.setattr(sweeper, "broker", lambda: console)
    return console


def owe(*rows: NewWork) -> list[int]:
    with engine().begin() as conn:
        return [row.id for row in work.insert(conn, rows)]


def test_a_row_whose_hint_was_lost_is_hinted_again_after_two_four_eight_seconds(bound, console):
    (row,) = owe(NewWork("validate", "receipt/1", "c"))
    waits = []

    for _ in range(4):
        assert sweeper.sweep() == 0
        for age_s in (1, 2, 4, 8, 16, 32):
            bound.run(
                """update work set hinted_at = now() - make_interval(secs => :age),
                due_at = now() - interval '1 hour'""",
                age=age_s + 0.5,
            )
            if sweeper.sweep():
                waits.append(age_s)
                break

    assert waits == [2, 4, 8, 16]
    assert bound.hints == [("validate", (row,), 0)] * 4


def test_a_queue_that_still_holds_its_hints_is_left_alone(bound, console):
    owe(*(NewWork("validate", f"receipt/{n}", "c") for n in range(300)))
    bound.run("update work set hinted_at = now() - interval '1 hour'")

    console.ready = {"validate": 2}
    assert sweeper.sweep() == 0

    console.ready = {"validate": 1}
    assert sweeper.sweep() == 300
    assert [len(ids) for _, ids, _ in bound.hints] == [200, 100]


def owe_of_every_tier(*, each: int = 1) -> None:
    queues = [("notify", "live"), ("enrich", "replay"), ("rate", "close"), ("enrich", "live"), ("validate", "live")]
    owe(*(NewWork(step, f"{lane}/{n}", "c", lane=lane) for step, lane in queues for n in range(each)))


def test_what_is_due_is_hinted_in_order_of_tier_and_replays_come_last(bound, console):
    owe_of_every_tier()
    bound.run("update work set hinted_at = now() - interval '1 minute'")

    assert sweeper.sweep() == 5

    assert [name for name, _, _ in bound.hints] == ["validate", "enrich", "rate", "notify", "enrich"]
    replays = bound.rows("select id from work where lane = 'replay'")
    assert [tuple(ids) for _, ids, _ in bound.hints][-1] == replays[0]


def test_while_a_higher_tier_has_old_due_work_the_lower_ones_get_one_hint_at_a_time(bound, console):
    owe_of_every_tier(each=500)
    bound.run("update work set hinted_at = now() - interval '1 hour', due_at = now() - interval '10 seconds'")
    bound.run("update work set due_at = now() - interval '2 minutes' where step = 'enrich' and lane = 'live'")

    hinted = sweeper.sweep()

    rows: dict[str, int] = {}
    for name, ids, _ in bound.hints:
        rows[name] = rows.get(name, 0) + len(ids)
    assert rows == {"validate": 500, "enrich": 500 + 200, "rate": 200, "notify": 200}
    assert hinted == 1_600

    console.ready = {"rate.close": 1, "notify": 1, "enrich.replay": 0}
    bound.hints.clear()
    assert sweeper.sweep() == 200  # of the replays, whose queue has none of ours left

    bound.run("update work set state = 'done' where step = 'enrich' and lane = 'live'")
    bound.run("update work set hinted_at = now() - interval '1 hour'")
    console.ready = {}
    assert sweeper.sweep() == 500 * 4


def test_at_a_start_even_old_work_bounds_nothing(bound, console):
    owe_of_every_tier(each=300)
    bound.run("update work set due_at = now() - interval '1 hour' where step = 'validate'")

    assert sweeper.sweep(at_once=True) == 1_500


def test_at_a_start_everything_due_is_hinted_at_once(bound, console):
    owe(NewWork("validate", "receipt/1", "c"), NewWork("enrich", "receipt/1", "c"))

    assert sweeper.sweep(at_once=True) == 2


def test_a_snoozed_row_is_hinted_as_soon_as_it_is_due_and_not_before(bound, console):
    (row,) = owe(NewWork("validate", "receipt/1", "c"))
    with engine().begin() as conn:
        work.snooze(conn, [row], delay_s=60, sentence="later")
    assert sweeper.sweep() == 0

    bound.run("update work set hinted_at = now() - interval '1 second', due_at = now()")

    assert sweeper.sweep() == 1


def test_a_leased_row_is_not_hinted(bound, console):
    bound.run("insert into erp_connections (id, adapter) values ('books', 'x') on conflict do nothing")
    (row,) = owe(NewWork("post", "erp_posting/1", "c", connection_id="books"))
    with engine().begin() as conn:
        work.lease(conn, "post", row, lease_s=60)
    bound.run("update work set hinted_at = now() - interval '1 hour'")

    assert sweeper.sweep() == 0


def test_a_dead_row_is_shown_once_with_its_story_and_leaves_when_it_is_resolved(bound, console):
    (row,) = owe(NewWork("rate", "a/1", "corr-7"))
    with engine().begin() as conn:
        work.dead(conn, row, code="price_not_found", sentence="no price for distance")
    bound.run("update exceptions set money_at_risk = 12.5, currency = 'USD'")

    assert (sweeper.show_dead(), sweeper.show_dead()) == (1, 0)
    queue, work_id, headers = console.shown[0]
    assert (queue, work_id) == ("rate", row)
    assert headers["code"] == "price_not_found"
    assert headers["error"] == "no price for distance"
    assert headers["correlation_id"] == "corr-7"

    assert sweeper.hide_resolved() == 0
    bound.run("update work set state = 'done'")
    assert (sweeper.hide_resolved(), sweeper.hide_resolved()) == (1, 0)
    assert console.removed == [("rate", [row])]


def test_a_tick_survives_a_broker_that_is_away(bound, console):
    owe(NewWork("validate", "receipt/1", "c"))
    bound.run("update work set hinted_at = now() - interval '1 hour'")
    console.is_away = True

    sweeper.tick()

    assert bound.hints == []
    console.is_away = False
    sweeper.tick()
    assert len(bound.hints) == 1


def test_done_rows_move_to_the_history_after_a_week_and_never_before_their_periods_are_closed(bound, console):
    owe(NewWork("validate", "receipt/1", "c"), NewWork("validate", "receipt/2", "c"))
    bound.run("update work set state = 'done', done_at = now() - interval '8 days'")
    bound.run("update work set done_at = now() where subject = 'receipt/2'")

    assert (sweeper.purge(), sweeper.purge()) == (1, 0)

    assert bound.one("select subject from work_history") == "receipt/1"


def test_the_backlog_is_due_work_and_its_age(bound, console):
    owe(NewWork("validate", "receipt/1", "c"), NewWork("validate", "receipt/2", "c", lane="replay"))
    bound.run("update work set due_at = now() - interval '90 seconds' where lane = 'live'")

    with engine().connect() as conn:
        due = {(step, lane): (rows, round(age_s)) for step, lane, rows, age_s in sweeper.due_work(conn)}

    assert due == {("validate", "live"): (1, 90), ("validate", "replay"): (1, 0)}
