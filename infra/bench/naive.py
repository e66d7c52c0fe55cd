"""Runs the naive rival on the same servers, to say how many times faster the line is."""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from infra.bench import scratch
from infra.bench.figures import Figure
from infra.bench.fleet import ROOT
from infra.bench.line import LOOK_S, NotFinished
from infra.bench.workload import Workload
from workers.embedded.supervised import Program, Supervised

#: As many as were fastest on two cores.
PROCESSES, THREADS = 2, 4
FINISH_S_MAX = 300.0
MODULE = "infra.bench.naive_actors"
TABLES = """
create table naive_events (
  id text primary key, subject text not null, happened_at timestamptz not null, data jsonb not null);
create table naive_attributions (
  event_id text primary key, subscription_id integer not null, quantity numeric not null);
create table naive_windows (
  subscription_id integer primary key, quantity numeric not null, events bigint not null);
"""
#: Sends the bodies as stock Dramatiq sends: no confirms.
_SEND = """
import sys
from infra.bench.naive_actors import naive_validate
for line in open(sys.argv[1]):
    naive_validate.send(line)
"""


def measure(folder: Path, *, events: int, runs: int, lines: list[Figure]) -> list[Figure]:
    """Events per second of the rival, and how often it fits into those of the line."""
    rates = [_rate(folder, events) for _ in range(runs)]
    figure = Figure("naive rival: stock Dramatiq, one message per event and step", "events/s", rates)
    notes = [f"{each.median / figure.median:.0f} times slower than {each.name}" for each in lines]
    return [Figure(figure.name, figure.unit, rates, notes=notes)]


def _rate(folder: Path, events: int) -> float:
    """From the moment a tenth of the events are in their windows, so that starting costs the rival nothing."""
    with scratch.place() as place:
        bodies = folder / "naive.jsonl"
        bodies.write_bytes(b"\n".join(Workload(events, 1).bodies(datetime.now(UTC))) + b"\n")
        environment = {**os.environ, **place.environment, "PYTHONPATH": str(ROOT)}
        log = folder / "naive.log"
        workers = (sys.executable, "-m", "dramatiq", MODULE, "-p", str(PROCESSES), "-t", str(THREADS))
        sender = (sys.executable, "-c", _SEND, str(bodies))
        with (
            psycopg.connect(place.database_url, autocommit=True) as conn,
            conn.execute(TABLES),
            Supervised(Program(workers, environment, ROOT, log, signals_group=False, grace_s=20)),
            Supervised(Program(sender, environment, ROOT, log)),
        ):
            begun, began_at = _aggregated(conn, events // 10)
            done, done_at = _aggregated(conn, events)
            return (done - begun) / (done_at - began_at)


def _aggregated(conn: psycopg.Connection, events: int) -> tuple[int, float]:
    """How many events are in their windows once it is at least so many, and when that was seen."""
    deadline = time.monotonic() + FINISH_S_MAX
    while True:
        row = conn.execute("select coalesce(sum(events), 0) from naive_windows").fetchone()
        found = int(row[0]) if row else 0
        if found >= events:
            return found, time.monotonic()
        if time.monotonic() > deadline:
            raise NotFinished(f"the naive rival added {found} of {events} events")
        time.sleep(LOOK_S)
