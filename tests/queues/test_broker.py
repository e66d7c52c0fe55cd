"""Our broker against a real RabbitMQ: which hints come back, and which queues a worker serves."""

import threading
import time

import pytest
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import SkipMessage
from dramatiq.middleware.middleware import Middleware
from rabbit import REFUSED, actor, hint, wait_until, working

from queues.broker import redelivered
from queues.consumer import Settlement, settle
from queues.middleware import QueueNotServed
from queues.publishing import NotPublished, QueueLook


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


def test_an_outcome_for_a_connection_that_is_gone_is_no_error_and_the_hint_is_redelivered(rabbit):
    broker = rabbit.broker()
    broker.send(hint(1))
    consumer = broker.consume("validate", timeout=1_000)
    delivery = next(consumer)
    consumer.connection.close()

    settle(delivery, Settlement.ACK)
    consumer.ack(delivery)
    consumer.close()

    wait_until(lambda: rabbit.ids("validate") == [1])


def test_a_consumer_whose_connection_dies_unnoticed_closes_without_an_error(rabbit, wire):
    broker = rabbit.broker(wire.url)
    broker.send(hint(1))
    consumer = broker.consume("validate", timeout=1_000)
    next(consumer)

    wire.cut()
    consumer.close()

    wait_until(lambda: rabbit.ids("validate") == [1])


def test_a_consumer_that_cannot_connect_says_that_the_connection_is_closed(rabbit):
    with pytest.raises(ConnectionClosed):
        rabbit.broker(REFUSED).consume("validate")


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


def test_a_queue_that_may_not_be_looked_at_is_an_error_and_not_a_missing_queue(rabbit):
    with rabbit.channel() as channel:
        channel.queue_declare("private", exclusive=True)

        with pytest.raises(NotPublished, match="RESOURCE_LOCKED"):
            rabbit.broker().look("private")


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
