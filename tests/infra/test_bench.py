"""The benchmarks measure what they say: real events, every one of them, and the floors as they are agreed."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.bench import figures, fleet, machine, processors
from infra.bench.__main__ import FULL, NAMES, QUICK
from infra.bench.figures import Figure, Floor, quantile, short
from infra.bench.workload import METER, SOURCE, SUBSCRIPTIONS, Workload, number_of, subject
from queues.contracts import Delivery, Reading, read

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def events(workload: Workload) -> list:
    found = []
    for body in workload.bodies(NOW):
        reading = read(Delivery(body, {"content_type": workload.content_type}))
        assert isinstance(reading, Reading)
        found += reading.checked
    return found


@pytest.mark.parametrize("per_body", [1, 500])
def test_bodies_hold_each_event_once_and_of_ordinary_size(per_body):
    workload = Workload(1_200, per_body, first=700)

    bodies = list(workload.bodies(NOW))
    found = events(workload)

    assert [number_of(each.id) for each in found] == list(range(700, 1_900))
    assert {(each.source, each.type) for each in found} == {(SOURCE, METER)}
    assert 200 < sum(map(len, bodies)) / 1_200 < 300


def test_events_happened_within_the_day_before_and_for_every_subscription():
    found = events(Workload(SUBSCRIPTIONS))

    instants = [datetime.fromisoformat(each.time) for each in found]
    assert NOW - timedelta(days=1) - timedelta(hours=1) < min(instants) < max(instants) < NOW
    assert {each.subject for each in found} == {subject(number) for number in range(SUBSCRIPTIONS)}
    assert len({each.subject for each in found}) == SUBSCRIPTIONS


def test_a_floor_holds_from_its_bound_on_and_a_ceiling_up_to_it():
    assert Floor("events/s", 30_000, 30_000).holds
    assert not Floor("events/s", 29_999, 30_000).holds
    assert Floor("seconds", 2.0, 2.0, is_ceiling=True).holds
    assert not Floor("seconds", 2.01, 2.0, is_ceiling=True).holds


def test_a_figure_is_printed_with_its_median_its_spread_and_its_verdicts():
    figure = Figure("line", "events/s", (3_000.0, 1_000.0, 2_000.0), [Floor("events/s", 2_000, 2_500)], ["a note"])

    lines = figure.lines()

    assert lines[0].split() == ["line", "2,000", "events/s", "(1,000", "..", "3,000,", "3", "runs)"]
    assert lines[1].split()[0] == "FAIL"
    assert lines[2].strip() == "a note"


def test_short_numbers_and_quantiles():
    assert [short(number) for number in (123_456.7, 0.8512, 12.34)] == ["123,457", "0.851", "12.3"]
    assert quantile(list(range(100)), 0.99) == 99
    assert quantile([5.0], 0.99) == 5.0
    assert figures.quantile(list(range(1_000)), 0.5) == 500


def test_every_part_of_the_line_is_a_process_type_of_the_procfile():
    assert {*fleet.LINE, "scheduler"} <= fleet.commands().keys()


def test_postgres_syncs_while_it_is_measured():
    assert machine.POSTGRES_OPTIONS["fsync"] == machine.POSTGRES_OPTIONS["synchronous_commit"] == "on"
    assert machine.POSTGRES_OPTIONS["full_page_writes"] == "on"


def test_the_full_run_is_of_the_agreed_size():
    assert FULL.events == 1_000_000
    assert (FULL.growth.small, FULL.growth.large) == (500_000, 5_000_000)
    assert QUICK.events < FULL.events
    assert NAMES.index("limit") < NAMES.index("batched") < NAMES.index("naive")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="processor times are read from /proc")
def test_processor_time_of_a_tree_counts_its_children_dead_or_alive():
    code = """import subprocess, sys
busy = "import time\\nwhile time.process_time() < 0.4: pass"
subprocess.run([sys.executable, "-c", busy])
alive = subprocess.Popen([sys.executable, "-c", busy + "\\ninput()"], stdin=subprocess.PIPE)
input()
alive.communicate(b"\\n")"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        meter = processors.Meter({"tree": parent.pid})
        deadline = time.monotonic() + 30
        while meter.spent().seconds["tree"] < 0.7 and time.monotonic() < deadline:
            time.sleep(0.05)
        spent = meter.spent()
        parent.communicate(b"\n")

    assert 0.7 <= spent.seconds["tree"] < 3
    assert spent.per(1_000)["tree"] == pytest.approx(spent.seconds["tree"] * 1_000)


def test_who_measures_without_servers_is_told_so(monkeypatch):
    from infra.bench.scratch import ServersMissing, named

    monkeypatch.delenv("TALLYLINE_REDIS_URL", raising=False)

    with pytest.raises(ServersMissing, match="make bench"):
        named("TALLYLINE_REDIS_URL")
