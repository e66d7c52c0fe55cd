"""Whoever is on call may do in the console whatever loses no usage; RabbitMQ itself refuses the rest."""

from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import pytest
from upstreams import PASSWORD, structured
from upstreams import region as fresh_region

from queues.rabbit_api import RabbitApi, RabbitApiFailed
from queues.topology import INTAKE_QUEUE, OnCall, QueueUnknown

#: RabbitMQ answers its API with 400 or 401 where AMQP would say 403.
REFUSED = {400, 401, 403}


@pytest.fixture(scope="module")
def region(amqp_url, rabbit_api_url):
    with fresh_region(amqp_url, rabbit_api_url, "phones", connections=("books",)) as made:
        yield made


@pytest.fixture
def console(region, rabbit_api_url):
    """The console as on-call sees it."""
    user = OnCall(f"night-{uuid4().hex[:8]}")
    region.api.put_on_call(user, password=PASSWORD)
    parts = urlsplit(rabbit_api_url)
    login = f"{user.user}:{PASSWORD}@{parts.hostname}:{parts.port}"
    yield RabbitApi(urlunsplit(parts._replace(netloc=login)), vhost=region.api.vhost)
    region.api.delete_user(user.user)


def of(api, queue, what=""):
    return f"/queues/{quote(api.vhost, safe='')}/{quote(queue, safe='')}{what}"


def publish(api, queue, exchange="amq.default"):
    body = {"properties": {}, "routing_key": queue, "payload": "{}", "payload_encoding": "string"}
    return api._ask("POST", f"/exchanges/{quote(api.vhost, safe='')}/{exchange}/publish", body)


@pytest.mark.parametrize("queue", ["validate", "validate.XQ", "enrich.replay", "post.books.close", "post.books.XQ"])
def test_it_may_publish_look_and_purge_where_only_hints_are(console, region, queue):
    assert publish(console, queue) == {"routed": True}
    assert len(console.peek(queue)) == 1

    console._ask("DELETE", of(console, queue, "/contents"))

    assert region.look(queue)[0] == 0


def test_it_may_neither_purge_nor_take_what_is_not_stored_yet(console, region):
    region.producers["phones"].send(structured({"id": "1"}))

    for act in (
        lambda: console._ask("DELETE", of(console, INTAKE_QUEUE, "/contents")),
        lambda: console.peek(INTAKE_QUEUE),
        lambda: console.delete_queue(INTAKE_QUEUE),
    ):
        with pytest.raises(RabbitApiFailed) as refused:
            act()
        assert refused.value.status in REFUSED

    assert region.look(INTAKE_QUEUE)[0] == 1


def test_it_may_not_delete_send_usage_set_policies_or_make_shovels(console):
    vhost = quote(console.vhost, safe="")
    shovel = {
        "value": {"src-uri": "amqp://", "src-queue": INTAKE_QUEUE, "dest-uri": "amqp://", "dest-queue": "validate"}
    }
    policy = {"pattern": "^intake$", "definition": {"max-length": 1}}
    for act in (
        lambda: console.delete_queue("validate"),
        lambda: publish(console, "usage", exchange="usage"),
        lambda: console._ask("PUT", f"/policies/{vhost}/drop", policy),
        lambda: console._ask("PUT", f"/parameters/shovel/{vhost}/away", shovel),
        console.users,
    ):
        with pytest.raises(RabbitApiFailed) as refused:
            act()
        assert refused.value.status in REFUSED


def test_a_name_that_could_not_be_told_from_a_pattern_is_refused():
    with pytest.raises(QueueUnknown, match="not of the form"):
        OnCall(".*")
