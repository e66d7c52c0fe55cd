"""Dead work rows in the console: shown with their story, removed without harm to their neighbours."""

import pytest
from rabbit import hint_body, wait_until

from queues import dead_letters, topology
from queues.publishing import NotPublished
from queues.topology import QueueUnknown

STORY = {
    "code": "price_not_found",
    "error": "no price for departures",
    "subject": "period/17",
    "attempts": 3,
    "correlation_id": "c-1",
    "money_at_risk": "12.50",
    "currency": "USD",
}


def test_a_dead_row_tells_its_story_in_the_console_and_is_a_valid_hint(rabbit):
    rabbit.broker().publish_dead("rate.close", 17, headers={**STORY, "runbook": None})

    ((properties, body),) = rabbit.bodies("rate.close.XQ")
    assert rabbit.ids("rate.close.XQ") == [17]
    assert topology.route_of("rate.close").step in body.decode()
    assert properties.correlation_id == "c-1"
    assert {name: properties.headers[name] for name in STORY} == STORY
    assert properties.headers["work_id"] == 17


def test_a_dead_row_is_for_a_work_queue(rabbit):
    with pytest.raises(QueueUnknown):
        rabbit.broker().publish_dead("intake", 1, headers=STORY)


def test_resolved_rows_leave_the_dead_letter_queue_and_their_neighbours_stay_as_they_were(rabbit):
    broker = rabbit.broker()
    for work_id in range(1, 9):
        broker.publish_dead("rate", work_id, headers=STORY | {"subject": f"period/{work_id}"})
    rabbit.publish("rate.XQ", b"no hint", hint_body(3, 4), hint_body(3))
    before = {body: properties.headers for properties, body in rabbit.bodies("rate.XQ")}

    removed = broker.remove_dead("rate", [3, 5, 99])

    assert removed == {3, 5}
    wait_until(lambda: rabbit.ready("rate.XQ") == 8)
    left = {body: properties.headers for properties, body in rabbit.bodies("rate.XQ")}
    for headers in left.values():
        if headers:
            headers.pop("x-delivery-count", None)
    for headers in before.values():
        if headers:
            headers.pop("x-delivery-count", None)
    assert left == {body: headers for body, headers in before.items() if body in left}
    assert b"no hint" in left
    assert hint_body(3, 4) in left


def test_a_row_that_was_shown_twice_is_removed_twice(rabbit):
    broker = rabbit.broker()
    for _ in range(2):
        broker.publish_dead("rate", 1, headers=STORY)

    assert broker.remove_dead("rate", [1]) == {1}

    wait_until(lambda: rabbit.ready("rate.XQ") == 0)


def test_a_removal_that_dies_half_way_leaves_everything_in_the_queue(rabbit, monkeypatch):
    broker = rabbit.broker()
    for work_id in (1, 2, 3):
        broker.publish_dead("rate", work_id, headers=STORY)

    def die(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(dead_letters, "_only_id", die)
    with pytest.raises(KeyboardInterrupt):
        broker.remove_dead("rate", [1, 2, 3])

    wait_until(lambda: rabbit.ids("rate.XQ") == [1, 2, 3])


def test_a_removal_looks_at_a_bounded_number_of_bodies(rabbit, monkeypatch):
    monkeypatch.setattr(dead_letters, "LOOKS_MAX", 2)
    broker = rabbit.broker()
    for work_id in (1, 2, 3):
        broker.publish_dead("rate", work_id, headers=STORY)

    assert broker.remove_dead("rate", [3]) == frozenset()

    wait_until(lambda: rabbit.ids("rate.XQ") == [1, 2, 3])


def test_a_removal_from_a_queue_that_does_not_exist_yet_finds_nothing(rabbit):
    assert rabbit.broker().remove_dead("rate", [1]) == frozenset()


def test_a_removal_while_rabbitmq_is_away_is_an_error(rabbit):
    with pytest.raises(NotPublished):
        rabbit.broker("amqp://guest:guest@127.0.0.1:1/").remove_dead("rate", [1])
