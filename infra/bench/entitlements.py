"""How long a check of an entitlement takes with a million subscriptions' aggregates, beside a bare look-up."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from statistics import median

import psycopg
from sqlalchemy import Connection, Engine, text

from infra.bench import scratch
from infra.bench.figures import Figure, Floor, quantile
from infra.bench.workload import register
from workers.store import entitlements
from workers.store.database import make_engine, migrate

P99_MS_MAX = 5.0
FEATURE = "bench-departures"
#: The limit on what must be measured: every so many subscriptions have it, and every tenth of those more values than a
#: check reads. Each has just been used, so that nothing is known to be exact.
MEASURED = "bench-peak"
MEASURED_EVERY = 100
VALUES, MORE_VALUES = 60, 600
#: Of so many subscriptions one lets something roll over, one has a grant, and one has terms of its own.
EVERY = 10
#: Checks before the clock runs: a process that answers has prepared its statement and filled its caches.
WARM_UP = 200
#: Usage of subscriptions goes up to this, around the limit of 1,000.
USAGE_MAX = 1_300
#: A step without a common factor with the number of subscriptions: checks jump through the whole table.
_STEP = 6_700_417

#: Rows as the master data file and `aggregate` would write them: this month and the one before of every subscription,
#: each under a contract of its own with a metered, a boolean and a static feature.
_FILL = (
    "set session_replication_role = replica",  # a million rows are written by nobody; no trigger is measured here
    """insert into contracts (ref, account_id, legal_entity_id, currency)
       select 'limited-' || n, 'account-' || n %% 2000, 'bench', 'USD' from generate_series(1, %(n)s) n order by n""",
    """insert into contract_versions (contract_id, version, starts_at, recorded_by)
       select id, 1, date_trunc('month', now() - interval '1 year'), 'bench' from contracts
       where starts_with(ref, 'limited-') order by id""",
    """insert into subscriptions (ref, contract_id, cycle_id)
       select c.ref, c.id, 1 from contracts c where starts_with(c.ref, 'limited-') order by c.id""",
    """insert into features (name, kind, metric_id, owner) values ('bench-departures', 'metered', 1, 'bench'),
       ('bench-lounge', 'boolean', null, 'bench'), ('bench-region', 'static', null, 'bench')""",
    """insert into entitlements (feature_id, kind, contract_version_id, limit_quantity, enforcement, rollover_max,
         thresholds)
       select 1, 'metered', v.id, 1000, 'hard', case v.id %% %(every)s when 0 then 200 else 0 end, '{80,100}'
       from contract_versions v join contracts c on c.id = v.contract_id where starts_with(c.ref, 'limited-')""",
    """insert into entitlements (feature_id, kind, contract_version_id, is_on, text_value)
       select f, case f when 2 then 'boolean' else 'static' end, v.id, case f when 2 then true end,
         case f when 3 then 'east' end
       from contract_versions v join contracts c on c.id = v.contract_id, generate_series(2, 3) f
       where starts_with(c.ref, 'limited-')""",
    """insert into entitlements (feature_id, kind, subscription_id, limit_quantity, enforcement, rollover_max,
         thresholds)
       select 1, 'metered', id, 2000, 'soft', 0, '{80,100}' from subscriptions
       where starts_with(ref, 'limited-') and id %% %(every)s = 1""",
    """insert into entitlement_grants (subscription_id, feature_id, name, quantity, priority, starts_at, ends_at)
       select id, 1, 'extra', 500, 1, date_trunc('month', now() - interval '3 months'), now() + interval '1 year'
       from subscriptions where starts_with(ref, 'limited-') and id %% %(every)s = 2""",
    """insert into billing_periods (cycle_id, starts_on, ends_on, starts_at, ends_at)
       select 1, d, d + interval '1 month', d at time zone 'America/New_York',
         (d + interval '1 month') at time zone 'America/New_York'
       from (select date_trunc('month', now() at time zone 'America/New_York') - make_interval(months => m) as d
         from generate_series(1, 0, -1) m) s""",
    """insert into aggregates (subscription_id, billing_period_id, metric_id, contract_version_id, lot, grain_start,
         dimensions, quantity, events)
       select s.id, p.id, 1, v.id, 1, p.starts_at, '', s.id %% %(most)s, s.id %% %(most)s
       from billing_periods p, subscriptions s join contract_versions v on v.contract_id = s.contract_id
       where starts_with(s.ref, 'limited-') order by 1, 2""",
    """insert into metrics (name, meter_id, aggregation, property, unit) select 'peak', 1, 'max', 'seats', 'seat'""",
    """insert into features (name, kind, metric_id, owner) select 'bench-peak', 'metered', id, 'bench' from metrics
       where name = 'peak'""",
    """create temp table peaks as select s.id, f.id as feature_id, f.metric_id, v.id as version_id,
         case s.id / %(measured)s %% %(every)s when 0 then %(more)s else %(values)s end as size
       from subscriptions s join features f on f.name = 'bench-peak'
       join contract_versions v on v.contract_id = s.contract_id
       where starts_with(s.ref, 'limited-') and s.id %% %(measured)s = 0""",
    """insert into entitlements (feature_id, kind, subscription_id, limit_quantity, enforcement, rollover_max,
         thresholds)
       select feature_id, 'metered', id, 1000, 'hard', 0, '{80,100}' from peaks""",
    """insert into aggregates (subscription_id, billing_period_id, metric_id, contract_version_id, lot, grain_start,
         dimensions, quantity, events)
       select k.id, p.id, k.metric_id, k.version_id, 1, p.starts_at, '', k.size, k.size
       from peaks k, (select * from billing_periods order by id desc limit 1) p order by 1""",
    """insert into aggregate_values (aggregate_id, value, n)
       select a.id, n::text, 1 from peaks k join aggregates a on a.subscription_id = k.id and a.metric_id = k.metric_id,
         generate_series(1, k.size) n order by 1, 2""",
    """insert into entitlement_measures select k.id, k.feature_id, p.id, k.size, now() from peaks k,
         (select * from billing_periods order by id desc limit 1) p""",
    "insert into entitlement_looks (subscription_id, feature_id) select id, feature_id from peaks",
    "reset session_replication_role",
)
_BARE = text("""
select quantity from aggregates where subscription_id = :subscription and billing_period_id = :period and metric_id = 1
""")


class WrongAnswer(Exception):
    """A check did not answer what was put into the tables: the figure would mean nothing."""


def measure(subscriptions: int, *, checks: int, runs: int) -> list[Figure]:
    """Milliseconds of a check, in the middle and at the 99th percentile. Raises `WrongAnswer`."""
    with scratch.database() as url:
        fill(url, subscriptions)
        engine = make_engine(url)
        with engine.connect() as conn:
            first = int(conn.execute(text("select min(id) from subscriptions where ref ^@ 'limited-'")).scalar_one())
            period = int(conn.execute(text("select max(id) from billing_periods")).scalar_one())
        now = datetime.now(UTC)

        def check(conn: Connection, number: int) -> bool:
            found = entitlements.check(conn, f"limited-{number + 1}", FEATURE, now)
            return found.used == (first + number) % USAGE_MAX

        def check_measured(conn: Connection, number: int) -> bool:
            asked = number - number % MEASURED_EVERY + -first % MEASURED_EVERY
            size = MORE_VALUES if (first + asked) // MEASURED_EVERY % EVERY == 0 else VALUES
            return entitlements.check(conn, f"limited-{asked + 1}", MEASURED, now).used == size

        def bare(conn: Connection, number: int) -> bool:
            found = conn.execute(_BARE, {"subscription": first + number, "period": period}).scalar_one()
            return bool(found == (first + number) % USAGE_MAX)

        limits: list[list[float]] = []
        found: list[list[float]] = []
        measured: list[list[float]] = []
        for run in range(runs):
            numbers = [(run * checks + n) * _STEP % subscriptions for n in range(checks + WARM_UP)]
            limits.append(_times(engine, bare, numbers))
            found.append(_times(engine, check, numbers))
            measured.append(_times(engine, check_measured, numbers))
        engine.dispose()
    return _figures(subscriptions, limits, {"": found, f" of {VALUES} or {MORE_VALUES} values": measured})


def _figures(subscriptions: int, limits: list[list[float]], found: dict[str, list[list[float]]]) -> list[Figure]:
    figures = []
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        bare = [quantile(times, share) for times in limits]
        what = f"{name}, {subscriptions:,} subscriptions"
        figures.append(Figure(f"limit: bare look-up of one aggregate, {what}", "ms", bare))
        for kind, runs in found.items():
            check = [quantile(times, share) for times in runs]
            floors = [Floor("ms", median(check), P99_MS_MAX, is_ceiling=True)] if name == "p99" else []
            load = f"{os.getloadavg()[0]:.1f} processes wanted {os.cpu_count()} cores"
            notes = [f"{median(check) / median(bare):.1f} times the bare look-up; {load}"]
            figures.append(Figure(f"entitlement check{kind}, {what}", "ms", check, floors, notes))
    return figures


def fill(url: str, subscriptions: int) -> None:
    """Migrate the database and write so many entitled subscriptions with their usage of two months into it."""
    migrate(url)
    register(url, metrics=1, user=scratch.user())
    values = {"n": subscriptions, "every": EVERY, "most": USAGE_MAX, "measured": MEASURED_EVERY, "values": VALUES,
              "more": MORE_VALUES}  # fmt: skip
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in _FILL:
            conn.execute(statement, values)
        conn.execute("vacuum analyze")


def _times(engine: Engine, ask: Callable[[Connection, int], bool], numbers: list[int]) -> list[float]:
    """Milliseconds that each question took after the warm-up, from taking a connection to giving it back, sorted."""
    return sorted(list(_each(engine, ask, numbers))[WARM_UP:])


def _each(engine: Engine, ask: Callable[[Connection, int], bool], numbers: list[int]) -> Iterator[float]:
    for number in numbers:
        began_at = time.perf_counter()
        with engine.begin() as conn:  # a rollback would make psycopg forget all it has prepared
            is_right = ask(conn, number)
        yield (time.perf_counter() - began_at) * 1_000
        if not is_right:
            raise WrongAnswer(f"the usage of subscription {number} is not what was put into it")
