"""What we ask RabbitMQ's management interface, and that its definitions and our declarations are the same."""

import json
from urllib.parse import urlsplit, urlunsplit

import pika
import pytest
from rabbit import wait_until

from queues import topology
from queues.declaring import Declared
from queues.definitions import definitions
from queues.rabbit_api import RabbitApi, RabbitApiFailed
from queues.topology import Upstream

CONNECTIONS = ["sap", "netsuite-us"]


def test_what_the_definitions_create_our_broker_declares_without_a_difference(rabbit):
    upstream = Upstream("jfk")
    rabbit.api.import_definitions(definitions(CONNECTIONS, [upstream], vhost=rabbit.api.vhost))
    broker = rabbit.broker()

    for queue in topology.work_queues(CONNECTIONS):
        broker.declare_queue(queue, ensure=True)
    Declared().intake(broker.channel)

    wanted = topology.queue_arguments(CONNECTIONS, [upstream])
    found = {queue["name"]: queue["arguments"] for queue in rabbit.api.queues()}
    assert found == {name: dict(arguments) for name, arguments in wanted.items()}
    bound = {(each["source"], each["destination"], each["routing_key"]) for each in rabbit.api.bindings()}
    assert set(topology.bindings([upstream])) <= bound
    exchanges = {each["name"]: each["arguments"] for each in rabbit.api.exchanges()}
    assert all(exchanges[each.name] == each.arguments for each in topology.exchanges())


def test_what_our_broker_declares_by_itself_is_what_the_definitions_say(rabbit):
    broker = rabbit.broker()
    for queue in topology.work_queues(CONNECTIONS):
        broker.declare_queue(queue, ensure=True)
    Declared().intake(broker.channel)

    rabbit.api.import_definitions(definitions(CONNECTIONS, vhost=rabbit.api.vhost))

    assert {each["name"]: each["arguments"] for each in rabbit.api.queues()} == topology.queue_arguments(CONNECTIONS)


def test_usage_reaches_intake_under_any_routing_key(rabbit):
    Declared().intake(rabbit.broker().channel)
    with rabbit.channel() as channel:
        for key in ("departures.v1", "", "*", "#", "a..b"):
            channel.basic_publish("usage", key, b"{}", mandatory=True)

    wait_until(lambda: rabbit.ready("intake") == 5)


def test_usage_is_not_dropped_when_the_binding_of_intake_is_lost(rabbit):
    Declared().intake(rabbit.broker().channel)
    with rabbit.channel() as channel:
        channel.queue_unbind("intake", "usage", "#")

        channel.basic_publish("usage", "departures", b"{}", mandatory=True)

    wait_until(lambda: rabbit.ready("intake") == 1)


@pytest.fixture
def upstream(rabbit):
    made = Upstream(f"upstream-{rabbit.api.vhost[-8:]}")
    rabbit.api.import_definitions(definitions([], [made], vhost=rabbit.api.vhost))
    rabbit.api.put_upstream(made, password="secret")
    parts = urlsplit(rabbit.url)
    netloc = f"{made.user}:secret@{parts.hostname}:{parts.port}"
    connection = pika.BlockingConnection(pika.URLParameters(urlunsplit(parts._replace(netloc=netloc))))
    yield made, connection
    connection.close()
    rabbit.api.delete_user(made.user)


def test_an_upstream_sends_usage_and_fetches_its_refusals(rabbit, upstream):
    made, connection = upstream
    channel = connection.channel()
    channel.confirm_delivery()

    channel.basic_publish("usage", "departures", b"{}", pika.BasicProperties(user_id=made.user), mandatory=True)
    rabbit.broker().publish_event(topology.REFUSALS_EXCHANGE, topology.refusal_key(made.user, "urn:x.y"), b"refused")
    rabbit.broker().publish_event(topology.REFUSALS_EXCHANGE, topology.refusal_key("another", "urn:x"), b"not mine")

    ((properties, _body),) = rabbit.bodies("intake")
    assert properties.user_id == made.user
    assert channel.basic_get(made.refusals_queue)[2] == b"refused"
    assert channel.basic_get(made.refusals_queue)[0] is None


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda channel: channel.basic_get("intake"),
        lambda channel: channel.queue_declare("mine"),
        lambda channel: channel.queue_delete("intake"),
        lambda channel: channel.queue_purge("intake"),
        lambda channel: channel.basic_publish("refusals", "x", b"", mandatory=True),
        lambda channel: channel.basic_publish("", "validate", b"", mandatory=True),
        lambda channel: channel.basic_publish("usage", "x", b"", pika.BasicProperties(user_id="someone-else")),
    ],
    ids=["read intake", "declare", "delete", "purge", "refuse", "hint", "claim another's name"],
)
def test_an_upstream_may_do_nothing_else(upstream, forbidden):
    channel = upstream[1].channel()
    channel.confirm_delivery()

    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=r"ACCESS_REFUSED|PRECONDITION_FAILED"):
        forbidden(channel)


def test_peeking_shows_bodies_with_their_headers_and_leaves_them(rabbit):
    rabbit.broker().publish_dead("rate", 1, headers={"code": "x"})

    ((body,),) = [rabbit.api.peek("rate.XQ")]

    assert json.loads(body["payload"])["args"] == [[1]]
    assert body["properties"]["headers"]["code"] == "x"
    wait_until(lambda: rabbit.ready("rate.XQ") == 1)


def test_no_alarm_is_on(rabbit):
    assert rabbit.api.alarms() == []


def test_deleting_what_is_not_there_is_no_error_and_asking_for_it_is(rabbit_api_url):
    nowhere = RabbitApi(rabbit_api_url, vhost="test-nowhere")
    nowhere.delete_vhost()
    nowhere.delete_queue("x")
    nowhere.delete_user("test-nobody")

    with pytest.raises(RabbitApiFailed) as caught:
        nowhere.queues()
    assert caught.value.status == 404


def test_what_the_management_interface_refuses_is_an_error_also_when_deleting(rabbit_api_url):
    parts = urlsplit(rabbit_api_url)
    api = RabbitApi(urlunsplit(parts._replace(netloc=f"nobody:wrong@{parts.hostname}:{parts.port}")))

    with pytest.raises(RabbitApiFailed) as caught:
        api.delete_user("x")
    assert caught.value.status == 401


def test_a_management_interface_that_does_not_answer_is_an_error():
    with pytest.raises(RabbitApiFailed) as caught:
        RabbitApi("http://guest:guest@127.0.0.1:1").queues()
    assert caught.value.status is None
