"""One queue's deliveries from RabbitMQ: checked before Dramatiq sees them, settled only where they were delivered."""

from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import pika
import structlog
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.errors import ConnectionClosed
from pika.exceptions import AMQPChannelError, AMQPConnectionError, ConnectionWrongStateError

from queues.envelope import HintMessage, HintUnreadable, read_hint

if TYPE_CHECKING:
    from queues.broker import FleetBroker

log = structlog.get_logger(__name__)

#: What pika raises when a connection or channel is gone; AssertionError comes from its generator after a close.
AMQP_ERRORS = (AssertionError, AMQPConnectionError, AMQPChannelError)
#: One wait for the settlements still to be written before a connection closes.
CALLBACK_S_MAX = 0.1
_NOT_FOUND = 404


class Settlement(Enum):
    """What becomes of a delivery once its actor is through."""

    LEAVE = auto()  # unacknowledged until the connection closes; then RabbitMQ delivers it again
    ACK = auto()
    REQUEUE = auto()


class Delivery(MessageProxy):
    """A hint as RabbitMQ delivered it. It stays in its queue until the last middleware says otherwise."""

    def __init__(self, hint: HintMessage, *, consumer: "FleetConsumer", raw: "Raw") -> None:
        super().__init__(hint)
        self.consumer = consumer
        self.raw = raw
        self.redelivered = raw.redelivered
        self.settlement = Settlement.LEAVE


def settle(message: MessageProxy, settlement: Settlement) -> None:
    """Decide what becomes of a delivery; in the embedded run there is nothing to decide."""
    if isinstance(message, Delivery):
        message.settlement = settlement


class Raw:
    """A delivery before anything is believed about its body."""

    __slots__ = ("body", "properties", "redelivered", "tag")

    def __init__(self, method: Any, properties: pika.BasicProperties, body: bytes) -> None:  # noqa: ANN401 - pika is untyped
        self.tag: int = method.delivery_tag
        self.redelivered: bool = method.redelivered
        self.properties = properties
        self.body = body


class FleetConsumer(Consumer):
    """An iterator over one queue, on a connection of its own.

    Unlike the stock consumer it never lets a malformed body reach Dramatiq (which would close the consumer, or kill
    the worker thread), holds no message for a later time, and never acknowledges a delivery of an earlier connection:
    delivery tags start at 1 again, so that would acknowledge a message nobody has worked on.
    """

    def __init__(self, broker: "FleetBroker", queue_name: str, *, prefetch: int, timeout_ms: int) -> None:
        self.broker = broker
        self.queue_name = queue_name
        self.connection = broker.connect(f"consumer {queue_name}")
        try:
            self.channel = self.connection.channel()
            self.channel.basic_qos(prefetch_count=prefetch)
            broker.declared.work_queue(self.channel, queue_name)
            self.deliveries = self.channel.consume(queue_name, inactivity_timeout=timeout_ms / 1000)
        except AMQP_ERRORS as error:
            self._hang_up()
            raise ConnectionClosed(error) from None

    def __next__(self) -> Delivery | None:
        try:
            method, properties, body = next(self.deliveries)
        except AMQP_ERRORS as error:
            if getattr(error, "reply_code", None) == _NOT_FOUND:
                self.broker.declared.forget()
            raise ConnectionClosed(error) from None
        if method is None:
            return None
        raw = Raw(method, properties, body)
        try:
            hint = read_hint(raw.body, queue=self.queue_name)
        except HintUnreadable as unreadable:
            self._bury(raw, code=unreadable.code, error=str(unreadable))
            return None
        return Delivery(hint, consumer=self, raw=raw)

    def ack(self, message: MessageProxy) -> None:
        """Settle a delivery as its last middleware decided: take it out of the queue, put it back, or leave it."""
        if not isinstance(message, Delivery) or message.consumer is not self:
            log.warning("stale delivery left to its queue", queue=self.queue_name, hint=message.message_id)
        elif message.settlement is Settlement.ACK:
            self._later(partial(self.channel.basic_ack, message.raw.tag))
        elif message.settlement is Settlement.REQUEUE:
            self._later(partial(self.channel.basic_nack, message.raw.tag, requeue=True))

    def nack(self, message: MessageProxy) -> None:
        """Move a hint for an actor this process does not have to `.XQ`, with the reason."""
        if isinstance(message, Delivery) and message.consumer is self:
            sentence = f"this worker has no actor {message.actor_name!r}"
            self._bury(message.raw, code="hint_for_unknown_actor", error=sentence)

    def close(self) -> None:
        """Close the connection after all settlements so far were written; RabbitMQ takes the rest back."""
        self._hang_up()

    def _bury(self, raw: Raw, *, code: str, error: str) -> None:
        """Publish to `.XQ` with the reason, then acknowledge; without a connection RabbitMQ moves it, without words."""
        try:
            self.broker.bury(self.queue_name, raw, code=code, error=error)
        except ConnectionClosed:
            self._later(partial(self.channel.basic_nack, raw.tag, requeue=False))
        else:
            self._later(partial(self.channel.basic_ack, raw.tag))
        log.error("hint buried", queue=self.queue_name, code=code, error=error)

    def _later(self, settle: Callable[[], None]) -> None:
        """Run `settle` on the consumer's own thread; on a closed connection there is nothing left to settle."""
        try:
            self.connection.add_callback_threadsafe(settle)
        except ConnectionWrongStateError:
            log.warning("connection gone, the delivery returns to its queue", queue=self.queue_name)

    def _hang_up(self) -> None:
        if not self.connection.is_open:
            return
        settled = Event()
        try:
            self.connection.add_callback_threadsafe(settled.set)
            while not settled.is_set():
                self.connection.process_data_events(CALLBACK_S_MAX)
            self.connection.close()
        except AMQP_ERRORS as error:
            log.info("connection was gone before it closed", queue=self.queue_name, error=repr(error))
