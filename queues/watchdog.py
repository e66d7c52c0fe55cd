"""Ends a worker that only looks alive because one of its threads has died."""

import os
import signal
import threading

import structlog
from dramatiq.broker import Broker
from dramatiq.middleware import Middleware
from dramatiq.worker import ConsumerThread, Worker, WorkerThread

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
#: How long a worker may take to leave in order before it is ended; RabbitMQ delivers again what it held.
LEAVE_S_MAX = 30.0
#: EX_SOFTWARE of sysexits.h.
EXIT_CODE = 70


class Watchdog(Middleware):
    """Dramatiq never replaces a worker or consumer thread that died; a supervisor replaces the process."""

    def __init__(self) -> None:
        self._is_stopping = threading.Event()
        self._found_dead = threading.Event()

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Look after the threads from now on."""
        del broker
        self._is_stopping.clear()
        threading.Thread(target=self._watch, args=(worker,), daemon=True, name="watchdog").start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Threads may end now."""
        del broker, worker
        self._is_stopping.set()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Tell the supervisor that this was no ordinary stop."""
        del broker, worker
        if self._found_dead.is_set():
            os._exit(EXIT_CODE)

    def _watch(self, worker: Worker) -> None:
        while not self._is_stopping.wait(LOOK_EVERY_S):
            threads: list[WorkerThread | ConsumerThread] = [*worker.workers, *worker.consumers.values()]
            dead = [thread.name for thread in threads if thread.running and not thread.is_alive()]
            if dead:
                log.critical("threads died, the worker leaves", threads=dead)
                self._found_dead.set()
                os.kill(os.getpid(), signal.SIGTERM)
                threading.Event().wait(LEAVE_S_MAX)
                os._exit(EXIT_CODE)
