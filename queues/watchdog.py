"""Ends a worker that only looks alive: a thread that died, or a queue it was told to serve and does not."""

import os
import signal
import threading
from typing import Any

import structlog
from dramatiq.broker import Broker
from dramatiq.middleware import Middleware

from queues.topology import QueueUnknown, route_of

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
#: How long a worker may take to leave in order before it is ended; RabbitMQ delivers again what it held.
LEAVE_S = 30.0
#: EX_SOFTWARE of sysexits.h.
EXIT_CODE = 70

Worker = Any  # Dramatiq's Worker, whose threads are no public interface


class Watchdog(Middleware):
    """Dramatiq never replaces a worker or consumer thread that died; a supervisor replaces the process."""

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Hold no more hints than there are threads, and serve each queue named with `-Q`."""
        worker.queue_prefetch = worker.worker_threads
        for queue in sorted(worker.consumer_whitelist or ()):
            try:
                route_of(queue)
            except QueueUnknown as error:
                _leave(str(error))
            broker.declare_queue(queue)

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Look after the threads from now on."""
        del broker
        threading.Thread(target=_watch, args=(worker,), daemon=True, name="watchdog").start()


def _watch(worker: Worker) -> None:
    quiet = threading.Event()
    while not quiet.wait(LOOK_EVERY_S):
        threads = [*worker.workers, *worker.consumers.values()]
        dead = [thread.name for thread in threads if thread.running and not thread.is_alive()]
        if dead:
            _leave(f"threads died: {', '.join(dead)}")
            quiet.wait(LEAVE_S)
            os._exit(EXIT_CODE)


def _leave(reason: str) -> None:
    log.critical("worker leaves", reason=reason)
    os.kill(os.getpid(), signal.SIGTERM)
