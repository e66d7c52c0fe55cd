"""A system that keeps master data may speak under its own name, and nothing else; RabbitMQ holds it."""

from dataclasses import replace
from uuid import uuid4

import pika
import pytest
from pika.exceptions import AMQPError, ChannelClosedByBroker
from upstreams import PASSWORD, Producer, structured
from upstreams import region as fresh_region

from queues.rabbit_api import RabbitApi, RabbitApiFailed
from queues.topology import MASTER_EXCHANGE, MASTER_QUEUE, USAGE_EXCHANGE, Upstream


@pytest.fixture(scope="module")
def region(amqp_url, rabbit_api_url):
    with fresh_region(amqp_url, rabbit_api_url, "phones") as made:
        yield made


@pytest.fixture(scope="module")
def crm(region):
    """A system's user, made as the command makes it."""
    user = Upstream(f"crm-{uuid4().hex[:8]}", MASTER_EXCHANGE)
    region.api.put_upstream(user, password=PASSWORD)
    phones = region.producers["phones"]
    region.api.import_definitions(_refusals(user, region.api.vhost))
    yield Producer(user, phones.url.replace(f"//{phones.upstream.user}:", f"//{user.user}:"))
    region.api.delete_user(user.user)


def _refusals(user, vhost):
    from queues.definitions import definitions

    return definitions((), (user,), vhost=vhost)


def say(producer, *, exchange=MASTER_EXCHANGE, key, user=None):
    """Publish one message and wait until RabbitMQ has it."""
    properties = producer.properties(structured({"id": "1"}))
    if user is not None:
        properties.user_id = user
    with producer.channel() as channel:
        channel.basic_publish(exchange, key, b"{}", properties, mandatory=True)


def test_it_may_write_to_master_under_its_own_name(region, crm):
    before = region.look(MASTER_QUEUE)[0]

    say(crm, key=crm.upstream.user)
    say(crm, key=f"{crm.upstream.user}.account")

    assert region.look(MASTER_QUEUE)[0] == before + 2


@pytest.mark.parametrize("key", ["shop", "shop.account", "", "#", "account", "x.{user}", "{user}-2.account"])
def test_it_may_not_write_under_another_name(region, crm, key):
    before = region.look(MASTER_QUEUE)[0]

    with pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"):
        say(crm, key=key.format(user=crm.upstream.user))

    assert region.look(MASTER_QUEUE)[0] == before


@pytest.mark.parametrize("exchange", [USAGE_EXCHANGE, "", "tallyline", "refusals", "amq.topic"])
def test_it_may_write_to_no_other_exchange(crm, exchange):
    with pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"):
        say(crm, exchange=exchange, key=crm.upstream.user)


def test_it_may_not_say_that_it_is_somebody_else(region, crm):
    with pytest.raises(ChannelClosedByBroker, match="PRECONDITION_FAILED"):
        say(crm, key=crm.upstream.user, user=region.producers["phones"].upstream.user)


def test_it_may_read_its_own_refusals_and_those_of_nobody_else(region, crm):
    with pika.BlockingConnection(pika.URLParameters(region.url)) as connection:
        connection.channel().basic_publish("refusals", f"{crm.upstream.user}.crm", b'{"code": "x"}')

    assert [body for _, body in crm.refusals()] == [{"code": "x"}]
    other = replace(crm, upstream=region.producers["phones"].upstream)
    with pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"):
        other.refusals()


@pytest.mark.parametrize(
    "act",
    [
        lambda channel: channel.basic_get(MASTER_QUEUE),
        lambda channel: channel.queue_purge(MASTER_QUEUE),
        lambda channel: channel.queue_delete(MASTER_QUEUE),
        lambda channel: channel.queue_declare("mine"),
        lambda channel: channel.exchange_delete(MASTER_EXCHANGE),
        lambda channel: channel.queue_unbind(MASTER_QUEUE, MASTER_EXCHANGE, "#"),
        lambda channel: channel.basic_get("intake"),
    ],
)
def test_it_may_neither_take_nor_change_what_lies_there(crm, act):
    with crm.channel() as channel, pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"):
        act(channel)


def test_it_does_not_see_the_console(region, crm, rabbit_api_url):
    host = rabbit_api_url.rpartition("@")[2]
    console = RabbitApi(f"http://{crm.upstream.user}:{PASSWORD}@{host}", vhost=region.api.vhost)

    with pytest.raises(RabbitApiFailed):
        console.queues()


def test_a_system_may_not_send_usage_and_an_upstream_no_master_data(region, crm):
    phones = region.producers["phones"]
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        say(phones, key=phones.upstream.user)

    assert phones.upstream.topic_permissions is None
