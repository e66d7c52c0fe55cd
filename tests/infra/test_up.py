"""Runs the fleet as `make up` does, with one of its processes, on a database and a vhost of its own."""

import os
import signal
import stat
import sys
import threading
from pathlib import Path

import pika
import psycopg
import pytest
from processes import eventually

from infra import tour, up
from queues.topology import dead_queue_name

pytestmark = pytest.mark.fleet


@pytest.fixture
def addresses(database_url, vhost, rabbit_api_url, redis_url):
    return {
        "TALLYLINE_DATABASE_URL": database_url,
        "TALLYLINE_AMQP_URL": vhost,
        "TALLYLINE_RABBIT_API_URL": rabbit_api_url,
        "TALLYLINE_REDIS_URL": redis_url,
        "TALLYLINE_STACK_NAMED": "",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.fixture
def fleet(script, addresses):
    return lambda *types: script.start("-m", "infra.up", *types, environment=addresses)


def test_the_fleet_takes_usage_shows_a_planted_dead_letter_and_ends_on_ctrl_c(fleet, addresses, database_url):
    running = fleet("intake", "validate")
    said = read_until("Ctrl-C ends", running.stdout)

    assert stat.S_IMODE(up.ADDRESSES.stat().st_mode) == 0o600
    assert "Queues > validate.XQ" in said
    assert dead_letters(addresses["TALLYLINE_AMQP_URL"]) == [tour.PLANTED_BODY]
    with psycopg.connect(database_url, autocommit=True) as conn:
        eventually(lambda: counted(conn) == (tour.EVENTS - 1, 1))

    os.killpg(running.pid, signal.SIGINT)
    last, _ = running.communicate(timeout=30)
    assert not up.ADDRESSES.exists()
    before, said, after = last.partition("[up] Ctrl-C: ending the processes, which give back what they have begun\n")
    assert said
    assert "SIGINT" not in before
    assert [line for line in after.splitlines() if '"level": "error"' not in line] == []


def test_after_ctrl_c_only_what_goes_wrong_is_printed(capsys):
    ending = threading.Event()

    def lines():
        yield "validate.1 | works\n"
        yield "14:10:32 system      | SIGINT received\n"
        ending.set()
        yield "system | sending SIGTERM to validate.1\n"
        yield 'validate.1 | {"level": "error", "event": "could not give back"}\n'
        yield "system | validate.1 stopped (rc=0)\n"

    up.relay(lines(), ending)

    first, said, wrong = capsys.readouterr().out.splitlines()
    assert first == "validate.1 | works"
    assert "Ctrl-C" in said
    assert "could not give back" in wrong


def test_a_tour_that_fails_leaves_the_fleet_alone(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(tour, "MASTER", tmp_path / "none.yaml")

    up.give_tour({"PATH": os.defpath, "PYTHONPATH": str(up.ROOT), "TALLYLINE_HOME": str(tmp_path)})

    assert "The fleet runs, without a tour" in capsys.readouterr().out


def test_on_servers_of_somebody_else_nothing_is_planted(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(up, "ADDRESSES", up.ROOT / ".dev" / f"up-{tmp_path.name}.env")
    named = {
        "TALLYLINE_MODE": "fleet",
        "TALLYLINE_RABBIT_API_URL": "http://ops:secret@rabbit.internal:15672",
        "TALLYLINE_STACK_NAMED": "postgres rabbitmq",
    }

    up.greet(named)

    said = capsys.readouterr().out
    up.ADDRESSES.unlink()
    assert "Nothing was loaded, sent or planted" in said
    assert "http://rabbit.internal:15672" in said
    assert "secret" not in said


def counted(conn):
    return conn.execute("select (select count(*) from usage_events), (select count(*) from exceptions)").fetchone()


def read_until(words, lines):
    said = ""
    for line in lines:
        said += line
        if words in line:
            return said
    raise AssertionError(said)


def test_a_fleet_that_ends_at_once_ends_us(fleet):
    running = fleet("no-such-process")

    said, _ = running.communicate(timeout=60)

    assert running.returncode != 0
    assert "short tour" not in said


def dead_letters(vhost):
    connection = pika.BlockingConnection(pika.URLParameters(vhost))
    channel = connection.channel()
    found = []
    for _method, _properties, body in channel.consume(dead_queue_name(tour.PLANTED_QUEUE), inactivity_timeout=10):
        found.append(body)
        break
    connection.close()
    return found
