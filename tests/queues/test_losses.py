"""The eight ways in which Dramatiq's own broker loses or wedges messages, and that ours does not.

Where it is quick the stock broker runs beside ours and loses the message: a release of Dramatiq that heals a loss shows
here first, and lets us drop a part of the subclass.
"""

import threading

import pytest
from dramatiq.brokers import rabbitmq as stock_module
from rabbit import actor, hint_body, wait_until, working

from queues import hints
from queues.consumer import Settlement

pytestmark = pytest.mark.rabbitmq


def broker_of(kind, rabbit, **stock_options):
    return rabbit.broker() if kind == "ours" else rabbit.stock(**stock_options)


def cut_off(broker, rabbit):
    """New connections of this broker are refused from now on; those it has stay."""
    broker.parameters = rabbit.broker("amqp://guest:guest@127.0.0.1:1/").parameters


class Boom(Exception):
    """What an actor of these tests fails with."""


@pytest.mark.parametrize(("kind", "left"), [("stock", [1]), ("ours", [1, 2])])
def test_l1_an_outcome_from_before_a_reconnect_does_not_acknowledge_another_hint(rabbit, kind, left):
    broker = broker_of(kind, rabbit)
    broker.declare_queue("validate", ensure=True)
    rabbit.publish("validate", hint_body(1), hint_body(2))
    before = broker.consume("validate", prefetch=1, timeout=2_000)
    in_flight = next(before)
    before.connection.close()

    with rabbit.channel() as elsewhere:
        wait_until(lambda: elsewhere.basic_get("validate")[0])
        after = broker.consume("validate", prefetch=1, timeout=2_000)
        assert next(after).args == ([2],)
        in_flight.settlement = Settlement.ACK
        after.ack(in_flight)
        after.close()

    wait_until(lambda: rabbit.ids("validate") == left)


@pytest.mark.parametrize(("kind", "left"), [("stock", 0), ("ours", 1)])
def test_l2_a_hint_is_not_acknowledged_before_its_successor_is_safe(rabbit, kind, left):
    broker = broker_of(kind, rabbit, confirm_delivery=True)
    has_failed = threading.Event()

    def fail(_ids):
        cut_off(broker, rabbit)
        has_failed.set()
        raise Boom

    actor(broker, fail)
    broker.declare_queue("validate", ensure=True)
    rabbit.publish("validate", hint_body(1))

    with working(broker):
        assert has_failed.wait(10)

    wait_until(lambda: rabbit.ready("validate") == left)


@pytest.mark.parametrize(("kind", "left"), [("stock", 0), ("ours", 1)])
def test_l3_a_step_whose_next_step_cannot_be_told_is_not_forgotten(rabbit, monkeypatch, kind, left):
    broker = broker_of(kind, rabbit, confirm_delivery=True)
    monkeypatch.setattr(hints, "broker", lambda: broker)
    has_run = threading.Event()

    def first(_ids):
        cut_off(broker, rabbit)
        has_run.set()
        if kind == "ours":
            hints.send("enrich", [2])

    actor(broker, first)
    actor(broker, lambda _ids: None, name="enrich")
    broker.declare_queue("validate", ensure=True)
    pipe_target = {"queue_name": "enrich", "actor_name": "enrich", "args": [[2]], "kwargs": {}, "options": {}}
    options = {"pipe_target": pipe_target, "pipe_ignore": True} if kind == "stock" else {}
    rabbit.publish("validate", hint_body(1, options=options))

    with working(broker, queues={"validate"}):
        assert has_run.wait(10)

    wait_until(lambda: rabbit.ready("validate") + max(rabbit.ready("enrich"), 0) == left)


@pytest.mark.parametrize(("kind", "runs", "is_alive"), [("stock", 1, False), ("ours", 2, True)])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_l4_a_time_limit_while_rabbitmq_is_blocked_costs_neither_hint_nor_thread(rabbit, wire, kind, runs, is_alive):
    broker = broker_of(kind, rabbit, confirm_delivery=True)
    ran = []

    def fail_once(ids):
        ran.append(ids)
        if len(ran) == 1:
            broker.parameters = rabbit.broker(wire.url, blocked_connection_timeout=3).parameters
            assert broker.channel
            wire.block()
            raise Boom

    actor(broker, fail_once, time_limit=1_000)
    broker.declare_queue("validate", ensure=True)
    rabbit.publish("validate", hint_body(1))

    with working(broker) as worker:
        wait_until(lambda: len(ran) == runs and (is_alive or not worker.workers[0].is_alive()))
        assert worker.workers[0].is_alive() == is_alive

    wait_until(lambda: rabbit.ready("validate") == 0)


def test_l5_a_body_that_breaks_dramatiq_does_not_stop_its_queue(rabbit):
    broker = rabbit.broker()
    served = set()
    actor(broker, served.update)
    broker.declare_queue("validate", ensure=True)
    poison = [hint_body(1, options=None), hint_body(1, actor_name=["validate"])]
    rabbit.publish("validate", *poison, hint_body(7), hint_body(8))

    with working(broker):
        wait_until(lambda: served == {7, 8})

    wait_until(lambda: [body for _, body in rabbit.bodies("validate.XQ")] == poison)


@pytest.mark.parametrize(("kind", "left"), [("stock", 1), ("ours", 0)])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_l6_a_hint_that_names_another_queue_is_settled_where_it_arrived(rabbit, kind, left):
    broker = broker_of(kind, rabbit)
    has_run = threading.Event()
    actor(broker, lambda _ids: has_run.set())
    broker.declare_queue("validate", ensure=True)
    rabbit.publish("validate", hint_body(1, queue_name="elsewhere"))

    with working(broker) as worker:
        assert has_run.wait(10)
        if kind == "stock":
            wait_until(lambda: not worker.workers[0].is_alive())

    wait_until(lambda: rabbit.ready("validate") == left)


@pytest.mark.parametrize(("kind", "left"), [("stock", -1), ("ours", 1)])
def test_l7_a_hint_to_a_queue_that_was_deleted_meanwhile_arrives(rabbit, kind, left):
    broker = broker_of(kind, rabbit)
    actor(broker, lambda _ids: None)
    validate = broker.get_actor("validate")
    validate.send([1])
    rabbit.api.delete_queue("validate")

    validate.send([2])

    assert rabbit.ready("validate") == left


@pytest.mark.parametrize(("kind", "left"), [("stock", 0), ("ours", 1)])
def test_l8_a_dead_letter_does_not_expire(rabbit, monkeypatch, kind, left):
    monkeypatch.setattr(stock_module, "DEAD_MESSAGE_TTL", 100)
    broker = broker_of(kind, rabbit)
    actor(broker, lambda _ids: None)
    broker.declare_queue("validate", ensure=True)
    rabbit.publish("validate.XQ", hint_body(1))
    rabbit.publish("validate", b"not a hint")

    with working(broker):
        wait_until(lambda: rabbit.ready("validate") == 0)

    wait_until(lambda: rabbit.ready("validate.XQ") == 2 * left)
