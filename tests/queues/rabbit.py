"""What tests need of a real RabbitMQ: a virtual host each, and workers in this process."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dramatiq
import pika
from dramatiq import Worker
from dramatiq.broker import Broker
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from queues import envelope
from queues.broker import FleetBroker
from queues.envelope import HintMessage
from queues.rabbit_api import RabbitApi

WAIT_S_MAX = 20.0
#: Nobody listens there.
REFUSED = "amqp://guest:guest@127.0.0.1:1/"


def wait_until(holds: Callable[[], object], *, for_s: float = WAIT_S_MAX) -> None:
    """Poll until `holds` is true; fails after `for_s` seconds."""
    deadline = time.monotonic() + for_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {for_s} s"
        time.sleep(0.02)


@dataclass
class Rabbit:
    """A virtual host of the RabbitMQ under test."""

    url: str
    api: RabbitApi
    brokers: list[Broker] = field(default_factory=list)

    def broker(self, url: str = "", **query: float) -> FleetBroker:
        """A hardened broker; `query` goes into the URL, as `blocked_connection_timeout=1`."""
        question = "&".join(f"{name}={value}" for name, value in query.items())
        broker = FleetBroker(f"{url or self.url}?{question}")
        self.brokers.append(broker)
        return broker

    def stock(self, **options: object) -> RabbitmqBroker:
        """Dramatiq's own broker."""
        broker = RabbitmqBroker(url=self.url, **options)
        self.brokers.append(broker)
        return broker

    def close(self) -> None:
        """Close the brokers' connections."""
        for broker in self.brokers:
            broker.close()

    @contextmanager
    def channel(self) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
        """A channel of a client that is not ours, with confirms."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel
        finally:
            connection.close()

    def publish(self, queue: str, *bodies: bytes) -> None:
        """Publish raw bodies, as a foreign or mistaken client would."""
        with self.channel() as channel:
            for body in bodies:
                channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2), mandatory=True)

    def ready(self, queue: str) -> int:
        """How many messages are ready in a queue; -1 if it does not exist."""
        with self.channel() as channel:
            try:
                return channel.queue_declare(queue, passive=True).method.message_count
            except pika.exceptions.ChannelClosedByBroker:
                return -1

    def bodies(self, queue: str) -> list[tuple[pika.BasicProperties, bytes]]:
        """All that is ready in a queue; it goes back when this client leaves."""
        with self.channel() as channel:
            found = []
            while True:
                method, properties, body = channel.basic_get(queue)
                if method is None:
                    return found
                found.append((properties, body))

    def ids(self, queue: str) -> list[int]:
        """The work row ids of all hints that are ready in a queue, sorted."""
        return sorted(work_id for _, body in self.bodies(queue) for work_id in json.loads(body)["args"][0])


@contextmanager
def working(broker: Broker, *, threads: int = 1, queues: set[str] | None = None) -> Iterator[Worker]:
    """A worker in this process that serves the broker's actors meanwhile."""
    worker = Worker(broker, worker_threads=threads, worker_timeout=50, queues=queues)
    broker.emit_after("process_boot")
    worker.start()
    try:
        yield worker
    finally:
        worker.stop(timeout=5_000)


def actor(broker: Broker, act: Callable[[list[int]], None], *, name: str = "validate", **options: object) -> None:
    """Declare `act` as the actor of a step on `broker`."""
    dramatiq.actor(act, actor_name=name, queue_name=name, broker=broker, **options)


def hint_body(*ids: int, **changes: object) -> bytes:
    """A hint as JSON with some fields changed; a change to `...` leaves the field out."""
    fields: dict[str, object] = {
        "queue_name": "validate",
        "actor_name": "validate",
        "args": [list(ids)],
        "kwargs": {},
        "options": {},
        "message_id": "m1",
        "message_timestamp": 1,
    }
    fields.update(changes)
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


def hint(*ids: int, queue: str = "validate", **facets: Any) -> HintMessage:
    """A hint of these ids for the step of the queue."""
    return envelope.hint(queue.split(".", maxsplit=1)[0], ids, queue=queue, **facets)
