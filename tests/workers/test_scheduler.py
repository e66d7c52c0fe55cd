"""Ticks that are never forgotten and harmless when doubled, and the process that asks them."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from queues.metrics import Gauge
from queues.publishing import NotPublished
from queues.settings import settings
from queues.telemetry import correlation_id
from workers import scheduler
from workers.scheduler import Tick, ticking
from workers.store.database import DatabaseUrlMissing

ROOT = Path(__file__).parents[2]
WAIT_S_MAX = 20.0


def wait_until(holds):
    deadline = time.monotonic() + WAIT_S_MAX
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_tick_is_asked_at_once_and_then_in_its_rhythm_under_a_correlation_id_of_its_own():
    asked = []

    with ticking({"sweep": Tick(lambda: asked.append((time.monotonic(), correlation_id.get())), every_s=0.5)}):
        wait_until(lambda: len(asked) == 3)

    moments, ids = zip(*asked, strict=True)
    assert 0.8 < moments[2] - moments[0] < 5
    assert len(set(ids)) == 3
    assert all(each.startswith("tick-sweep-") for each in ids)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_tick_that_fails_is_asked_again_and_does_not_stop_the_others(caplog):
    asked, others = [], []

    def fail():
        asked.append(1)
        raise RuntimeError("the database is away")

    with ticking({"fails": Tick(fail, every_s=0.2), "other": Tick(lambda: others.append(1), every_s=0.2)}):
        wait_until(lambda: len(asked) >= 3 and len(others) >= 3)

    assert "the database is away" in caplog.text


@pytest.mark.parametrize("error", [
    NotPublished("no broker"), PoolTimeout(), OperationalError("select", {}, psycopg.OperationalError("refused")),
])  # fmt: skip
def test_an_outage_that_a_tick_meets_is_no_error_of_it(error, caplog):
    asked = []

    def fail():
        asked.append(1)
        raise error

    with ticking({"sweep": Tick(fail, every_s=0.2)}):
        wait_until(lambda: len(asked) >= 3)

    assert caplog.text == ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_refusal_of_the_database_is_one(caplog):
    asked = []

    def fail():
        asked.append(1)
        raise ProgrammingError("select", {}, psycopg.errors.UndefinedTable("no table"))

    with ticking({"sweep": Tick(fail, every_s=0.2)}):
        wait_until(lambda: len(asked) >= 2)

    assert "UndefinedTable" in caplog.text


def test_a_slow_tick_is_not_asked_twice_at_once_and_is_waited_for():
    running, overlaps, ended = [], [], []

    def slow():
        overlaps.append(len(running))
        running.append(1)
        time.sleep(0.5)
        running.pop()
        ended.append(1)

    with ticking({"slow": Tick(slow, every_s=0.1)}):
        wait_until(lambda: len(overlaps) == 2)

    assert set(overlaps) == {0}
    assert len(ended) == len(overlaps)


def test_a_daily_tick_is_asked_at_its_time_in_utc():
    asked = threading.Event()
    soon = (datetime.now(UTC) + timedelta(seconds=2)).time()

    with ticking({"nightly": Tick(asked.set, daily_at=soon)}):
        assert not asked.is_set()
        assert asked.wait(10)


def test_a_tick_has_exactly_one_rhythm():
    for rhythm in ({}, {"every_s": 1, "daily_at": datetime.now(UTC).time()}):
        with pytest.raises(AssertionError):
            Tick(print, **rhythm)


def test_the_scheduler_serves_metrics_and_ticks_while_it_leads(database_url, monkeypatch):
    monkeypatch.setenv("TALLYLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("TALLYLINE_METRICS_PORT", "0")
    settings.cache_clear()
    stop, asked = threading.Event(), threading.Event()
    ports = []
    serving = scheduler.metrics.serving

    @contextmanager
    def noted(*arguments, **options):
        with serving(*arguments, **options) as port:
            ports.append(port)
            yield port

    monkeypatch.setattr(scheduler.metrics, "serving", noted)
    gauge = Gauge("tallyline_open", "Open work.", (), lambda: [((), 3)])
    thread = threading.Thread(
        target=scheduler.run, args=({"sweep": Tick(asked.set, every_s=1)}, [gauge]), kwargs={"stop": stop}, daemon=True
    )
    thread.start()

    assert asked.wait(WAIT_S_MAX)
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}/metrics", timeout=5) as answer:
        assert b"tallyline_open 3.0" in answer.read()

    stop.set()
    thread.join(WAIT_S_MAX)
    assert not thread.is_alive()
    settings.cache_clear()


def test_a_scheduler_without_a_database_says_so(monkeypatch):
    monkeypatch.delenv("TALLYLINE_DATABASE_URL", raising=False)
    settings.cache_clear()

    with pytest.raises(DatabaseUrlMissing):
        scheduler.run({}, [], stop=threading.Event())
    settings.cache_clear()


def start_scheduler(database_url):
    environment = os.environ | {
        "TALLYLINE_DATABASE_URL": database_url,
        "TALLYLINE_METRICS_PORT": "0",
        "TALLYLINE_MODE": "embedded",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "workers.scheduler"], env=environment, stderr=subprocess.PIPE, text=True
    )


def read_until(process, sentence):
    for line in process.stderr:
        if sentence in line:
            return line
    raise AssertionError(f"{sentence!r} was never said")


def test_a_scheduler_process_that_is_killed_is_followed_by_another_and_stops_on_sigterm(database_url):
    first = start_scheduler(database_url)
    read_until(first, "leads")
    second = start_scheduler(database_url)
    read_until(second, "serves metrics")

    first.kill()
    first.communicate()

    assert '"role": "scheduler"' in read_until(second, "leads")
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=WAIT_S_MAX)
    assert second.returncode == 0
