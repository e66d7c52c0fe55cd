"""Intake: stores bodies exactly as received, many at once, and acknowledges them after the commit. It never parses.

`python -m workers.intake` takes usage, `python -m workers.intake master` what other systems say of master data.
"""

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, Final

import pika
import structlog
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel
from pika.exceptions import AMQPError
from pika.spec import Basic, BasicProperties
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from queues.contracts import Delivery
from queues.declaring import Declared
from queues.envelope import worker_name
from queues.foreign_headers import read_foreign_headers
from queues.settings import Settings, settings
from queues.telemetry import configure_logging, start_sentry
from queues.topology import INTAKE_QUEUE, MASTER_QUEUE
from queues.work import Hintable
from workers.step import publish
from workers.store import master_messages, receipts
from workers.store.database import engine

log = structlog.get_logger(__name__)

#: While the database or RabbitMQ is away, this long between two looks.
AGAIN_S = 1.0
#: AMQP properties kept beside each body.
KEPT = (
    "content_type",
    "content_encoding",
    "message_id",
    "correlation_id",
    "user_id",
    "app_id",
    "type",
    "timestamp",
    "headers",
)


def properties_of(method: Basic.Deliver, properties: BasicProperties) -> dict[str, Any]:
    """What AMQP said of a body, as it is kept beside it."""
    kept = {name: getattr(properties, name) for name in KEPT if getattr(properties, name) is not None}
    return {**kept, "exchange": method.exchange, "routing_key": method.routing_key}


@dataclass(frozen=True, slots=True)
class Inlet:
    """A queue that other systems send to, and how what comes is stored; returns the work to hint."""

    queue: str
    declare: Callable[[Declared, Any], None]
    store: Callable[[Connection, Sequence[Delivery]], list[Hintable]]


#: What the process may be told to take, by its argument.
INLETS: Final[Mapping[str, Inlet]] = {
    INTAKE_QUEUE: Inlet(INTAKE_QUEUE, Declared.intake, lambda conn, bodies: receipts.store(conn, INTAKE_QUEUE, bodies)),
    MASTER_QUEUE: Inlet(MASTER_QUEUE, Declared.master, master_messages.store),
}


class Intake:
    """One consumer with one buffer: what is in the buffer is not yet acknowledged, so nothing of it can be lost."""

    def __init__(self, url: str, limits: Settings, inlet: Inlet) -> None:
        self._url = url
        self._inlet = inlet
        self._limits = limits
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None
        self._consumer: str | None = None
        self._buffer: list[Delivery] = []
        self._bytes = 0
        self._last_tag = 0
        self._timer: object | None = None
        self._owed: list[Hintable] = []
        self._hinted_at = -inf
        self._hint_timer: object | None = None
        self._is_stopping = False
        self._is_away_told = False

    def run(self) -> None:
        """Consume until `stop`; reconnects for ever, since a broker that is away comes back."""
        while not self._is_stopping:
            self._forget()
            if self._is_declared():
                self._consume_until_lost()
            if not self._is_stopping:
                _pause(AGAIN_S)

    def stop(self, *_signal: object) -> None:
        """Store what is buffered, then leave; a second call leaves at once and RabbitMQ gives the rest to another."""
        if self._connection is None or self._is_stopping:
            sys.exit(0)
        self._is_stopping = True
        self._connection.ioloop.add_callback_threadsafe(self._leave)

    def _is_declared(self) -> bool:
        """Make sure that upstreams can send, also before anybody consumes; False if RabbitMQ does not let us."""
        try:
            with pika.BlockingConnection(pika.URLParameters(self._url)) as connection:
                self._inlet.declare(Declared(), connection.channel())
        except AMQPError as error:
            if not self._is_away_told:
                log.warning("RabbitMQ away: intake cannot declare its queue", reason=repr(error))
                self._is_away_told = True
            return False
        self._is_away_told = False
        return True

    def _consume_until_lost(self) -> None:
        parameters = pika.URLParameters(self._url)
        parameters.client_properties = {"connection_name": f"tallyline intake {worker_name()}"}
        self._connection = SelectConnection(
            parameters,
            on_open_callback=self._opened,
            on_open_error_callback=lambda _connection, error: self._lost(error),
            on_close_callback=lambda _connection, error: self._lost(error),
        )
        self._connection.ioloop.start()

    def _leave(self) -> None:
        self._flush()
        self._send_hints()
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
        elif self._connection is not None:
            self._connection.ioloop.stop()

    def _opened(self, connection: SelectConnection) -> None:
        connection.channel(on_open_callback=self._prepare)

    def _prepare(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _channel, error: self._channel_lost(error))
        channel.add_on_cancel_callback(lambda _method: channel.close())  # the queue is gone: declare it again
        channel.basic_qos(prefetch_count=2 * self._limits.intake_bodies_max, callback=lambda _ok: self._start(channel))

    def _start(self, channel: Channel) -> None:
        self._consumer = channel.basic_consume(self._inlet.queue, self._received)
        log.info("intake consumes", queue=self._inlet.queue)

    def _received(self, channel: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
        if channel is not self._channel:
            return
        self._buffer.append(Delivery(body, properties_of(method, properties)))
        self._bytes += len(body)
        self._last_tag = method.delivery_tag
        if self._consumer is None:
            return  # what was under way when the database went: it waits for the next try with the rest
        if len(self._buffer) >= self._limits.intake_bodies_max or self._bytes >= self._limits.intake_bytes_max:
            self._flush()
        elif self._timer is None:
            self._flush_after(self._limits.intake_wait_s)

    def _flush(self) -> None:
        """Store the buffer as one receipt and acknowledge it; with the database away, stop consuming and try again."""
        self._cancel_timer()
        if not self._buffer or self._channel is None or not self._channel.is_open:
            return
        try:
            with engine().begin() as conn:
                hints = self._inlet.store(conn, self._buffer)
        except (DBAPIError, PoolTimeout) as error:
            self._wait_for_database(error)
            return
        self._channel.basic_ack(self._last_tag, multiple=True)
        self._buffer, self._bytes = [], 0
        if self._consumer is None and not self._is_stopping:
            self._start(self._channel)
        self._hint(hints)

    def _hint(self, rows: Sequence[Hintable]) -> None:
        """Hint at once after a rest, else together with what comes meanwhile.

        Small receipts that share a hint share its transactions all the way to their windows.
        """
        assert self._connection is not None
        self._owed += rows
        rest_s = self._hinted_at + self._limits.intake_hint_s - monotonic()
        if rest_s <= 0 or sum(row.weight for row in self._owed) >= self._limits.hint_weight_max:
            self._send_hints()
        elif self._hint_timer is None:
            self._hint_timer = self._connection.ioloop.call_later(rest_s, self._send_hints)

    def _send_hints(self) -> None:
        if self._hint_timer is not None and self._connection is not None:
            self._connection.ioloop.remove_timeout(self._hint_timer)
        owed, self._owed, self._hint_timer = self._owed, [], None
        self._hinted_at = monotonic()
        publish(owed)

    def _wait_for_database(self, error: Exception) -> None:
        if self._consumer is not None and self._channel is not None:
            log.warning("database away: intake stops consuming", reason=str(error), held=len(self._buffer))
            self._channel.basic_cancel(self._consumer)
            self._consumer = None
        if not self._is_stopping:
            self._flush_after(AGAIN_S)

    def _flush_after(self, delay_s: float) -> None:
        assert self._connection is not None
        self._timer = self._connection.ioloop.call_later(delay_s, self._flush)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._connection is not None:
            self._connection.ioloop.remove_timeout(self._timer)
        self._timer = None

    def _channel_lost(self, error: BaseException) -> None:
        """Drop the buffer: the broker delivers it again, and its tags mean nothing on the next channel."""
        if not self._is_stopping:
            log.warning("channel lost", reason=str(error), dropped=len(self._buffer))
        self._forget()
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    def _lost(self, error: BaseException | str) -> None:
        if not self._is_stopping:
            log.warning("connection lost", reason=str(error), dropped=len(self._buffer))
        self._forget()
        if self._connection is not None:
            self._connection.ioloop.stop()

    def _forget(self) -> None:
        self._cancel_timer()
        self._send_hints()
        self._buffer, self._bytes, self._last_tag = [], 0, 0
        self._channel, self._consumer = None, None


def _pause(pause_s: float) -> None:
    """Wait in a way that a signal ends at once."""
    until = monotonic() + pause_s
    while (rest := until - monotonic()) > 0:
        signal.sigtimedwait([], rest)


def main() -> None:
    """Run intake until SIGTERM or SIGINT."""
    configure_logging()
    start_sentry(settings())
    url = settings().amqp_url
    if url is None or settings().mode != "fleet":
        sys.exit(
            "intake is part of a fleet: set TALLYLINE_MODE=fleet and TALLYLINE_AMQP_URL; "
            "the embedded run takes what `tallyline send` gives it"
        )
    read_foreign_headers()
    named = sys.argv[1] if len(sys.argv) > 1 else INTAKE_QUEUE
    if named not in INLETS:
        sys.exit(f"{named!r} is no queue that others send to: name one of {', '.join(INLETS)}")
    intake = Intake(url.get_secret_value(), settings(), INLETS[named])
    signal.signal(signal.SIGTERM, intake.stop)
    signal.signal(signal.SIGINT, intake.stop)
    intake.run()


if __name__ == "__main__":
    main()
