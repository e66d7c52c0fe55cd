"""Runs the fleet as `make up` does, with one of its processes, on a database and a vhost of its own."""

import os
import signal
import stat
import sys
from pathlib import Path

import pika
import pytest

from infra import up
from queues.topology import dead_queue_name

pytestmark = pytest.mark.fleet


@pytest.fixture
def addresses(database_url, vhost, rabbit_api_url, redis_url):
    return {
        "TALLYLINE_DATABASE_URL": database_url,
        "TALLYLINE_AMQP_URL": vhost,
        "TALLYLINE_RABBIT_API_URL": rabbit_api_url,
        "TALLYLINE_REDIS_URL": redis_url,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.fixture
def fleet(script, addresses):
    return lambda *types: script.start("-m", "infra.up", *types, environment=addresses)


def test_the_fleet_serves_shows_a_planted_dead_letter_and_ends_on_ctrl_c(fleet, vhost):
    running = fleet("validate")
    said = ""
    for line in running.stdout:
        said += line
        if "Ctrl-C ends" in line:
            break

    assert stat.S_IMODE(up.ADDRESSES.stat().st_mode) == 0o600
    assert "Queues > validate.XQ" in said
    assert dead_letters(vhost) == [up.PLANTED_BODY]

    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=30)
    assert not up.ADDRESSES.exists()


def test_a_fleet_that_ends_at_once_ends_us(fleet):
    running = fleet("no-such-process")

    said, _ = running.communicate(timeout=60)

    assert running.returncode != 0
    assert "short tour" not in said


def dead_letters(vhost):
    connection = pika.BlockingConnection(pika.URLParameters(vhost))
    channel = connection.channel()
    found = []
    for _method, _properties, body in channel.consume(dead_queue_name(up.PLANTED_QUEUE), inactivity_timeout=10):
        found.append(body)
        break
    connection.close()
    return found
