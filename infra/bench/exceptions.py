"""How long a person waits for the list of what is wrong: 100,000 open exceptions grouped by cause and priced."""

import time

import psycopg
from sqlalchemy import Engine

from infra.bench import scratch
from infra.bench.figures import Figure, Floor
from infra.bench.workload import register
from workers.store import appraisal, exception_groups, worth
from workers.store.database import make_engine, migrate

#: A list that takes longer is not looked at.
GROUPS_S_MAX = 1.0
#: Subjects without a mapping, each a cause; and accounts whose usage lacks its quantity.
SUBJECTS = 500
ACCOUNTS = 200

_PRICED = """
insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
select v.id, m.id, '{"model": "per_unit", "unit_amount": "0.0125"}', 'standard', 'revenue'
from contract_versions v, metrics m
"""
#: Nine in ten are usage without a subscription, the others documents that an ERP refused, of unknown worth. They look
#: as `enrich` and `post` open them.
_OPEN = f"""
insert into exceptions (step, code, key16, hash, metric_id, meter_id, source_id, subject, event_no, receipt_id,
  event_id, happened_at, quantity, dimensions, account_id, connection_id, invoice_id, work_id, waits_kind, waits_key,
  sentence, facts, correlation_id)
select case when n %% 10 > 0 then 'enrich' else 'post' end,
  case when n %% 10 > 0 then 'subscription_not_found' else 'posting_rejected' end, md5(n::text)::uuid,
  cast('' as bytea), case when n %% 10 > 0 then 1 else 0 end, case when n %% 10 > 0 then 1 end,
  case when n %% 10 > 0 then 1 end, 'nobody-' || n %% {SUBJECTS}, case when n %% 10 > 0 then n end,
  case when n %% 10 > 0 then n / 1000 + 1 end, 'event-' || n, now() - make_interval(secs => n %% 2500000),
  1 + n %% 7, '', case when n %% 10 = 0 then 'a' || n %% {ACCOUNTS} end,
  case when n %% 10 = 0 then 'erp-' || n %% 7 end,
  case when n %% 10 = 0 then n end, case when n %% 10 = 0 then n end, case when n %% 10 > 0 then 'mapping' end,
  case when n %% 10 > 0 then '1/nobody-' || n %% {SUBJECTS} end, 'no mapping leads from this source and subject on',
  case when n %% 10 = 0 then jsonb_build_object('erp_code', 'E-' || n %% 5) else '{{}}' end, 'receipt/' || n / 1000
from generate_series(1, %(n)s) n
"""  # noqa: S608 -- constants of this module


class NotAllGrouped(Exception):
    """The groups do not hold what was put into them: the figure would mean nothing."""


def measure(rows: int, *, runs: int) -> list[Figure]:
    """Seconds to group so many open exceptions, and exceptions priced a second. Raises `NotAllGrouped`."""
    with scratch.database() as url:
        migrate(url)
        register(url, metrics=1, user=scratch.user())
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(_PRICED)
            conn.execute(_OPEN, {"n": rows})
            conn.execute("analyze")
        engine = make_engine(url)
        began_at = time.monotonic()
        appraisal.settle(engine)
        priced_s = time.monotonic() - began_at
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("vacuum analyze exceptions")
        seconds = [_grouped(engine, rows) for _ in range(runs)]
        engine.dispose()
    floor = Floor("seconds until the list is there", max(seconds), GROUPS_S_MAX, is_ceiling=True)
    return [
        Figure(f"{rows:,} open exceptions grouped by cause, money and owner", "s", seconds, [floor]),
        Figure(f"{rows:,} open exceptions priced and kept", "a second", [rows / priced_s]),
    ]


def _grouped(engine: Engine, rows: int) -> float:
    began_at = time.monotonic()
    with engine.connect() as conn:
        found = exception_groups.groups(conn, rows=exception_groups.GROUPS_MAX)
        seconds = time.monotonic() - began_at
        money = worth.excepted(conn)
    if money.exceptions != rows or not found or not money.money:
        raise NotAllGrouped(f"{money.exceptions} of {rows} exceptions are open, worth {money.money}")
    return seconds
