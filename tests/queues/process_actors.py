"""Actors for tests that start real worker processes: what an id stands for is what its hint does.

Loaded by Dramatiq's own command; each start and end is a line in the file named by TALLYLINE_TEST_DIARY.
"""

import os
import signal
import threading
import time
from pathlib import Path

import dramatiq
from dramatiq.middleware import raise_thread_exception
from dramatiq.worker import ConsumerThread
from process_ids import KILL_CONSUMER_THREADS, KILL_PROCESS, KILL_WORKER_THREAD, SHORT, SHORT_S, STAY

from queues import watchdog
from queues.broker import broker, redelivered

watchdog.LEAVE_S_MAX = 2.0


def note(*words):
    with Path(os.environ["TALLYLINE_TEST_DIARY"]).open("a") as diary:
        diary.write(" ".join(str(word) for word in words) + "\n")


@dramatiq.actor(actor_name="validate", queue_name="validate", broker=broker())
def validate(ids):
    (work_id,) = ids
    note("start", work_id, redelivered(), os.getpid())
    if work_id == STAY:
        time.sleep(60)
    elif work_id == SHORT:
        time.sleep(SHORT_S)
    elif work_id == KILL_PROCESS:
        os.kill(os.getpid(), signal.SIGKILL)
    elif work_id == KILL_WORKER_THREAD:
        threading.Timer(0.3, raise_thread_exception, (threading.get_ident(), SystemExit)).start()
    elif work_id == KILL_CONSUMER_THREADS:
        for thread in threading.enumerate():
            if isinstance(thread, ConsumerThread):
                raise_thread_exception(thread.ident, SystemExit)
    note("end", work_id)
