"""The broker of this process: RabbitMQ that loses nothing in a fleet, memory in the embedded run."""

import time
from collections.abc import Callable, Collection
from copy import copy
from functools import cache

import dramatiq
import pika
import structlog
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import CurrentMessage
from pika.exceptions import AMQPChannelError, AMQPConnectionError, ConnectionBlockedTimeout

from queues import dead_letters, envelope, topology
from queues.consumer import FleetConsumer, Raw
from queues.declaring import Declared
from queues.embedded import EmbeddedBroker
from queues.envelope import HeaderValue, HintMessage
from queues.middleware import hint_middleware
from queues.publishing import Headers, Letter, NoticeNotSent, NotPublished, QueueLook
from queues.settings import Settings, settings
from queues.telemetry import start_sentry

log = structlog.get_logger(__name__)

#: Tries of one publish, with a doubling pause: under a second in all, since the sweeper sends again what is missing.
PUBLISH_ATTEMPTS_MAX = 5
PUBLISH_PAUSE_S = 0.05
#: How long a publisher waits while RabbitMQ refuses to read because of a memory or disk alarm.
BLOCKED_S_MAX = 10.0
#: A notice that RabbitMQ would not take is tried again after this.
NOTICE_AGAIN_S = 5.0

#: RabbitMQ or the way to it is gone; OSError is what a host name that cannot be resolved looks like.
AWAY = (AMQPConnectionError, AMQPChannelError, OSError)
_NOT_FOUND = 404


class FleetBroker(RabbitmqBroker):
    """Dramatiq on quorum queues, where a hint leaves a queue only after its successor or its outcome is safe.

    Every publish is confirmed; delays lie in a ladder of queues, not in the memory of a worker.
    """

    def __init__(self, url: str) -> None:
        super().__init__(confirm_delivery=True, url=url, middleware=hint_middleware())
        many = self.parameters if isinstance(self.parameters, list) else [self.parameters]
        self.parameters = [_tuned(each, role="publisher") for each in many]
        self.declared = Declared()

    def connect(self, role: str) -> pika.BlockingConnection:
        """A new connection that the console shows under `role`. Raises `ConnectionClosed`."""
        try:
            return pika.BlockingConnection([_tuned(each, role=role) for each in self.parameters])
        except AWAY as error:
            raise ConnectionClosed(error) from None

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """Note that this process works on a queue; `ensure` also creates it. Raises `NotPublished`.

        `post` itself is no queue: each ERP connection has one, and a worker names those it serves.
        """
        if queue_name in topology.STEPS_PER_CONNECTION:
            return
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)
        if ensure:
            self._insist(lambda: self.declared.work_queue(self.channel, queue_name))

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> FleetConsumer:
        """A consumer of one queue that holds at most `prefetch` hints. Raises `ConnectionClosed`."""
        return FleetConsumer(self, queue_name, prefetch=prefetch, timeout_ms=timeout)

    def enqueue(self, message: HintMessage, *, delay: int | None = None) -> HintMessage:
        """Send a hint, after `delay` milliseconds rounded up to a rung of the ladder.

        Raises `HintUnreadable` if it is no hint, `DelayTooLong`, and `NotPublished` if RabbitMQ did not confirm it.
        """
        envelope.require_hint(message)
        self.send(message, delay_s=None if delay is None else delay / 1000)
        return message

    def send(self, hint: HintMessage, *, delay_s: float | None = None, **story: HeaderValue | None) -> None:
        """Publish a hint to its queue or to the ladder; `story` is shown in the console. Raises as `enqueue`."""
        exchange = topology.delay_name(topology.rung(delay_s)) if delay_s else ""
        delay_ms = int(delay_s * 1000) if delay_s else None
        self.emit_before("enqueue", hint, delay_ms)
        self._publish(
            Letter(
                exchange,
                hint.queue_name,
                hint.encode(),
                envelope.properties(hint, story),
                lambda channel: self.declared.work_queue(channel, hint.queue_name),
            )
        )
        self.emit_after("enqueue", hint, delay_ms)

    def come_back(self, hint: HintMessage, error: BaseException) -> None:
        """Send a hint again whose step could not record an outcome, each time a rung later. Raises `NotPublished`."""
        again, delay_s = envelope.next_attempt(hint)
        story = f"{type(error).__name__}: {error}"
        self.send(again, delay_s=delay_s, error=story, worker=envelope.worker_name())

    def publish_dead(self, queue: str, work_id: int, *, headers: Headers) -> None:
        """Show a dead work row in the console: `<queue>.XQ` gets a valid hint for it, `headers` tell its story.

        One row a body, since the story is that row's and the body goes when the row is resolved. Raises `NotPublished`.
        """
        correlation_id = str(headers.get("correlation_id") or "")
        hint = envelope.hint(topology.route_of(queue).step, [work_id], queue=queue, correlation_id=correlation_id)
        self._publish(
            Letter(
                "",
                topology.dead_queue_name(queue),
                hint.encode(),
                envelope.properties(hint, {**headers, "work_id": work_id}),
                lambda channel: self.declared.work_queue(channel, queue),
            )
        )

    def remove_dead(self, queue: str, work_ids: Collection[int]) -> frozenset[int]:
        """Take the bodies of resolved work rows out of `<queue>.XQ`; the rows found. Raises `NotPublished`."""
        found: set[int] = set()

        def once() -> None:
            self.declared.work_queue(self.channel, queue)
            found.update(dead_letters.remove(self.connection.channel(), topology.dead_queue_name(queue), work_ids))

        self._insist(once)
        return frozenset(found)

    def bury(self, queue: str, raw: Raw, *, code: str, error: str) -> None:
        """Publish a body that is no hint to `<queue>.XQ`, unchanged, with the reason. Raises `NotPublished`."""
        self._publish(
            Letter(
                "",
                topology.dead_queue_name(queue),
                raw.body,
                envelope.buried(raw.properties, code=code, error=error, queue=queue),
                lambda channel: self.declared.work_queue(channel, queue),
            )
        )

    def publish_event(self, exchange: str, routing_key: str, body: bytes, headers: Headers | None = None) -> None:
        """Publish a structured CloudEvent to a topic exchange, confirmed; nobody has to be listening.

        Raises `NoticeNotSent`, a snooze: RabbitMQ has not confirmed it.
        """
        letter = Letter(
            exchange,
            routing_key,
            body,
            envelope.event_properties(headers or {}),
            lambda channel: self.declared.exchange(channel, exchange),
            mandatory=False,
        )
        try:
            self._publish(letter)
        except NotPublished as error:
            raise NoticeNotSent(f"{exchange} did not confirm a notice: {error}", delay_s=NOTICE_AGAIN_S) from error

    def look(self, queue: str) -> QueueLook | None:
        """How many hints are ready and how many consumers there are; None if there is no such queue.

        Raises `NotPublished` if RabbitMQ does not answer.
        """
        found: list[QueueLook | None] = []

        def ask() -> None:
            try:
                method = self.channel.queue_declare(queue, passive=True).method
                found.append(QueueLook(method.message_count, method.consumer_count))
            except AMQPChannelError as error:
                if getattr(error, "reply_code", None) != _NOT_FOUND:
                    raise
                del self.channel
                found.append(None)

        self._insist(ask)
        return found[-1]

    def _publish(self, letter: Letter) -> None:
        def once() -> None:
            letter.prepare(self.channel)
            self.channel.basic_publish(
                letter.exchange, letter.routing_key, letter.body, letter.properties, mandatory=letter.mandatory
            )

        self._insist(once)

    def _insist(self, act: Callable[[], None]) -> None:
        """Do `act` on this thread's channel, on a new connection after each failure. Raises `NotPublished`."""
        for attempt in range(PUBLISH_ATTEMPTS_MAX):
            if attempt:
                time.sleep(PUBLISH_PAUSE_S * 2 ** (attempt - 1))
            try:
                act()
            except ConnectionBlockedTimeout as error:
                # What was written may still be accepted when the alarm ends: each further try would be one more copy.
                del self.connection
                raise NotPublished(error) from None
            except AWAY as error:
                del self.connection
                self.declared.forget()
                failure = error
            except BaseException:
                # A time limit or a shutdown cut in: a late confirm must not be taken for that of the next message.
                del self.connection
                raise
            else:
                return
        raise NotPublished(failure) from None


def _tuned(parameters: pika.connection.Parameters, *, role: str) -> pika.connection.Parameters:
    """The connection parameters of the URL, with a name for the console and an end to waiting for an alarm."""
    tuned = copy(parameters)
    if tuned.blocked_connection_timeout is None:
        tuned.blocked_connection_timeout = BLOCKED_S_MAX
    tuned.client_properties = {"connection_name": f"tallyline {role} {envelope.worker_name()}"}
    return tuned


def build_broker(chosen: Settings) -> FleetBroker | EmbeddedBroker:
    """The broker for these settings. Sentry starts first, since it hooks into the making of a broker."""
    start_sentry(chosen)
    if chosen.mode == "embedded":
        return EmbeddedBroker()
    if chosen.amqp_url is None:
        raise ValueError("a fleet needs TALLYLINE_AMQP_URL")
    return FleetBroker(chosen.amqp_url.get_secret_value())


@cache
def broker() -> FleetBroker | EmbeddedBroker:
    """The broker of this process, made on first use and known to Dramatiq."""
    made = build_broker(settings())
    dramatiq.set_broker(made)
    return made


def redelivered() -> bool:
    """Whether the current hint was delivered before without an outcome: its worker may have died of one of its rows."""
    message = CurrentMessage.get_current_message()
    if message is None:
        return False
    return bool(getattr(message, "redelivered", False) or message.options.get("suspect", False))
