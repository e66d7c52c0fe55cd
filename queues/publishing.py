"""What both brokers offer the rest of Tallyline, and how they say that something could not be sent."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pika
from dramatiq.errors import ConnectionClosed

from domain.errors import Snooze
from queues.envelope import HeaderValue, HintMessage

Channel = Any  # pika comes without types
Headers = Mapping[str, HeaderValue | None]


class NotPublished(ConnectionClosed):
    """RabbitMQ has not confirmed a message, or has not answered; it may hold the message nonetheless."""

    def __init__(self, reason: object) -> None:
        super().__init__(str(reason) or repr(reason))  # type: ignore[no-untyped-call]


class NoticeNotSent(Snooze):
    """A CloudEvent was not confirmed; an outage of RabbitMQ is nobody's failure, so it is tried again later."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is published and where to; `prepare` creates on a channel what must exist for it to arrive."""

    exchange: str
    routing_key: str
    body: bytes
    properties: pika.BasicProperties
    prepare: Callable[[Channel], None]
    mandatory: bool = True


@dataclass(frozen=True, slots=True)
class QueueLook:
    """A queue as the broker counts it now; `ready` leaves out what consumers hold."""

    ready: int
    consumers: int


class HintBroker(Protocol):
    """What Tallyline asks of a broker beyond Dramatiq's own interface."""

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """Note that this process works on a queue; `ensure` also creates it."""

    def send(self, hint: HintMessage, *, delay_s: float | None = None) -> None:
        """Send a hint at once, or after a delay rounded up to a rung. Raises `DelayTooLong` and `NotPublished`."""

    def come_back(self, hint: HintMessage, error: BaseException) -> None:
        """Send a hint again whose step could not record an outcome, each time a rung later. Raises `NotPublished`."""

    def publish_dead(self, queue: str, work_id: int, *, headers: Headers) -> None:
        """Show a dead work row in `<queue>.XQ`: a hint for it, its story in the headers. Raises `NotPublished`."""

    def remove_dead(self, queue: str, work_ids: Collection[int]) -> frozenset[int]:
        """Take the bodies of resolved work rows out of `<queue>.XQ`; the rows found. Raises `NotPublished`."""

    def publish_event(self, exchange: str, routing_key: str, body: bytes, headers: Headers | None = None) -> None:
        """Publish a structured CloudEvent to a topic exchange, whoever listens. Raises `NoticeNotSent`."""

    def look(self, queue: str) -> QueueLook | None:
        """How many hints are ready and how many consumers there are; None without such a queue."""
