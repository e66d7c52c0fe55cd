"""A database with a little master data, and the steps run on it in this process, as a worker would run them."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import pytest
from sqlalchemy import Connection, Engine, text

from queues import work
from queues.contracts import BATCH, Delivery
from queues.settings import settings
from queues.work import NewWork
from workers import aggregate, enrich, step, validate
from workers.store import acting, audit, database, fence, identity, parked, receipts
from workers.store.acting import Named
from workers.unit import Unit, database_now

STEPS = tuple(module.__name__.rpartition(".")[2] for module in (validate, enrich, aggregate))
WAIT_S_MAX = 20.0

MASTER = """
insert into erp_connections (id, adapter) values ('books', 'ledger_file');
insert into legal_entities values ('pony', 'Port of New York', 'USD', 'America/New_York', 'US-NY', 'books');
insert into billing_cycles (legal_entity_id, name, zone) values ('pony', 'month', 'America/New_York');
insert into sources (name, owner) values ('/phones', 'operations');
insert into source_users values (1, 'phones');
insert into meters (name, owner) values ('call.ended', 'operations');
insert into meter_versions (meter_id, version, fields, max_age_days) values (1, 1,
  '[{"name": "minutes", "kind": "decimal"}, {"name": "caller", "kind": "string", "is_required": false}]', 36000);
insert into metrics (name, meter_id, aggregation, property, unit) values ('calls', 1, 'count', null, 'call'),
  ('minutes', 1, 'sum', 'minutes', 'minute'), ('callers', 1, 'unique_count', 'caller', 'caller');
insert into accounts select 'a' || g, 'Account ' || g from generate_series(1, 9) g;
insert into contracts (ref, account_id, legal_entity_id, currency)
  select 'c' || g, 'a' || g, 'pony', 'USD' from generate_series(1, 9) g;
insert into contract_versions (contract_id, version, starts_at, recorded_by)
  select g, 1, '2000-01-01', 'finance' from generate_series(1, 9) g;
insert into subscriptions (ref, contract_id, cycle_id) select 's' || g, g, 1 from generate_series(1, 9) g;
"""


def event(name: str, **changes: object) -> dict[str, object]:
    """A usage event; data are named as such, a change to `...` leaves an attribute out."""
    data = {"minutes": changes.pop("minutes", 1), "caller": changes.pop("caller", "ann")}
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "id": name,
        "source": "/phones",
        "type": "call.ended",
        "subject": "k1",
        "time": "2026-11-05T12:00:00Z",
        "data": data,
        **changes,
    }
    return {key: value for key, value in attributes.items() if value is not ...}


class Line:
    """The first steps of the line on a database of its own."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("TALLYLINE_DATABASE_URL", url)
        monkeypatch.delenv("TALLYLINE_MODE", raising=False)
        settings.cache_clear()
        database.forget_engine()
        self.owner = database.make_engine(url)
        with self.owner.begin() as conn:
            conn.exec_driver_sql("reset role")
            conn.exec_driver_sql(MASTER)
        self.publish_mappings(*(f"k{number}" for number in range(1, 7)))

    def close(self) -> None:
        """Close all connections to the database."""
        self.owner.dispose()
        self.engine.dispose()
        settings.cache_clear()
        database.forget_engine()

    @property
    def engine(self) -> Engine:
        """The engine of the steps."""
        return database.engine()

    def rows(self, sql: str, **values: object) -> list[tuple[object, ...]]:
        """The rows a query finds, as plain tuples."""
        with self.engine.connect() as conn:
            return [tuple(row) for row in conn.execute(text(sql), values)]

    def value(self, sql: str, **values: object) -> object:
        """The one value a query finds."""
        ((value,),) = self.rows(sql, **values)
        return value

    def receive(self, *events: object, user: str = "phones") -> int:
        """The work row that validates a receipt with one batch of these events; text stands for a body as it is."""
        bodies = [each.encode() if isinstance(each, str) else None for each in events]
        raw = [body for body in bodies if body is not None] or [json.dumps(events).encode()]
        deliveries = [Delivery(body, {"content_type": BATCH, "user_id": user}) for body in raw]
        with self.engine.begin() as conn:
            (hint,) = receipts.store(conn, "intake", deliveries)
        return hint.id

    def ready(self, name: str) -> list[int]:
        """The ids of the ready rows of a step, in order."""
        return [
            row[0] for row in self.rows("select id from work where step = :s and state = 'ready' order by id", s=name)
        ]

    def run(self, *names: str, **how: bool) -> None:
        """Perform the steps in order, by default all, each over all its ready rows."""
        for name in names or STEPS:
            if ready := self.ready(name):
                step.perform(name, ready, **how)

    def owe(self, name: str, *subjects: str, revision: int = 1) -> list[int]:
        """Insert work rows of a step and return their ids."""
        with self.engine.begin() as conn:
            rows = [NewWork(name, subject, "test", revision=revision) for subject in subjects]
            return sorted(hint.id for hint in work.insert(conn, rows))

    def act_as(self, name: str, body: Callable[..., None], *, lease_s: float | None = None) -> None:
        """Let `body` be what the step `name` does during this test."""
        run = partial(step._transact, body) if lease_s is None else partial(step._call, body, lease_s)
        self._monkeypatch.setitem(step._runs, name, run)

    def publish_mappings(self, *subjects: str) -> None:
        """Map subjects `k<n>` to subscriptions, under the fence, and wake what was parked for want of it."""
        with self.engine.begin() as conn:
            audit.hold(conn)
            fence.take(conn)
            self.insert_mappings(conn, subjects)
        with self.engine.begin() as conn:
            parked.wake(conn, [("mapping", parked.mapping_key(1, each)) for each in subjects], correlation_id="test")

    def insert_mappings(self, conn: Connection, subjects: Sequence[str]) -> None:
        """Only the rows of `publish_mappings`."""
        acting.name(conn, Named("finance", "mapped"))
        conn.execute(
            text("""insert into mappings (source_id, subject, subscription_id, recorded_by)
                 select 1, k, substr(k, 2)::integer, 'finance' from unnest(cast(:subjects as text[])) k"""),
            {"subjects": list(subjects)},
        )

    def work(self, *columns: str) -> list[tuple[object, ...]]:
        """These columns of all work rows, in order of id."""
        order = "" if "distinct" in columns[0] else "order by id"
        return self.rows(f"select {', '.join(columns)} from work {order}")

    def codes(self) -> list[object]:
        """The codes of the open exceptions, sorted."""
        return [row[0] for row in self.rows("select code from exceptions where state = 'open' order by code, id")]

    def quantities(self, subject: str = "k1") -> dict[str, object]:
        """What is billable of a subject by metric name, over all lots."""
        found = self.rows(
            """select m.name, case m.aggregation when 'unique_count' then count(distinct v.value)
                 else sum(g.quantity) end
               from aggregates g join metrics m on m.id = g.metric_id
               left join aggregate_values v on v.aggregate_id = g.id and v.n > 0
               where g.subscription_id = :id group by m.id""",
            id=int(subject[1:]),
        )
        return {str(name): quantity for name, quantity in found}

    def differences(self) -> Sequence[identity.Difference]:
        """Where the identity does not hold."""
        with database.snapshot() as conn:
            return identity.differences(conn)

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Poll until `holds` is true."""
        deadline = time.monotonic() + WAIT_S_MAX
        while not holds():
            assert time.monotonic() < deadline, "not in time"
            time.sleep(0.01)

    def is_waiting_for_lock(self) -> bool:
        """Whether some session of this database waits for a lock that another one holds."""
        return bool(
            self.value("""select count(*) from pg_stat_activity
                where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0""")
        )

    def start(self, act: Callable[[], object]) -> "Waiting":
        """Start `act` in a thread."""
        return Waiting(act)

    def blocked(self, act: Callable[[], object]) -> "Waiting":
        """Start `act` in a thread and return when it waits for a lock of ours."""
        waiting = Waiting(act)
        self.wait_until(lambda: waiting.is_over or self.is_waiting_for_lock())
        assert not waiting.is_over, "it did not wait"
        return waiting

    @contextmanager
    def uncommitted(self, name: str, *ids: int) -> Iterator[None]:
        """Within the block the step has done all it does for these rows and not yet committed."""
        with self.engine.begin() as conn:
            self._do(conn, name, ids)
            yield

    @contextmanager
    def rolled_back(self, name: str, *ids: int) -> Iterator[None]:
        """As `uncommitted`, and at the end of the block nothing of it has happened."""
        with self.engine.connect() as conn:
            self._do(conn, name, ids)
            yield

    def _do(self, conn: Connection, name: str, ids: Sequence[int]) -> None:
        claimed = work.claim(conn, name, ids)
        assert [row.id for row in claimed] == list(ids)
        work.lock_subjects(conn, name, [row.subject for row in claimed])
        unit = Unit(conn, claimed, database_now(conn))
        step._runs[name].args[0](unit)
        unit.settle()


class Waiting:
    """An act in a thread of its own."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def join(self) -> None:
        """Wait until it is through; raises what it raised."""
        self._thread.join(WAIT_S_MAX)
        assert self.is_over, "still waiting"
        if self._errors:
            raise self._errors[0]

    def _run(self) -> None:
        try:
            self._act()
        except BaseException as error:  # noqa: BLE001 -- it is raised again in the test's own thread
            self._errors.append(error)
