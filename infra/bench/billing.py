"""How long a billing run rates: subscriptions with five charges each, from the first claim to the last trace."""

import time
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection

from infra.bench import scratch
from infra.bench.figures import Figure, Floor
from infra.bench.fleet import fleet
from infra.bench.line import NotFinished
from infra.bench.scratch import Place
from workers.store import billing_runs
from workers.store.database import make_engine, migrate

CHARGES = 5
#: A run of 100,000 subscriptions may take so long on two cores.
SECONDS_MAX = 60.0
SUBSCRIPTIONS_OF_MAX = 100_000
LOOK_S = 0.1
#: The slowest run that still counts as running.
SUBSCRIPTIONS_PER_S_MIN = 200
#: What this machine is given: a process for each core.
COUNTS = {"RATE_PROCESSES": "2", "RATE_THREADS": "1", "CLOSE_PROCESSES": "1"}

#: A month of one legal entity: each subscription has its own contract, a fee, seats and three metered charges.
_MASTER_DATA = (
    "insert into erp_connections (id, adapter) values ('bench', 'ledger_file')",
    """insert into legal_entities (id, name, currency, zone, jurisdiction, connection_id)
       values ('bench', 'Bench', 'USD', 'America/New_York', 'US-NY', 'bench')""",
    "insert into billing_cycles (legal_entity_id, name, zone) values ('bench', 'monthly', 'America/New_York')",
    "insert into accounts (id, name) select 'account-' || n, 'Account ' || n from generate_series(1, %(n)s) n",
    """insert into contracts (ref, account_id, legal_entity_id, currency)
       select 'contract-' || n, 'account-' || n, 'bench', 'USD' from generate_series(1, %(n)s) n""",
    """insert into contract_versions (contract_id, version, starts_at, recorded_by)
       select id, 1, '2025-01-01 05:00Z', 'bench' from contracts""",
    """insert into subscriptions (ref, contract_id, cycle_id)
       select 'subscription-' || c.id, c.id, b.id from contracts c, billing_cycles b""",
    """insert into subscription_quantities (subscription_id, item, quantity, starts_on, ends_on, recorded_by)
       select id, 'seats', 25, '2026-01-01', '2026-06-16', 'bench' from subscriptions""",
    """insert into subscription_quantities (subscription_id, item, quantity, starts_on, recorded_by)
       select id, 'seats', 30, '2026-06-16', 'bench' from subscriptions""",
    "insert into meters (name, owner) values ('usage', 'bench')",
    """insert into metrics (name, meter_id, aggregation, property, unit)
       select v.name, m.id, v.aggregation, v.property, v.unit from meters m, (values
         ('requests', 'sum', 'n', 'request'), ('storage', 'sum', 'gb', 'GB'), ('jobs', 'count', null, 'job'))
         v (name, aggregation, property, unit)""",
    """insert into metrics (name, aggregation, property, unit)
       values ('base', 'subscribed', null, 'month'), ('seats', 'subscribed', 'seats', 'seat')""",
    """insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
       select v.id, m.id, t.terms::jsonb, 'standard', 'revenue' from contract_versions v, metrics m join (values
         ('requests', '{"model": "graduated", "zero_usage": "none", "tiers": [
           {"up_to": "1000000", "unit_amount": "0.0004"}, {"up_to": "5000000", "unit_amount": "0.0003"},
           {"up_to": null, "unit_amount": "0.0002"}]}'),
         ('storage', '{"model": "package", "package_size": "100", "package_amount": "2.50", "free_units": "500"}'),
         ('jobs', '{"model": "per_unit", "unit_amount": "0.015"}'),
         ('base', '{"model": "per_unit", "unit_amount": "2000"}'),
         ('seats', '{"model": "per_unit", "unit_amount": "60"}')) t (name, terms) using (name)""",
    """insert into billing_periods (cycle_id, starts_on, ends_on, starts_at, ends_at)
       select id, '2026-06-01', '2026-07-01', '2026-06-01 04:00Z', '2026-07-01 04:00Z' from billing_cycles""",
    "insert into lots (billing_period_id, lot, sealed_no) select id, lot, 1 from billing_periods",
    """insert into aggregates (subscription_id, billing_period_id, metric_id, contract_version_id, lot, grain_start,
         dimensions, quantity, events)
       select s.id, p.id, m.id, v.id, 1, p.starts_at, '', 6480000 + s.id, 6480
       from billing_periods p, metrics m, subscriptions s join contract_versions v on v.contract_id = s.contract_id
       where m.meter_id is not null""",
    """insert into billing_runs (billing_period_id, lot, stage, invoice_on, posting_on, requested_by)
       select id, 1, 'frozen', '2026-07-01', '2026-06-30', 'bench' from billing_periods""",
)
_RATED = "select count(*) from work where step = 'rate' and state = 'done'"
_SECONDS = "select extract(epoch from clock_timestamp() - min(created_at))::float8 from invoices"
_CHARGED = """
select (select count(*) from rated_usages where amount > 0 and jsonb_array_length(trace) > 0),
  (select count(*) from exceptions)"""
#: What PostgreSQL does with the same rows and nothing else.
_BARE = """
insert into rated_usages (billing_run_id, subscription_id, billing_period_id, contract_version_id, metric_id, price_id,
  dimensions, lot, revision, quantity, amount, currency, trace, is_touched)
select billing_run_id, subscription_id, billing_period_id, contract_version_id, metric_id, price_id,
  dimensions, lot, 2, quantity, amount, currency, trace, is_touched from rated_usages"""


def measure(folder: Path, *, subscriptions: int, runs: int) -> list[Figure]:
    """Seconds to rate so many subscriptions. Raises `NotFinished` or `NotStarted`."""
    pairs = [_once(folder, subscriptions) for _ in range(runs)]
    seconds = [rated_s for rated_s, _ in pairs]
    bound = SECONDS_MAX * subscriptions / SUBSCRIPTIONS_OF_MAX
    share = [bare_s / rated_s for rated_s, bare_s in pairs]
    return [
        Figure(
            f"a billing run of {subscriptions:,} subscriptions, {CHARGES} charges each, rated and traced",
            "s",
            seconds,
            [Floor("seconds", max(seconds), bound, is_ceiling=True)],
            [f"{share[0]:.2f} of what PostgreSQL does when it only inserts the same rows over one connection"],
        )
    ]


def _once(folder: Path, subscriptions: int) -> tuple[float, float]:
    """Seconds of one run, and of inserting its rows bare."""
    with scratch.database() as url, scratch.virtual_host() as vhost:
        migrate(url)
        with psycopg.connect(url, autocommit=True) as conn:
            for statement in _MASTER_DATA:
                conn.execute(statement, {"n": subscriptions})
            conn.execute("vacuum analyze")
            conn.execute("checkpoint")
            place = Place(url, vhost, scratch.named("TALLYLINE_REDIS_URL"))
            with fleet(place, folder=folder, steps=("close", "rate"), counts=COUNTS):
                rated_s = _rated(url, conn, subscriptions)
            began_at = time.monotonic()
            conn.execute(_BARE)
            return rated_s, time.monotonic() - began_at


def _rated(url: str, conn: psycopg.Connection[Any], subscriptions: int) -> float:
    """Seconds by the database's clock from the start of the transaction that makes the drafts until all is rated."""
    engine = make_engine(url)
    with engine.begin() as owing:
        _press(owing)
    engine.dispose()
    deadline = time.monotonic() + subscriptions / SUBSCRIPTIONS_PER_S_MIN + SECONDS_MAX
    while (done := _one(conn, _RATED)[0]) < subscriptions:
        if time.monotonic() > deadline:
            raise NotFinished(f"{done} of {subscriptions} subscriptions are rated")
        time.sleep(LOOK_S)
    seconds = float(_one(conn, _SECONDS)[0])
    rated, exceptions = _one(conn, _CHARGED)
    if rated != subscriptions * CHARGES or exceptions:
        raise NotFinished(f"{rated} charges of {subscriptions} subscriptions are rated; {exceptions} exceptions")
    return seconds


def _press(conn: Connection) -> None:
    billing_runs.press(conn, 1)  # the sweeper of the fleet finds the row


def _one(conn: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = conn.execute(query).fetchone()
    assert row is not None
    return row
