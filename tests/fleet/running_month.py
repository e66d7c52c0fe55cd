"""The month on a running fleet: sent piece by piece while things are killed, looked at, and billed in the end."""

import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path

import master
import month
import psycopg
from pika.exceptions import AMQPError
from procfile import Fleet, wait_until
from sqlalchemy import Engine, text
from upstreams import Message, Producer, Region

from queues.contracts import BATCH, STRUCTURED
from workers.store import audit, billing_runs, fence, identity, parked, recompute
from workers.store.acting import Named, name
from workers.store.billing_runs import Wanted
from workers.store.database import make_engine

#: Two of three bodies are batches.
BATCH_EVENTS_MAX = 60
SETTLE_S_MAX = 120.0
_WAIT = """create function wait() returns trigger language plpgsql as
  $$ begin perform pg_advisory_xact_lock_shared(1); return new; end $$"""


def messages(calls: Sequence[month.Call], *, seed: int = 1) -> list[tuple[str, Message]]:
    """The calls as (company, message), in order: batches of any size and single events."""
    chance = random.Random(seed)
    made: list[tuple[str, Message]] = []
    for company in month.COMPANIES:
        left = [call.text() for call in calls if call.company is company]
        while left:
            size = chance.choice((1, chance.randint(2, BATCH_EVENTS_MAX), BATCH_EVENTS_MAX))
            taken, left = left[:size], left[size:]
            body = taken[0] if size == 1 else f"[{', '.join(taken)}]"
            made.append((company.name, Message(body.encode(), STRUCTURED if size == 1 else BATCH)))
    chance.shuffle(made)
    return made


class Flow(threading.Thread):
    """Sends messages at least once, as a careful upstream does, as far as it is let."""

    def __init__(self, producers: dict[str, Producer], waiting: Iterable[tuple[str, Message]]) -> None:
        super().__init__(name="flow", daemon=True)
        self._producers = producers
        self._waiting = list(waiting)
        self._allowed = threading.Semaphore(0)
        self.is_over = threading.Event()
        self.start()

    def let(self, count: int) -> None:
        """Let that many more messages go."""
        self._allowed.release(count)

    def finish(self) -> None:
        """Let all go and wait until all are confirmed."""
        self.let(len(self._waiting))
        wait_until(lambda: not self.is_alive(), for_s=SETTLE_S_MAX, what="all is sent")

    def run(self) -> None:
        """Send each message until RabbitMQ has confirmed it."""
        for company, message in self._waiting:
            self._allowed.acquire()
            while not self._is_sent(company, message):
                if self.is_over.wait(0.2):
                    return

    def _is_sent(self, company: str, message: Message) -> bool:
        try:
            self._producers[company].send(message)
        except (AMQPError, OSError):
            return False
        return True


@dataclass
class RunningMonth:
    """Fleet, database and upstreams of one month."""

    region: Region
    fleet: Fleet
    engine: Engine
    url: str
    home: Path
    looks: int = 0
    runs: dict[str, int] = field(default_factory=dict)

    def flow(self, waiting: Iterable[tuple[str, Message]]) -> Flow:
        """Begin to send."""
        return Flow(dict(self.region.producers), waiting)

    def rows(self, sql: str, **values: object) -> list[tuple[object, ...]]:
        """The rows a query finds."""
        with self.engine.connect() as conn:
            return [tuple(row) for row in conn.execute(text(sql), values)]

    def value(self, sql: str, **values: object) -> object:
        """The one value a query finds."""
        ((value,),) = self.rows(sql, **values)
        return value

    def look(self) -> None:
        """Both identities hold at this moment, and every window is the sum of its attributions."""
        self.looks += 1
        with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn:
            assert identity.differences(conn) == []
            assert recompute.drifts(conn) == []
            assert identity.event_totals(conn).is_balanced
            assert [each for each in identity.usage_totals(conn) if not each.is_balanced] == []

    def kill_within(self, name: str, act: str, *, when: str = "true") -> None:
        """Kill -9 the processes of a type in the midst of a transaction: right before the first row of an act.

        `act` is `insert on TABLE` or `update on TABLE`. A trigger of ours makes the worker wait there for us.
        """
        with psycopg.connect(self.url, autocommit=True) as holder:
            holder.execute("select pg_advisory_lock(1)")
            holder.execute(f"create trigger wait before {act} for each row when ({when}) execute function wait()")
            waiting = "select count(*) from pg_stat_activity where %s = any(pg_blocking_pids(pid))"
            wait_until(
                lambda: holder.execute(waiting, [holder.info.backend_pid]).fetchone() != (0,),
                for_s=60, what=f"{name}: {act}",
            )  # fmt: skip
            self.fleet.kill(name)
            holder.execute("select pg_advisory_unlock(1)")
            holder.execute(f"drop trigger wait on {act.rsplit(maxsplit=1)[-1]}")

    def publish_late_mapping(self) -> None:
        """Map the late line, as a person would in the middle of the month; what was parked for it is woken."""
        with self.engine.begin() as conn:
            name(conn, Named("finance", "the late line"))
            audit.hold(conn)
            fence.take(conn)
            master.map_line(conn, month.LATE_LINE)
        with self.engine.begin() as conn:
            parked.wake(conn, [("mapping", parked.mapping_key(1, f"line {month.LATE_LINE}"))], correlation_id="late")

    def settle(self, accepted: int) -> None:
        """Wait until that many events are accepted and nothing is left to do up to the windows."""
        wait_until(lambda: self.value("select count(*) from usage_events") == accepted, for_s=SETTLE_S_MAX,
                   what=f"{accepted} events are accepted")  # fmt: skip
        steps = "('validate', 'enrich', 'aggregate')"
        wait_until(
            lambda: self.value(f"select count(*) from work where state = 'ready' and step in {steps}") == 0,
            for_s=SETTLE_S_MAX, what="all is in its windows",
        )  # fmt: skip

    def quantities(self) -> dict[tuple[int, str, str], Decimal]:
        """What is billable by (line, first day of the month, metric)."""
        found = self.rows(
            """select substr(u.ref, 6)::integer, p.starts_on::text, m.name,
                 case m.aggregation when 'unique_count' then count(distinct v.value) else max(q.quantity) end
               from (select subscription_id, billing_period_id, metric_id, sum(quantity) as quantity
                     from aggregates group by 1, 2, 3) q
               join subscriptions u on u.id = q.subscription_id join billing_periods p on p.id = q.billing_period_id
               join metrics m on m.id = q.metric_id
               left join aggregates g using (subscription_id, billing_period_id, metric_id)
               left join aggregate_values v on v.aggregate_id = g.id and v.n > 0
               group by u.ref, p.starts_on, m.id"""
        )
        return {(int(str(line)), str(day), str(name)): Decimal(str(quantity)) for line, day, name, quantity in found}

    def assert_usage(self, expected: month.Expected) -> None:
        """All events and all usage have the fate they must have, by source, code and window."""
        accepted = self.rows(
            "select s.name, count(*) from usage_events e join sources s on s.id = e.source_id group by 1"
        )
        codes = self.rows("select step, code, count(*) from exceptions where state = 'open' group by 1, 2")
        assert dict(accepted) == expected.accepted
        assert {code: count for step, code, count in codes if step == "validate"} == expected.refused
        assert {code: count for step, code, count in codes if step == "enrich"} == expected.excepted
        assert self.value("select count(*) from exclusions") == expected.excluded
        assert self.quantities() == expected.quantities()
        assert self._events() == expected.events

    def _events(self) -> dict[tuple[int, str, str], int]:
        found = self.rows(
            """select substr(u.ref, 6)::integer, p.starts_on::text, m.name, sum(g.events)::integer from aggregates g
               join subscriptions u on u.id = g.subscription_id join billing_periods p on p.id = g.billing_period_id
               join metrics m on m.id = g.metric_id group by 1, 2, 3"""
        )
        return {(int(str(line)), str(day), str(name)): int(str(events)) for line, day, name, events in found}

    def request(self) -> None:
        """Ask for October of both companies to be billed."""
        for company in month.COMPANIES:
            period = self.value(
                """select p.id from billing_periods p join billing_cycles c on c.id = p.cycle_id
                   where c.legal_entity_id = :name and p.starts_on = '2025-10-01'""",
                name=company.name,
            )
            wanted = Wanted(int(str(period)), date(2025, 11, 1), date(2025, 10, 31), "ann")
            with self.engine.begin() as conn:
                self.runs[company.name] = billing_runs.request(conn, wanted)
                billing_runs.press(conn, self.runs[company.name])

    def override_exceptions(self) -> None:
        """Wait until the open exceptions are named as blockers, and let them pass by name."""
        for run in self.runs.values():
            wait_until(lambda run=run: self._blockers(run), for_s=60, what=f"run {run} names what blocks it")
            for code in self._blockers(run):
                with self.engine.begin() as conn:
                    name(conn, Named("bob", "agreed with finance"))
                    billing_runs.override(conn, run, code, person="bob", reason="agreed with finance")
            with self.engine.begin() as conn:
                billing_runs.press(conn, run)

    def _blockers(self, run: int) -> list[str]:
        with self.engine.connect() as conn:
            return [each.code for each in billing_runs.blockers_of(conn, run)]

    def approve(self) -> None:
        """Approve the drafts."""
        for run in self.runs.values():
            with self.engine.begin() as conn:
                name(conn, Named("carol", "agreed with finance"))
                billing_runs.approve(conn, run, person="carol")
                billing_runs.press(conn, run)

    def wait_for(self, stage: str) -> None:
        """Wait until all runs have reached the stage."""
        for run in self.runs.values():
            stage_of = partial(self.value, "select stage from billing_runs where id = :run", run=run)
            wait_until(lambda stage_of=stage_of: stage_of() == stage, for_s=SETTLE_S_MAX, what=f"run {run} is {stage}")

    def documents(self) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
        """Net, tax and gross of every posted document by contract."""
        found = self.rows(
            """select c.ref, i.net, i.tax, i.gross from invoices i join contracts c on c.id = i.contract_id
               where i.state = 'posted' and i.kind = 'invoice'"""
        )
        assert len({row[0] for row in found}) == len(found)
        return {str(row[0]): (Decimal(str(row[1])), Decimal(str(row[2])), Decimal(str(row[3]))) for row in found}

    def assert_billed(self, expected: month.Expected) -> None:
        """Each document is there once with the right money, its number in an unbroken row, and once in the ledger."""
        assert self.documents() == expected.documents()
        assert self.value("select count(*) from invoices") == len(expected.documents())
        numbers = self.rows("select legal_entity_id, array_agg(number order by number) from invoices group by 1")
        assert all(given == list(range(1, len(given) + 1)) for _, given in numbers)
        in_ledger = sorted(path.stem for path in self.home.glob("ledgers/*/????-??/*.journal"))
        assert in_ledger == sorted(str(row[0]) for row in self.rows("select external_key from erp_postings"))


@contextmanager
def running_month(
    region: Region, database_url: str, folder: Path, *, module: str = "", **settings: str
) -> Iterator[RunningMonth]:
    """The fleet of the Procfile on a fresh database with the master data of the month; `module`: what makes it bad."""
    engine = make_engine(database_url)
    with engine.begin() as conn:
        conn.exec_driver_sql("reset role")
        conn.exec_driver_sql(_WAIT)
        master.load(conn, {name: producer.upstream.user for name, producer in region.producers.items()})
    environment = {
        "TALLYLINE_DATABASE_URL": database_url,
        "TALLYLINE_AMQP_URL": region.url,
        "TALLYLINE_HOME": str(folder),
    } | {f"TALLYLINE_{name.upper()}": value for name, value in settings.items()}
    fleet = Fleet(environment, folder, module=module)
    try:
        fleet.start()
        wait_until(lambda: region.look("intake")[1] == 1, for_s=60, what="intake consumes")
        yield RunningMonth(region, fleet, engine, database_url, folder)
    finally:
        fleet.stop()
        engine.dispose()
