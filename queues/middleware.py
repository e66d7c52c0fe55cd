"""What Dramatiq does around every hint: serve its queues, settle it, limit its time, know its correlation id."""

import time
from typing import TYPE_CHECKING, Any, cast

import structlog
from dramatiq.actor import Actor
from dramatiq.broker import Broker, MessageProxy
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import CurrentMessage, Middleware, MiddlewareError, Shutdown, ShutdownNotifications, TimeLimit
from dramatiq.worker import Worker

from queues import topology
from queues.consumer import Settlement, settle
from queues.telemetry import CorrelationIds, Logs
from queues.watchdog import Watchdog

if TYPE_CHECKING:
    from queues.publishing import HintBroker

log = structlog.get_logger(__name__)

#: A hint's transaction takes seconds; RabbitMQ takes a delivery away from its consumer after 30 minutes.
HINT_TIME_MAX_MS = 300_000
#: Pause before a hint that could not be handed over goes back to its queue, lest it turns in circles.
HAND_BACK_PAUSE_S = 1.0


def hint_middleware() -> list[Middleware]:
    """The middleware of every broker of ours, in an order that matters: the first runs last after an actor.

    Dramatiq's own Retries, Pipelines and Callbacks are missing on purpose: they acknowledge a message also when its
    successor could not be sent.
    """
    return [
        Settle(),
        TimeLimit(time_limit=HINT_TIME_MAX_MS),
        ShutdownNotifications(),
        CurrentMessage(),
        CorrelationIds(),
        Serve(),
        Watchdog(),
        Logs(),
    ]


class QueueNotServed(MiddlewareError):
    """A worker was told with `-Q` to serve a queue that does not exist; Dramatiq would idle without a word."""


class Serve(Middleware):
    """A worker serves all lanes of its steps, or the queues named with `-Q`, and holds few hints."""

    def after_declare_actor(self, broker: Broker, actor: Actor[Any, Any]) -> None:
        """Serve every lane of the actor's step; the queues of ERP connections are named with `-Q`."""
        if actor.actor_name in topology.STEPS:
            for queue in topology.queues_of(actor.actor_name):
                broker.declare_queue(queue)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Serve the queues named, and hold no more hints than there are threads: the rest is for other workers.

        Raises `QueueNotServed`, which ends the worker.
        """
        worker.queue_prefetch = worker.worker_threads
        for queue in sorted(worker.consumer_whitelist or ()):
            try:
                step = topology.route_of(queue).step
            except topology.QueueUnknown as error:
                raise QueueNotServed(str(error)) from error
            if step not in broker.actors:
                raise QueueNotServed(f"{queue!r} needs the actor {step!r}, which was not imported")
            broker.declare_queue(queue)


class Settle(Middleware):
    """Decides what becomes of a delivery, when nothing can interrupt it any more: time limits are disarmed before."""

    @property
    def actor_options(self) -> set[str]:
        """`throws`: what an actor may raise without a traceback and without Sentry; its hint still comes back."""
        return {"throws"}

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        """Acknowledge an outcome, send a hint without one again later, leave it where it is on shutdown."""
        del result
        if isinstance(exception, Shutdown):
            # Not the hint's fault. Given back at once it would go to a sibling that is shutting down as well.
            settle(message, Settlement.LEAVE)
        elif exception is None:
            settle(message, Settlement.ACK)
        else:
            settle(message, self._handed_on(cast("HintBroker", broker), message, exception))

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Acknowledge a hint that a middleware skipped."""
        del broker
        settle(message, Settlement.ACK)

    def _handed_on(self, broker: "HintBroker", message: MessageProxy, error: BaseException) -> Settlement:
        """Acknowledge only what RabbitMQ has confirmed to hold again."""
        try:
            broker.come_back(message.copy(), error)
        except ConnectionClosed as unsent:
            log.warning("hint goes back to its queue", queue=message.queue_name, error=str(unsent))
            time.sleep(HAND_BACK_PAUSE_S)
            return Settlement.REQUEUE
        return Settlement.ACK
