"""Upstream systems as RabbitMQ knows them: a user each with its rights, what they send and what they may fetch."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pika

from queues.contracts import BATCH, STRUCTURED
from queues.definitions import definitions
from queues.rabbit_api import RabbitApi
from queues.topology import USAGE_EXCHANGE, Upstream

PASSWORD = "throw-away"


@dataclass(frozen=True)
class Message:
    """What a producer hands to its AMQP client."""

    body: bytes
    content_type: str | None = None
    headers: Mapping[str, object] = field(default_factory=dict)
    routing_key: str = "usage"


def structured(event: object) -> Message:
    """One event as one body."""
    return Message(json.dumps(event).encode(), STRUCTURED)


def batch(*events: object) -> Message:
    """Many events as one body."""
    return Message(json.dumps(events).encode(), BATCH)


@dataclass(frozen=True)
class Producer:
    """An upstream system with its RabbitMQ user."""

    upstream: Upstream
    url: str

    @contextmanager
    def channel(self) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
        """A channel with confirms, as this user."""
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel

    def properties(self, message: Message) -> pika.BasicProperties:
        """The properties of a persistent message that RabbitMQ vouches for."""
        return pika.BasicProperties(
            content_type=message.content_type,
            headers=dict(message.headers),
            delivery_mode=pika.DeliveryMode.Persistent.value,
            user_id=self.upstream.user,
        )

    def send(self, *messages: Message) -> None:
        """Publish the messages to `usage`; each is confirmed when it returns."""
        with self.channel() as channel:
            for message in messages:
                channel.basic_publish(
                    USAGE_EXCHANGE, message.routing_key, message.body, self.properties(message), mandatory=True
                )

    def refusals(self) -> list[tuple[str, dict[str, object]]]:
        """All refusals that wait for this user: routing key and body; they stay where they are."""
        found = []
        with self.channel() as channel:
            while True:
                method, _properties, body = channel.basic_get(self.upstream.refusals_queue)
                if method is None:
                    return found
                found.append((method.routing_key, json.loads(body)))


@dataclass(frozen=True)
class Region:
    """A virtual host with the whole topology, and its upstreams."""

    url: str
    api: RabbitApi
    producers: Mapping[str, Producer]

    def look(self, queue: str, *, missing: int | None = None) -> tuple[int, int]:
        """How many messages are ready in a queue, and how many consumers it has; twice `missing` if there is none."""
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            try:
                method = connection.channel().queue_declare(queue, passive=True).method
            except pika.exceptions.ChannelClosedByBroker:
                if missing is None:
                    raise
                return missing, missing
            return method.message_count, method.consumer_count


@contextmanager
def region(amqp_url: str, api_url: str, *users: str, connections: Sequence[str] = ()) -> Iterator[Region]:
    """A virtual host of its own, set up as operations would, with one upstream per name; deleted in the end."""
    run = uuid4().hex[:8]
    name = f"test-{run}"
    api = RabbitApi(api_url, vhost=name)
    api.put_vhost(administrator=urlsplit(amqp_url).username or "")
    upstreams = {user: Upstream(f"{user}-{run}") for user in users}
    api.import_definitions(definitions(connections, list(upstreams.values()), vhost=name))
    for upstream in upstreams.values():
        api.put_upstream(upstream, password=PASSWORD)
    producers = {user: Producer(upstream, _url(amqp_url, name, upstream.user)) for user, upstream in upstreams.items()}
    try:
        yield Region(_url(amqp_url, name), api, producers)
    finally:
        for upstream in upstreams.values():
            api.delete_user(upstream.user)
        api.delete_vhost()


def _url(url: str, vhost: str, user: str = "") -> str:
    parts = urlsplit(url)
    login = f"{user}:{PASSWORD}" if user else f"{parts.username}:{parts.password}"
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.hostname}:{parts.port}", path=f"/{vhost}"))
