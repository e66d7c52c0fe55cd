"""An upstream may write to `usage` and fetch its own refusals; RabbitMQ itself refuses it everything else."""

import json
from urllib.parse import urlsplit, urlunsplit

import pika
import pytest
from line import event
from pika.exceptions import ChannelClosedByBroker
from upstreams import PASSWORD, structured

from queues.rabbit_api import RabbitApi, RabbitApiFailed
from queues.topology import INTAKE_QUEUE, USAGE_EXCHANGE

ACCESS_REFUSED = 403
PRECONDITION_FAILED = 406

FORBIDDEN = {
    "get from intake": lambda channel: channel.basic_get(INTAKE_QUEUE),
    "consume from intake": lambda channel: channel.basic_consume(INTAKE_QUEUE, print),
    "get work": lambda channel: channel.basic_get("validate"),
    "purge intake": lambda channel: channel.queue_purge(INTAKE_QUEUE),
    "delete intake": lambda channel: channel.queue_delete(INTAKE_QUEUE),
    "declare a queue": lambda channel: channel.queue_declare("mine", durable=True),
    "declare a queue without a name": lambda channel: channel.queue_declare("", exclusive=True),
    "declare an exchange": lambda channel: channel.exchange_declare("mine", "topic"),
    "bind intake elsewhere": lambda channel: channel.queue_bind(INTAKE_QUEUE, "tallyline", "#"),
    "unbind intake": lambda channel: channel.queue_unbind(INTAKE_QUEUE, USAGE_EXCHANGE, "#"),
    "write a hint": lambda channel: channel.basic_publish("", "validate", b"{}", mandatory=True),
    "write a notice": lambda channel: channel.basic_publish("tallyline", "billing", b"{}"),
    "write a refusal": lambda channel: channel.basic_publish("refusals", "others", b"{}"),
    "write past the exchange": lambda channel: channel.basic_publish("usage.unrouted", "x", b"{}"),
    "fill the ladder": lambda channel: channel.basic_publish("delay.1s", "validate", b"{}"),
}


@pytest.mark.parametrize("act", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_it_may_not(region, act):
    with region.producers["phones"].channel() as channel, pytest.raises(ChannelClosedByBroker) as refused:
        act(channel)

    assert refused.value.reply_code == ACCESS_REFUSED


def test_it_may_not_read_what_another_was_refused(region):
    queue = region.producers["others"].upstream.refusals_queue
    with region.producers["phones"].channel() as channel, pytest.raises(ChannelClosedByBroker) as refused:
        channel.basic_get(queue)

    assert refused.value.reply_code == ACCESS_REFUSED


def test_it_may_not_claim_to_be_another_user(region):
    phones, others = region.producers["phones"], region.producers["others"]
    forged = others.properties(structured(event("forged")))
    with phones.channel() as channel, pytest.raises(ChannelClosedByBroker) as refused:
        channel.basic_publish(USAGE_EXCHANGE, "usage", b"{}", forged)

    assert refused.value.reply_code == PRECONDITION_FAILED


def test_it_may_not_look_into_the_console(region, rabbit_api_url):
    user = region.producers["phones"].upstream.user
    parts = urlsplit(rabbit_api_url)
    api = RabbitApi(urlunsplit(parts._replace(netloc=f"{user}:{PASSWORD}@{parts.hostname}:{parts.port}")), vhost="/")

    with pytest.raises(RabbitApiFailed) as refused:
        api.queues()

    assert refused.value.status == 401


def test_it_may_not_enter_another_region(region, amqp_url):
    user = region.producers["phones"].upstream.user
    parts = urlsplit(amqp_url)
    elsewhere = urlunsplit(parts._replace(netloc=f"{user}:{PASSWORD}@{parts.hostname}:{parts.port}"))

    with pytest.raises(pika.exceptions.ProbableAccessDeniedError):
        pika.BlockingConnection(pika.URLParameters(elsewhere))


def test_it_may_send_under_any_routing_key(region):
    before = region.look(INTAKE_QUEUE)[0]
    keys = ("call.ended", "", "#", "a" * 255)

    with region.producers["phones"].channel() as channel:
        for key in keys:
            properties = region.producers["phones"].properties(structured(event(key)))
            channel.basic_publish(USAGE_EXCHANGE, key, json.dumps(event(key)).encode(), properties, mandatory=True)

    assert region.look(INTAKE_QUEUE)[0] == before + len(keys)
