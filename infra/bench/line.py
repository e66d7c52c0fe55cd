"""One run of the whole line: publish, store, validate, enrich, aggregate, with the instants of each commit."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from infra.bench.fleet import fleet
from infra.bench.processors import Meter, parent_of
from infra.bench.publisher import Publisher, Sent
from infra.bench.scratch import Place, named
from infra.bench.workload import Workload, number_of
from queues.rabbit_api import RabbitApi

#: The slowest line that still counts as running; below it a run is given up.
EVENTS_PER_S_MIN = 500
LOOK_S = 0.1
#: Batches of which every event is in its window; all that is left to do is in none.
_VISIBLE = """
select coalesce(sum(c.accepted), 0)::bigint from batches b join receipt_counts c using (receipt_id)
where b.aggregated_no is not null"""
_ADDED = "select coalesce(sum(events), 0)::bigint from aggregates"
_TROUBLE = """
select (select count(*) from exceptions) as exceptions, (select count(*) from work where state = 'dead') as dead,
  (select deadlocks from pg_stat_database where datname = current_database()) as deadlocks"""
#: The instant of a commit is that of the transaction which wrote the row last (`track_commit_timestamp`).
_COMMITS = """
select r.id, extract(epoch from pg_xact_commit_timestamp(r.xmin))::float8,
  extract(epoch from pg_xact_commit_timestamp(b.xmin))::float8
from receipts r join batches b on b.receipt_id = r.id where r.id > %s order by 3"""
_PLACES = "select event_no >> 20, event_id from usage_events where event_no >= (%s + 1) << 20"


class NotFinished(Exception):
    """The line did not get through in time, or refused, buried or deadlocked something on the way."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One receipt: when it was stored, and when its events were added to their windows."""

    receipt_id: int
    stored_at: float
    visible_at: float


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured; instants are seconds since 1970 by this machine's clock, commits in order of the last."""

    events: int
    sent: Sent
    commits: Sequence[Commit]
    cpu_us: Mapping[str, float]
    latencies_s: tuple[float, ...] = ()

    @property
    def events_per_s(self) -> float:
        """From the first body sent to the last event visible in its window."""
        return self.events / (self.commits[-1].visible_at - self.sent.first_at)

    @property
    def stored_per_s(self) -> float:
        """From the first body sent to the last receipt committed."""
        return self.events / (max(each.stored_at for each in self.commits) - self.sent.first_at)

    def processor_line(self) -> str:
        """Where the processor time went."""
        parts = ", ".join(f"{role} {microseconds:.1f}" for role, microseconds in self.cpu_us.items())
        return f"processor time of an event: {sum(self.cpu_us.values()):.1f} us ({parts})"


def run(workload: Workload, place: Place, *, folder: Path, bodies_per_s: float | None = None) -> Run:
    """Send the workload through a fleet of its own. Raises `NotFinished`, `NotConfirmed` or `NotStarted`."""
    with psycopg.connect(place.database_url, autocommit=True) as conn:
        before, windows = _one(conn, _VISIBLE), _one(conn, _ADDED)
        receipt = _one(conn, "select coalesce(max(id), 0) from receipts")
        conn.execute("checkpoint")
        with (
            Publisher(place.amqp_url, workload, bodies_per_s=bodies_per_s) as publisher,
            fleet(place, folder=folder) as pids,
        ):
            meter = Meter({**pids, **_servers(conn), "publisher": publisher.pid})
            publisher.go()
            _wait(conn, events=workload.events, before=before, pace=bodies_per_s and bodies_per_s * workload.per_body)
            sent = publisher.sent()
            spent = meter.spent()
        commits = [Commit(*row) for row in conn.execute(_COMMITS, [receipt])]
        added = _one(conn, _ADDED) - windows
        if added != workload.events * workload.metrics:
            raise NotFinished(f"{added} usages were added to windows, not {workload.events * workload.metrics}")
        visible_at = {each.receipt_id: each.visible_at for each in commits}
        latencies = _latencies(conn, workload, sent, receipt, visible_at) if bodies_per_s else ()
        _check(conn)
    return Run(workload.events, sent, commits, spent.per(workload.events), latencies)


def _servers(conn: psycopg.Connection) -> Mapping[str, int]:
    """The pids of the servers' first processes, as far as they run on this machine."""
    node = next(iter(RabbitApi(named("TALLYLINE_RABBIT_API_URL")).nodes()), {})
    found = {"postgres": parent_of(conn.info.backend_pid), "rabbitmq": int(node.get("os_pid", 0))}
    return {role: pid for role, pid in found.items() if pid}


def _wait(conn: psycopg.Connection, *, events: int, before: int, pace: float | None) -> None:
    deadline = time.monotonic() + 30 + events / EVENTS_PER_S_MIN + (events / pace if pace else 0)
    while (visible := _one(conn, _VISIBLE) - before) < events:
        if time.monotonic() > deadline:
            raise NotFinished(f"{visible} of {events} events are visible")
        time.sleep(LOOK_S)


def _check(conn: psycopg.Connection) -> None:
    exceptions, dead, deadlocks = conn.execute(_TROUBLE).fetchone() or ()
    if exceptions or dead or deadlocks:
        raise NotFinished(f"{exceptions} exceptions, {dead} dead rows, {deadlocks} deadlocks: none was expected")


def _latencies(
    conn: psycopg.Connection, workload: Workload, sent: Sent, receipt: int, visible_at: Mapping[int, float]
) -> tuple[float, ...]:
    """Of each event, in order of sending, the seconds from sending its body to the commit that made it visible."""
    found = [0.0] * workload.events
    with conn.cursor(binary=True) as cursor:
        for place, event_id in cursor.execute(_PLACES, [receipt]):
            number = number_of(event_id) - workload.first
            found[number] = visible_at[place] - sent.sent_at[number // workload.per_body]
    return tuple(found)


def _one(conn: psycopg.Connection, query: str) -> int:
    row = conn.execute(query).fetchone()
    assert row is not None
    return int(row[0])
