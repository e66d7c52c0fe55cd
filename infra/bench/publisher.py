"""An upstream: sends bodies to the exchange `usage` with pipelined confirms, as fast as it can or at a steady pace.

A process of its own (`python -m infra.bench.publisher`): it makes all bodies, writes `ready`, waits for a line on its
standard input, sends, and ends with one line of JSON: when each body was sent, and when the last was confirmed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

import pika
from pika.adapters.select_connection import SelectConnection

from infra.bench.workload import Workload
from queues.topology import USAGE_EXCHANGE

#: Bytes, and bodies, sent and not yet confirmed.
WINDOW_BYTES = 8 * 2**20
WINDOW_BODIES = 1_000
#: Bodies sent before the connection is looked after again.
BURST = 50
#: How often a paced publisher sends what has come due.
TICK_S = 0.005
READY = "ready"


class NotConfirmed(Exception):
    """RabbitMQ refused a body of the benchmark, or was lost."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a publisher did; instants are seconds since 1970 by this machine's clock."""

    first_at: float
    confirmed_at: float
    sent_at: Sequence[float]


class Pump:
    """Sends all bodies over one connection and notes when each left."""

    def __init__(self, url: str, workload: Workload, bodies: Sequence[bytes], *, bodies_per_s: float | None) -> None:
        self._parameters = pika.URLParameters(url)
        user = self._parameters.credentials.username
        self._properties = pika.BasicProperties(content_type=workload.content_type, delivery_mode=2, user_id=user)
        self._bodies = bodies
        self._pace = bodies_per_s
        self._window = max(1, min(WINDOW_BODIES, WINDOW_BYTES // len(bodies[0])))
        self._sent_at: list[float] = []
        self._unconfirmed: dict[int, None] = {}  # delivery tags, oldest first
        self._is_waiting = False
        self._confirmed_at = 0.0
        self._connection: Any = None
        self._channel: Any = None

    def run(self) -> Sent:
        """Send everything and return when all of it is confirmed. Raises `NotConfirmed`."""
        self._connection = SelectConnection(
            self._parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._opened),
            on_open_error_callback=self._lost,
            on_close_callback=self._lost,
        )
        self._connection.ioloop.start()
        if not self._confirmed_at:
            sent, unconfirmed = len(self._sent_at), len(self._unconfirmed)
            raise NotConfirmed(f"{sent} of {len(self._bodies)} bodies were sent, {unconfirmed} of them not confirmed")
        return Sent(self._sent_at[0], self._confirmed_at, self._sent_at)

    def _opened(self, channel: Any) -> None:  # noqa: ANN401 - pika is untyped
        self._channel = channel
        channel.confirm_delivery(self._settled, callback=lambda _ok: self._send())

    def _send(self) -> None:
        """Send what the window and the pace allow, a burst at most, then let the connection breathe."""
        sent = len(self._sent_at)
        end = min(len(self._bodies), sent + self._window - len(self._unconfirmed), sent + BURST)
        if self._pace is not None and self._sent_at:
            end = min(end, 1 + int((time.time() - self._sent_at[0]) * self._pace))
        for number in range(sent, end):
            self._sent_at.append(time.time())
            self._unconfirmed[number + 1] = None
            self._channel.basic_publish(USAGE_EXCHANGE, "bench", self._bodies[number], self._properties)
        self._is_waiting = len(self._unconfirmed) >= self._window
        if len(self._sent_at) < len(self._bodies) and not self._is_waiting:
            self._connection.ioloop.call_later(0 if self._pace is None else TICK_S, self._send)

    def _settled(self, frame: Any) -> None:  # noqa: ANN401 - pika is untyped
        if not isinstance(frame.method, pika.spec.Basic.Ack):
            self._connection.close()
            return
        tag = frame.method.delivery_tag
        if frame.method.multiple:
            for each in [each for each in self._unconfirmed if each <= tag]:
                del self._unconfirmed[each]
        else:
            del self._unconfirmed[tag]
        if not self._unconfirmed and len(self._sent_at) == len(self._bodies):
            self._confirmed_at = time.time()
            self._connection.close()
        elif self._is_waiting:
            self._send()

    def _lost(self, connection: Any, _error: object) -> None:  # noqa: ANN401 - pika is untyped
        connection.ioloop.stop()


class Publisher:
    """A publisher process that has its bodies ready; leaving the `with` block ends it."""

    def __init__(self, amqp_url: str, workload: Workload, *, bodies_per_s: float | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "infra.bench.publisher", json.dumps({**asdict(workload), "pace": bodies_per_s})],
            env={**os.environ, "TALLYLINE_AMQP_URL": amqp_url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        if self._line() != READY:
            raise NotConfirmed("the publisher did not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self._process.kill()
        self._process.communicate()  # closes its pipes too

    def go(self) -> None:
        """Let it send."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def sent(self) -> Sent:
        """What it did, once everything is confirmed. Raises `NotConfirmed`."""
        line = self._line()
        if not line:
            raise NotConfirmed("the publisher ended before everything was confirmed")
        return Sent(**json.loads(line))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def main() -> None:
    """Make the bodies, wait for the word, send them."""
    order = json.loads(sys.argv[1])
    pace = order.pop("pace")
    workload = Workload(**order)
    bodies = list(workload.bodies(datetime.now(UTC)))
    print(READY, flush=True)
    if sys.stdin.readline():
        sent = Pump(os.environ["TALLYLINE_AMQP_URL"], workload, bodies, bodies_per_s=pace).run()
        print(json.dumps(asdict(sent)), flush=True)


if __name__ == "__main__":
    main()
