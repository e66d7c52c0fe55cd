"""One leader at a time, whatever happens to its session."""

import threading
import time
from contextlib import contextmanager, nullcontext

import psycopg
import pytest
from structlog.testing import capture_logs

from workers import leader
from workers.leader import lead

WAIT_S_MAX = 20.0


def wait_until(holds):
    deadline = time.monotonic() + WAIT_S_MAX
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def never(happens, *, for_s):
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        assert not happens()
        time.sleep(0.05)


class Candidates:
    """Processes-in-threads that want to lead, and who of them holds office."""

    def __init__(self, database_url):
        self.database_url = database_url
        self.in_office = []
        self._threads = []

    def start(self, name):
        stop = threading.Event()

        @contextmanager
        def office():
            self.in_office.append(name)
            try:
                yield
            finally:
                self.in_office.remove(name)

        thread = threading.Thread(
            target=lead, args=(self.database_url, "test"), kwargs={"stop": stop, "office": office}, daemon=True
        )
        thread.start()
        self._threads.append((thread, stop))
        return stop

    def terminate_leader(self):
        """What an administrator, a fail-over or a restart does to the leader's session."""
        with psycopg.connect(self.database_url, autocommit=True) as conn:
            conn.execute("""select pg_terminate_backend(pid) from pg_locks
                            where locktype = 'advisory' and granted
                              and database = (select oid from pg_database where datname = current_database())""")

    def close(self):
        for thread, stop in self._threads:
            stop.set()
            thread.join(WAIT_S_MAX)


@pytest.fixture
def candidates(database_url):
    made = Candidates(database_url)
    yield made
    made.close()


def test_only_one_candidate_leads(candidates):
    candidates.start("a")
    wait_until(lambda: candidates.in_office == ["a"])
    candidates.start("b")

    never(lambda: "b" in candidates.in_office, for_s=1.5)
    assert candidates.in_office == ["a"]


def test_when_the_leader_leaves_another_takes_over(candidates):
    first = candidates.start("a")
    wait_until(lambda: candidates.in_office == ["a"])
    candidates.start("b")

    first.set()

    wait_until(lambda: candidates.in_office == ["b"])


def test_when_the_leaders_session_dies_it_steps_down_and_one_of_all_leads_again(candidates):
    for name in ("a", "b"):
        candidates.start(name)
    wait_until(lambda: len(candidates.in_office) == 1)
    (before,) = candidates.in_office

    candidates.terminate_leader()
    wait_until(lambda: candidates.in_office != [before])

    wait_until(lambda: len(candidates.in_office) == 1)
    for _ in range(3):
        candidates.terminate_leader()
    wait_until(lambda: len(candidates.in_office) == 1)


def test_a_candidate_waits_for_a_database_that_is_away():
    candidates = Candidates("postgresql://nobody@127.0.0.1:1/none")
    stop = candidates.start("a")

    never(lambda: candidates.in_office, for_s=1)
    stop.set()

    candidates.close()
    assert not candidates._threads[0][0].is_alive()


def test_a_database_that_is_away_is_said_once_and_not_each_half_second(monkeypatch):
    monkeypatch.setattr(leader, "LOOK_EVERY_S", 0.01)
    with capture_logs() as logs:
        stop, tries = threading.Event(), []
        monkeypatch.setattr(leader, "_session", lambda *_names: _refuse(tries, stop))
        lead("postgresql://x:geheim@127.0.0.1:1/none", "test", stop=stop, office=nullcontext)

    assert len(tries) == 5
    assert [each["event"] for each in logs] == ["no session to lead by"]
    assert "geheim" not in str(logs)


def _refuse(tries, stop):
    tries.append(1)
    if len(tries) == 5:
        stop.set()
    raise psycopg.OperationalError("refused")


def test_a_candidate_that_is_stopped_while_it_waits_ends(candidates):
    candidates.start("a")
    wait_until(lambda: candidates.in_office == ["a"])
    waiting = candidates.start("b")

    waiting.set()

    candidates._threads[1][0].join(WAIT_S_MAX)
    assert not candidates._threads[1][0].is_alive()
    assert candidates.in_office == ["a"]
