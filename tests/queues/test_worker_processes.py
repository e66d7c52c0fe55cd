"""Workers as real processes that are killed, stopped, or only look alive: no hint is lost, no neighbour is buried."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from process_ids import KILL_CONSUMER_THREADS, KILL_PROCESS, KILL_WORKER_THREAD, SHORT, STAY
from rabbit import hint_body, wait_until

from queues.watchdog import EXIT_CODE

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Fleet:
    """Worker processes of Dramatiq's own command, and their diary."""

    def __init__(self, rabbit, folder):
        self.diary = folder / "diary"
        self.diary.touch()
        self.masters = []
        self._environment = os.environ | {
            "TALLYLINE_MODE": "fleet",
            "TALLYLINE_AMQP_URL": rabbit.url,
            "TALLYLINE_TEST_DIARY": str(self.diary),
            "PYTHONPATH": f"{ROOT}:{HERE}",
        }

    def start(self, *options, threads=1):
        command = [sys.executable, "-m", "dramatiq", "process_actors", "-p", "1", "-t", str(threads), *options]
        master = subprocess.Popen(
            command, env=self._environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.masters.append(master)
        return master

    def notes(self, kind):
        lines = [line.split() for line in self.diary.read_text().splitlines()]
        return [(int(words[1]), *words[2:]) for words in lines if words[0] == kind]

    def kill(self, master):
        os.killpg(master.pid, signal.SIGKILL)
        master.communicate()

    def close(self):
        for master in self.masters:
            if master.returncode is None:
                self.kill(master)


@pytest.fixture
def fleet(rabbit, tmp_path):
    started = Fleet(rabbit, tmp_path)
    yield started
    started.close()


@pytest.fixture
def send(rabbit):
    for queue in ("validate", "validate.replay"):
        rabbit.broker().declare_queue(queue, ensure=True)
    return lambda *ids: rabbit.publish("validate", *(hint_body(work_id) for work_id in ids))


def test_a_worker_killed_with_hints_in_hand_loses_none_and_the_next_knows_them_as_redelivered(rabbit, fleet, send):
    send(STAY, STAY, 1, 2)
    victim = fleet.start(threads=2)
    wait_until(lambda: len(fleet.notes("start")) == 2)
    rabbit.publish("validate.replay", hint_body(3), hint_body(4))
    wait_until(lambda: rabbit.ready("validate.replay") == 0)

    fleet.kill(victim)
    wait_until(lambda: (rabbit.ready("validate"), rabbit.ready("validate.replay")) == (4, 2))
    fleet.start(threads=4)

    wait_until(lambda: {note[0] for note in fleet.notes("end")} == {1, 2, 3, 4})
    redelivered = {note[0]: note[1] for note in fleet.notes("start")}
    assert redelivered == {STAY: "True", 1: "False", 2: "False", 3: "True", 4: "True"}
    assert rabbit.ready("validate.XQ") == 0


def test_a_hint_that_kills_its_worker_again_and_again_buries_no_neighbour(rabbit, fleet, send):
    send(KILL_PROCESS, 1)
    rabbit.publish("validate.replay", hint_body(2))

    for kills in range(1, 4):
        worker = fleet.start()
        worker.communicate(timeout=20)
        assert [note[0] for note in fleet.notes("start")].count(KILL_PROCESS) == kills
        wait_until(lambda: rabbit.ready("validate") + rabbit.ready("validate.replay") >= 1)

    assert rabbit.ready("validate.XQ") + rabbit.ready("validate.replay.XQ") == 0


def test_a_stopped_worker_ends_what_it_does_and_gives_back_what_it_holds(rabbit, fleet, send):
    send(SHORT, 1, 2)
    worker = fleet.start()
    wait_until(lambda: fleet.notes("start"))

    worker.terminate()
    _out, log = worker.communicate(timeout=20)

    assert worker.returncode == 0, log
    assert fleet.notes("end") == [(SHORT,)]
    wait_until(lambda: rabbit.ids("validate") == [1, 2])


@pytest.mark.parametrize("killer", [KILL_WORKER_THREAD, KILL_CONSUMER_THREADS])
def test_a_worker_with_a_dead_thread_leaves_so_that_its_supervisor_notices(rabbit, fleet, send, killer):
    worker = fleet.start()
    send(killer)

    _out, log = worker.communicate(timeout=20)

    assert worker.returncode == EXIT_CODE, log
    assert "threads died" in log
    send(1)
    assert 1 in rabbit.ids("validate")


def test_a_worker_with_a_dead_thread_that_cannot_leave_in_order_leaves_all_the_same(rabbit, fleet, send):
    worker = fleet.start(threads=2)
    send(STAY)
    wait_until(lambda: fleet.notes("start"))
    send(KILL_WORKER_THREAD)

    worker.communicate(timeout=20)

    assert worker.returncode == EXIT_CODE
    wait_until(lambda: STAY in rabbit.ids("validate"))


def test_a_worker_that_is_told_a_queue_that_does_not_exist_leaves_with_the_reason(fleet):
    worker = fleet.start("-Q", "valdiate")

    _out, log = worker.communicate(timeout=20)

    assert worker.returncode != 0
    assert "there is no step 'valdiate'" in log


def test_a_worker_started_before_rabbitmq_waits_for_it(fleet, wire, send):
    send(1)
    wire.is_blocked.set()
    fleet._environment["TALLYLINE_AMQP_URL"] = wire.url
    fleet.start()

    threading.Timer(2.0, wire.is_blocked.clear).start()

    wait_until(lambda: fleet.notes("end") == [(1,)])
