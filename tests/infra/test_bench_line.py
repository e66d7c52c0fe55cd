"""Small runs under the benchmark: every event is counted, and what went wrong is said."""

import os
import subprocess
import sys

import psycopg
import pytest

from infra.bench import limit, machine, naive, scratch
from infra.bench.fleet import ROOT
from infra.bench.machine import SettingsUnfit
from infra.bench.publisher import NotConfirmed, Publisher
from infra.bench.workload import Workload
from infra.stack.control import CONTROL_VARIABLE

pytestmark = pytest.mark.fleet


@pytest.fixture
def _servers(postgres_url, amqp_url, rabbit_api_url, redis_url):
    """All servers of the stack around us."""


@pytest.mark.usefixtures("_servers")
def test_a_server_that_does_not_keep_the_times_of_commits_is_not_measured(postgres_url):
    with psycopg.connect(postgres_url) as conn:
        keeps = conn.execute("show track_commit_timestamp").fetchone() == ("on",)
    if keeps:
        pytest.skip("this stack was started for measuring")

    with pytest.raises(SettingsUnfit, match="make bench"):
        machine.require_fit(postgres_url)


@pytest.mark.usefixtures("_servers")
def test_the_machine_and_its_versions_are_described(postgres_url):
    described = "\n".join(machine.description(postgres_url))

    assert "RabbitMQ " in described
    assert "synchronous_commit=on" in described


@pytest.mark.usefixtures("_servers")
def test_the_limit_is_measured_over_one_and_two_connections():
    one, two = limit.measure(2_000, runs=1)

    assert one.median > 0
    assert two.median > 0


@pytest.mark.usefixtures("_servers")
def test_a_naive_run_ends_with_every_event_in_its_window(tmp_path):
    (figure,) = naive.measure(tmp_path, events=200, runs=1, lines=[])

    assert figure.median > 0


@pytest.mark.usefixtures("_servers")
def test_a_publisher_whose_virtual_host_is_missing_says_so():
    with scratch.place() as place, Publisher(scratch.at(place.amqp_url, "nowhere"), Workload(10)) as publisher:
        publisher.go()

        with pytest.raises(NotConfirmed):
            publisher.sent()


@pytest.mark.stack
@pytest.mark.parametrize("figure", ["single", "latency"])
def test_the_line_is_measured_on_servers_of_its_own(figure):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYLINE_")}
    environment.pop(CONTROL_VARIABLE, None)
    command = [sys.executable, "-m", "infra.bench", "--quick", "--only", figure, "--events", "20000"]

    done = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "fsync=on" in done.stdout
    assert "one event a message" in done.stdout
