"""Our broker against a real RabbitMQ: what comes back, what stays, and what on-call sees."""

import threading
import time

import pytest
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Shutdown, SkipMessage
from dramatiq.middleware.middleware import Middleware
from rabbit import actor, hint_body, wait_until, working
from test_envelope import POISON

from queues import broker as broker_module
from queues import envelope, topology
from queues.broker import redelivered
from queues.envelope import HintUnreadable
from queues.middleware import QueueNotServed
from queues.publishing import NoticeNotSent, NotPublished, QueueLook
from queues.topology import DelayTooLong

pytestmark = pytest.mark.rabbitmq

REFUSED = "amqp://guest:guest@127.0.0.1:1/"


def hint(*ids, queue="validate", **facets):
    return envelope.hint(queue.split(".")[0], ids, queue=queue, **facets)


# -- what comes back -----------------------------------------------------------------------------------------------


def test_a_hint_whose_step_fails_comes_back_by_the_ladder_with_the_error_in_its_headers(rabbit):
    broker = rabbit.broker()
    runs, seen = [], []

    def fail_once(ids):
        runs.append(time.monotonic())
        if len(runs) == 1:
            raise RuntimeError("no outcome")
        seen.append((ids, redelivered()))

    actor(broker, fail_once)
    broker.send(hint(1, correlation_id="c-1"))

    with working(broker):
        wait_until(lambda: rabbit.ready("delay.1s") == 1)
        ((properties, _body),) = rabbit.bodies("delay.1s")
        wait_until(lambda: seen)

    assert properties.correlation_id == "c-1"
    assert properties.headers["error"] == "RuntimeError: no outcome"
    assert properties.headers["attempt"] == 1
    assert runs[1] - runs[0] >= 1
    assert seen == [([1], False)]
    wait_until(lambda: rabbit.ready("validate") == 0)


def test_a_hint_over_its_time_limit_comes_back(rabbit):
    broker = rabbit.broker()
    runs = []

    def too_long_once(_ids):
        runs.append(1)
        while len(runs) == 1:
            time.sleep(0.01)

    actor(broker, too_long_once, time_limit=500)
    broker.send(hint(1))

    with working(broker) as worker:
        wait_until(lambda: len(runs) == 2)
        assert worker.workers[0].is_alive()


def test_on_shutdown_a_hint_stays_unanswered_and_is_redelivered(rabbit):
    broker = rabbit.broker()
    is_running = threading.Event()

    def wait_for_shutdown(_ids):
        is_running.set()
        while True:
            time.sleep(0.01)

    actor(broker, wait_for_shutdown, notify_shutdown=True)
    broker.send(hint(1))

    with working(broker):
        assert is_running.wait(10)

    seen = []
    after = rabbit.broker()
    actor(after, lambda _ids: seen.append(redelivered()))
    with working(after):
        wait_until(lambda: seen == [True])
    assert rabbit.ready("delay.1s") == 0


def test_a_hint_that_a_middleware_skips_is_acknowledged(rabbit):
    class SkipAll(Middleware):
        def before_process_message(self, *_):
            raise SkipMessage

    broker = rabbit.broker()
    broker.add_middleware(SkipAll())
    actor(broker, lambda _ids: pytest.fail("must not run"))
    broker.send(hint(1))

    with working(broker) as worker:
        wait_until(lambda: worker.consumers["validate"].consumer and rabbit.ready("validate") == 0)
        worker.join()

    wait_until(lambda: rabbit.ready("validate") == 0)


def test_a_suspect_hint_counts_as_redelivered(rabbit):
    broker = rabbit.broker()
    seen = []
    actor(broker, lambda _ids: seen.append(redelivered()))
    broker.send(hint(1, suspect=True))

    with working(broker):
        wait_until(lambda: seen == [True])

    assert redelivered() is False


def test_a_consumer_whose_connection_is_cut_finds_its_hints_again(rabbit, wire):
    broker = rabbit.broker(wire.url)
    served, may_end = [], threading.Event()

    def serve(ids):
        served.append((ids, redelivered()))
        may_end.wait(10)

    actor(broker, serve)
    broker.send(hint(1))

    with working(broker):
        wait_until(lambda: served)
        wire.cut()
        may_end.set()
        wait_until(lambda: len(served) == 2)

    assert served == [([1], False), ([1], True)]


def test_a_consumer_on_a_queue_that_was_deleted_declares_it_again(rabbit):
    broker = rabbit.broker()
    broker.declare_queue("validate", ensure=True)
    consumer = broker.consume("validate", timeout=1_000)

    rabbit.api.delete_queue("validate")
    with pytest.raises(ConnectionClosed):
        list(consumer)
    consumer.close()

    broker.consume("validate", timeout=100).close()
    assert rabbit.ready("validate") == 0


# -- what cannot be served -----------------------------------------------------------------------------------------


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


# -- sending -------------------------------------------------------------------------------------------------------


def test_a_delayed_hint_waits_on_its_rung_and_comes_to_its_own_queue(rabbit):
    broker = rabbit.broker()
    broker.send(hint(1, queue="rate.close"), delay_s=0.3)

    assert rabbit.ready("delay.1s") == 1
    wait_until(lambda: rabbit.ids("rate.close") == [1])

    with pytest.raises(DelayTooLong):
        broker.send(hint(1), delay_s=3_600)


def test_a_sender_hears_that_rabbitmq_is_away_after_less_than_two_seconds(rabbit):
    broker = rabbit.broker(REFUSED)
    started = time.monotonic()

    with pytest.raises(NotPublished):
        broker.send(hint(1))

    assert time.monotonic() - started < 2


def test_a_sender_whose_connection_was_cut_sends_on_a_new_one(rabbit, wire):
    broker = rabbit.broker(wire.url)
    broker.send(hint(1))

    wire.cut()
    broker.send(hint(2))

    assert rabbit.ids("validate") == [1, 2]


def test_a_sender_that_is_blocked_by_an_alarm_tries_once_and_leaves_one_copy_at_most(rabbit, wire):
    broker = rabbit.broker(wire.url, blocked_connection_timeout=1)
    broker.send(hint(1))
    wire.block()

    with pytest.raises(NotPublished):
        broker.send(hint(2))

    assert rabbit.ids("validate").count(2) <= 1


def test_an_interrupted_publish_leaves_no_connection_with_an_open_confirm(rabbit, monkeypatch):
    broker = rabbit.broker()
    broker.send(hint(1))
    interrupted = broker.connection

    def interrupt(*_args, **_kwargs):
        raise Shutdown

    with monkeypatch.context() as patch:
        patch.setattr(broker.channel, "basic_publish", interrupt)
        with pytest.raises(Shutdown):
            broker.send(hint(2))

    assert interrupted.is_closed
    broker.send(hint(3))
    assert rabbit.ids("validate") == [1, 3]


def test_a_queue_that_exists_with_other_arguments_is_an_error_and_not_a_loss(rabbit):
    with rabbit.channel() as channel:
        channel.queue_declare("validate", durable=True)
    broker = rabbit.broker()

    with pytest.raises(NotPublished, match="inequivalent"):
        broker.send(hint(1))
    with pytest.raises(ConnectionClosed, match="inequivalent"):
        broker.consume("validate")


def test_a_notice_reaches_whoever_is_bound_and_needs_nobody(rabbit):
    broker = rabbit.broker()
    broker.publish_event(topology.NOTICES_EXCHANGE, "document.confirmed", b"{}")
    with rabbit.channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, topology.NOTICES_EXCHANGE, "document.*")

        broker.publish_event(topology.NOTICES_EXCHANGE, "document.confirmed", b'{"id": 1}', {"subject": "d/1"})

        found = []
        wait_until(lambda: found.append(channel.basic_get(queue)) or found[-1][0])
    _method, properties, body = found[-1]
    assert body == b'{"id": 1}'
    assert properties.content_type == "application/cloudevents+json"
    assert properties.headers == {"subject": "d/1"}


def test_a_notice_that_cannot_be_sent_is_a_snooze(rabbit):
    with pytest.raises(NoticeNotSent) as caught:
        rabbit.broker(REFUSED).publish_event(topology.NOTICES_EXCHANGE, "x", b"{}")

    assert caught.value.delay_s == broker_module.NOTICE_AGAIN_S


# -- what doctor and the sweeper ask -------------------------------------------------------------------------------


def test_a_queue_without_consumers_is_seen(rabbit):
    broker = rabbit.broker()
    actor(broker, lambda _ids: None)
    assert broker.look("validate") is None
    broker.send(hint(1))
    assert broker.look("validate") == QueueLook(ready=1, consumers=0)

    with working(broker):
        wait_until(lambda: broker.look("validate") == QueueLook(ready=0, consumers=1))


def test_a_look_while_rabbitmq_is_away_is_an_error_and_not_an_empty_queue(rabbit):
    with pytest.raises(NotPublished):
        rabbit.broker(REFUSED).look("validate")


def test_a_worker_serves_every_lane_of_its_step_and_holds_one_hint_per_thread(rabbit):
    broker = rabbit.broker()
    actor(broker, lambda _ids: None, name="rate")

    with working(broker, threads=3) as worker:
        assert set(worker.consumers) == {"rate", "rate.close", "rate.replay"}
        assert worker.queue_prefetch == 3


def test_a_worker_serves_the_queue_of_an_erp_connection_that_it_is_told(rabbit):
    broker = rabbit.broker()
    served = []
    actor(broker, served.append, name="post")
    broker.send(hint(1, queue="post.sap"))

    with working(broker, queues={"post.sap"}) as worker:
        wait_until(lambda: served == [[1]])
        assert set(worker.consumers) == {"post.sap"}


@pytest.mark.parametrize("queue", ["valdiate", "rate"])
def test_a_worker_that_is_told_a_queue_it_cannot_serve_does_not_start(rabbit, queue):
    broker = rabbit.broker()
    actor(broker, lambda _ids: None)

    with pytest.raises(QueueNotServed), working(broker, queues={queue}):
        pytest.fail("must not start")
