"""What senders hear, and what arrives, when RabbitMQ is away, cut off, blocked or different."""

import time

import pytest
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Shutdown
from rabbit import REFUSED, hint, wait_until

from queues import broker as broker_module
from queues import topology
from queues.publishing import NoticeNotSent, NotPublished
from queues.topology import DelayTooLong


def test_a_delayed_hint_waits_on_its_rung_and_comes_to_its_own_queue(rabbit):
    broker = rabbit.broker()
    broker.send(hint(1, queue="rate.close"), delay_s=0.3)

    assert rabbit.ready("delay.1s") == 1
    wait_until(lambda: rabbit.ids("rate.close") == [1])

    with pytest.raises(DelayTooLong):
        broker.send(hint(1), delay_s=3_600)


def test_a_sender_hears_that_rabbitmq_is_away_within_seconds(rabbit):
    broker = rabbit.broker(REFUSED)
    started = time.monotonic()

    with pytest.raises(NotPublished):
        broker.send(hint(1))

    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("amqp://guest:guest@no-such-host.invalid/", "not known|resolution|No address"),
        ("{server}/no-such-vhost", "vhost no-such-vhost not found"),
    ],
)
def test_a_sender_with_a_wrong_address_hears_what_is_wrong_with_it(rabbit, url, reason):
    broker = rabbit.broker(url.format(server=rabbit.url.rpartition("/")[0]))

    with pytest.raises(NotPublished, match=reason):
        broker.send(hint(1))
    with pytest.raises(ConnectionClosed):
        broker.consume("validate")


def test_a_notice_to_an_exchange_that_was_deleted_meanwhile_makes_it_again(rabbit):
    broker = rabbit.broker()
    broker.publish_event(topology.NOTICES_EXCHANGE, "x", b"{}")
    with rabbit.channel() as channel:
        channel.exchange_delete(topology.NOTICES_EXCHANGE)

    broker.publish_event(topology.NOTICES_EXCHANGE, "x", b"{}")

    assert topology.NOTICES_EXCHANGE in {each["name"] for each in rabbit.api.exchanges()}


def test_a_rung_of_the_ladder_that_was_deleted_meanwhile_is_made_again(rabbit):
    broker = rabbit.broker()
    broker.send(hint(1))
    rabbit.api.delete_queue("delay.1s")

    broker.send(hint(2), delay_s=1)

    wait_until(lambda: rabbit.ids("validate") == [1, 2])


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
