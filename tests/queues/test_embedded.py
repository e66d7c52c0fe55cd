"""The broker of the embedded run: queues in memory that may forget, and never make a step wait."""

import threading
import time

import pytest
from dramatiq.errors import QueueNotFound
from rabbit import actor, wait_until, working

from queues import broker as broker_module
from queues import embedded, envelope, hints
from queues.broker import FleetBroker, build_broker, redelivered
from queues.embedded import EmbeddedBroker, Notice
from queues.envelope import HintUnreadable
from queues.hints import HintNotSent
from queues.publishing import NotPublished, QueueLook
from queues.settings import Settings
from queues.topology import DelayTooLong, QueueUnknown


@pytest.fixture
def broker(monkeypatch):
    made = EmbeddedBroker()
    monkeypatch.setattr(hints, "broker", lambda: made)
    return made


def test_hints_of_more_than_200_rows_are_several_in_order(broker):
    served = []
    actor(broker, served.append)
    hints.send("validate", list(range(1, 451)), correlation_id="c-1")
    hints.send("validate", [])

    with working(broker):
        wait_until(lambda: len(served) == 3)

    assert [len(ids) for ids in served] == [200, 200, 50]
    assert [work_id for ids in served for work_id in ids] == list(range(1, 451))


def test_a_hint_carries_the_correlation_id_of_the_hint_that_caused_it(broker):
    seen = []
    actor(broker, lambda _ids: hints.send("enrich", [2]))
    actor(broker, lambda _ids: seen.append(broker_module.CurrentMessage.get_current_message().options), name="enrich")
    hints.send("validate", [1], correlation_id="c-1")

    with working(broker):
        wait_until(lambda: seen)

    assert seen[0]["correlation_id"] == "c-1"


def test_a_full_queue_drops_hints_instead_of_making_a_step_wait(broker, monkeypatch):
    monkeypatch.setattr(embedded, "HINTS_WAITING_MAX", 2)
    actor(broker, lambda _ids: None)

    for work_id in range(1, 6):
        hints.send("validate", [work_id])

    assert broker.look("validate") == QueueLook(ready=2, consumers=1)
    assert broker.look("nowhere") is None


def test_a_failed_hint_comes_back_after_a_rung(broker):
    runs = []

    def fail_once(ids):
        runs.append((ids, time.monotonic()))
        if len(runs) == 1:
            raise RuntimeError("no outcome")

    actor(broker, fail_once)
    hints.send("validate", [1])

    with working(broker):
        wait_until(lambda: len(runs) == 2)

    assert runs[1][1] - runs[0][1] >= 1


def test_a_delayed_hint_waits_in_memory_on_one_thread_for_all_queues(broker):
    served = []
    actor(broker, served.append)
    actor(broker, served.append, name="rate")
    hints.send("rate", [1], queue="rate.close", delay_s=0.2)
    hints.send("validate", [2])

    with working(broker) as worker:
        wait_until(lambda: served == [[2], [1]])
        assert sum(1 for name in worker.consumers if name.endswith(".DQ")) == 1

    with pytest.raises(DelayTooLong):
        hints.send("validate", [1], delay_s=3_600)


def test_the_queue_of_an_erp_connection_is_served_from_its_first_hint_on(broker):
    served = threading.Event()
    actor(broker, lambda _ids: served.set(), name="post")

    with working(broker):
        hints.send("post", [1], queue="post.ledger")
        assert served.wait(10)

    with pytest.raises(QueueUnknown):
        hints.send("post", [1], queue="post")


def test_rows_that_may_have_killed_the_last_run_are_sent_as_suspects(broker):
    seen = []
    actor(broker, lambda ids: seen.append((ids, redelivered())))
    hints.send_suspects("validate", [1, 2], queue="validate")
    hints.send("validate", [3])

    with working(broker):
        wait_until(lambda: len(seen) == 2)

    assert seen == [([1, 2], True), ([3], False)]


def test_what_is_no_hint_or_has_no_queue_is_refused(broker):
    actor(broker, lambda _ids: None)
    validate = broker.get_actor("validate")

    with pytest.raises(HintUnreadable):
        validate.send("not ids")
    with pytest.raises(QueueNotFound):
        broker.enqueue(envelope.hint("validate", [1], queue="nowhere"))


def test_notices_are_kept_for_whoever_asks_and_dead_rows_need_no_showing(broker):
    broker.publish_event("tallyline", "document.confirmed", b"{}", {"subject": "d/1"})
    broker.publish_dead("rate", 1, headers={"code": "x"})

    assert list(broker.notices) == [Notice("tallyline", "document.confirmed", b"{}", {"subject": "d/1"})]
    assert broker.remove_dead("rate", [1, 2]) == {1, 2}


def test_a_hint_that_the_broker_does_not_confirm_is_said_not_to_be_sent(monkeypatch):
    class Away:
        def send(self, *_args, **_kwargs):
            raise NotPublished("RabbitMQ is away")

    monkeypatch.setattr(hints, "broker", Away)

    with pytest.raises(HintNotSent, match="validate: RabbitMQ is away"):
        hints.send("validate", [1])


def test_the_settings_choose_the_broker():
    assert isinstance(build_broker(Settings(mode="embedded")), EmbeddedBroker)
    fleet = build_broker(
        Settings(mode="fleet", amqp_url="amqp://u:p@127.0.0.1:1/v?heartbeat=7;amqp://u:p@127.0.0.1:2/v")
    )
    assert isinstance(fleet, FleetBroker)
    assert [each.port for each in fleet.parameters] == [1, 2]
    assert fleet.parameters[0].heartbeat == 7
    assert all(each.blocked_connection_timeout == broker_module.BLOCKED_S_MAX for each in fleet.parameters)
    with pytest.raises(ValueError, match="TALLYLINE_AMQP_URL"):
        build_broker(Settings(mode="fleet", amqp_url=None))
