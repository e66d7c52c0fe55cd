"""The broker of the embedded run: queues in memory that may forget, since the work ledger does not."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from queue import Full, Queue

import structlog
from dramatiq.brokers.stub import StubBroker
from dramatiq.common import current_millis, dq_name
from dramatiq.errors import QueueNotFound

from queues import envelope, topology
from queues.envelope import HintMessage
from queues.middleware import hint_middleware
from queues.publishing import Headers, QueueLook

log = structlog.get_logger(__name__)

#: Hints one in-memory queue holds; more are dropped and sent again by the sweeper.
HINTS_WAITING_MAX = 1_000
#: Notices kept for whoever asks in this process; the embedded run has no other subscribers.
NOTICES_KEPT_MAX = 1_000
#: The one in-memory queue for all delays; Dramatiq would start a thread for each work queue.
_DELAYS = dq_name("delays")


@dataclass(frozen=True, slots=True)
class Notice:
    """A CloudEvent as it would have been published to RabbitMQ."""

    exchange: str
    routing_key: str
    body: bytes
    headers: Headers


class EmbeddedBroker(StubBroker):
    """Dramatiq's in-memory broker with bounded queues: what does not fit is dropped, never waited for."""

    def __init__(self) -> None:
        super().__init__(middleware=hint_middleware())
        self.notices: deque[Notice] = deque(maxlen=NOTICES_KEPT_MAX)
        self._delays: Queue[bytes] = Queue(maxsize=HINTS_WAITING_MAX)
        self._delay_names = {_DELAYS}

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:  # noqa: ARG002 - as in the fleet
        """Make a queue, unless it is there already or is `post`, which only has queues per ERP connection."""
        if queue_name in self.queues or queue_name in topology.STEPS_PER_CONNECTION:
            return
        self.emit_before("declare_queue", queue_name)
        self.queues[queue_name] = Queue(maxsize=HINTS_WAITING_MAX)
        self.queues[dq_name(queue_name)] = self._delays
        self._delay_names.add(dq_name(queue_name))
        self.emit_after("declare_queue", queue_name)
        if _DELAYS not in self.delay_queues:
            self.queues[_DELAYS] = self._delays
            self.delay_queues.add(_DELAYS)
            self.emit_after("declare_delay_queue", _DELAYS)

    def get_declared_queues(self) -> set[str]:
        """The work queues; a worker starts a thread for each."""
        return {name for name in self.queues if name not in self._delay_names}

    def enqueue(self, message: HintMessage, *, delay: int | None = None) -> HintMessage:
        """Put a hint into its queue, or after `delay` milliseconds; a full queue drops it.

        Raises `HintUnreadable` if it is no hint, and Dramatiq's `QueueNotFound`.
        """
        envelope.require_hint(message)
        if message.queue_name not in self.queues:
            raise QueueNotFound(message.queue_name)
        self.emit_before("enqueue", message, delay)
        later = message if delay is None else message.copy(options={"eta": current_millis() + delay})
        waiting: Queue[bytes] = self.queues[message.queue_name] if delay is None else self._delays
        try:
            waiting.put_nowait(later.encode())
        except Full:
            log.info("queue full, hint left to the sweeper", queue=message.queue_name)
        self.emit_after("enqueue", message, delay)
        return message

    def send(self, hint: HintMessage, *, delay_s: float | None = None) -> None:
        """Put a hint into its queue, or after a delay rounded up as in the fleet.

        A queue of the topology that nobody has asked for yet, as those of an ERP connection, is made and served.
        Raises `DelayTooLong` and `QueueUnknown`.
        """
        if hint.queue_name not in self.queues:
            self.declare_queue(topology.route_of(hint.queue_name).queue)
        self.enqueue(hint, delay=topology.rung(delay_s) * 1000 if delay_s else None)

    def come_back(self, hint: HintMessage, error: BaseException) -> None:
        """Send a hint again whose step could not record an outcome, each time a rung later."""
        again, delay_s = envelope.next_attempt(hint)
        log.warning("hint comes back", queue=hint.queue_name, delay_s=delay_s, error=repr(error))
        self.send(again, delay_s=delay_s)

    def publish_dead(self, queue: str, work_id: int, *, headers: Headers) -> None:
        """Nothing to show it in: the embedded run has no console, its dead rows are in the workbench."""

    def remove_dead(self, queue: str, work_ids: Collection[int]) -> frozenset[int]:
        """All of them, since none was ever shown."""
        del queue
        return frozenset(work_ids)

    def publish_event(self, exchange: str, routing_key: str, body: bytes, headers: Headers | None = None) -> None:
        """Keep a CloudEvent among the latest notices."""
        self.notices.append(Notice(exchange, routing_key, body, headers or {}))

    def look(self, queue: str) -> QueueLook | None:
        """How many hints wait; consumers are this process's own, one or none."""
        if queue not in self.queues:
            return None
        return QueueLook(ready=self.queues[queue].qsize(), consumers=1)
