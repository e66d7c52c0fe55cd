"""What cannot be served ends in `.XQ` with its reason, stops no queue and harms no neighbour."""

import pytest
from rabbit import REFUSED, actor, hint_body, wait_until, working
from test_envelope import POISON

from queues.envelope import HintUnreadable


def test_every_poison_body_ends_in_the_dead_letter_queue_with_its_reason_and_harms_no_neighbour(rabbit):
    broker = rabbit.broker()
    served = set()
    actor(broker, served.update)
    broker.declare_queue("validate", ensure=True)
    unknown = hint_body(5, actor_name="nobody")
    for body in [*POISON.values(), unknown]:
        rabbit.publish("validate", body)
    rabbit.publish("validate", hint_body(7), hint_body(8))

    with working(broker, threads=2) as worker:
        wait_until(lambda: served == {7, 8})
        assert all(thread.is_alive() for thread in worker.workers)
        wait_until(lambda: rabbit.ready("validate.XQ") == len(POISON) + 1)

    dead = rabbit.bodies("validate.XQ")
    assert sorted(body for _, body in dead) == sorted([*POISON.values(), unknown])
    codes = {body: properties.headers["code"] for properties, body in dead}
    assert codes.pop(unknown) == "hint_for_unknown_actor"
    assert set(codes.values()) == {"hint_unreadable"}
    assert all(properties.headers["error"] and properties.headers["worker"] for properties, _ in dead)
    assert rabbit.ready("validate") == 0


def test_a_poison_body_is_not_lost_when_nothing_can_be_published(rabbit):
    broker = rabbit.broker()
    broker.declare_queue("validate", ensure=True)
    rabbit.publish("validate", b"no hint")
    consumer = broker.consume("validate", timeout=1_000)
    broker.parameters = rabbit.broker(REFUSED).parameters
    del broker.connection

    assert next(consumer) is None
    consumer.close()

    wait_until(lambda: rabbit.ready("validate.XQ") == 1)
    ((properties, body),) = rabbit.bodies("validate.XQ")
    assert body == b"no hint"
    assert properties.headers["x-first-death-reason"] == "rejected"


def test_a_poison_body_finds_its_dead_letter_queue_also_when_that_was_deleted(rabbit):
    broker = rabbit.broker()
    actor(broker, lambda _ids: None)
    broker.declare_queue("validate", ensure=True)
    rabbit.api.delete_queue("validate.XQ")
    rabbit.publish("validate", b"no hint")

    with working(broker):
        wait_until(lambda: rabbit.ready("validate.XQ") == 1)


def test_a_sender_is_told_of_a_message_that_is_no_hint(rabbit):
    broker = rabbit.broker()
    actor(broker, lambda _ids: None)

    with pytest.raises(HintUnreadable):
        broker.get_actor("validate").send("not ids")
