"""Whether the line keeps its speed as its tables grow: the same run on a small and on a large database, in turns."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psycopg
from sqlalchemy import Engine

from infra.bench import line, scratch
from infra.bench.figures import Figure, Floor
from infra.bench.workload import Workload, register
from workers.store import aggregates, attributions, periods
from workers.store.database import make_engine, migrate, raw

SHARE_MIN = 0.85
#: Events of one preloaded receipt, and receipts made in one statement.
RECEIPT_EVENTS = 10_000
STATEMENT_RECEIPTS = 5
#: Preloaded events happened within these days, as in a table that has been filled for a month.
DAYS = 30

#: The rows that `validate` would have written, without the bodies, which nothing reads again.
_ACCEPTED = (
    """insert into receipts (id, queue, bodies, properties, bytes) overriding system value
       select n, 'intake', '{}', '[]', 0 from generate_series(%(first)s::bigint, %(last)s) n""",
    """insert into usage_events
       select (r << 20) + p, md5(concat('preloaded', r, '/', p))::uuid, 1, 1, 1,
         now() - make_interval(secs => ((r * 7919 + p) * 2591 %% (86400 * %(days)s))::float8),
         concat('preloaded-', r, '-', p), concat('subscription-', lpad((p * 7919 %% s.n)::text, 6, '0')),
         jsonb_build_object('distance', 100 + p * 37 %% 3000, 'tail', concat('N', p %% 4000))
       from generate_series(%(first)s::bigint, %(last)s) r, generate_series(1, %(events)s::bigint) p,
         (select count(*) as n from subscriptions) s order by 1""",
    """insert into event_keys select key16, decode(md5(event_id), 'hex'), event_no, happened_at from usage_events
       where event_no >= %(first)s::bigint << 20 and event_no < (%(last)s::bigint + 1) << 20 order by key16""",
    """insert into receipt_counts
         (receipt_id, bodies, unreadable, parsed, accepted, duplicate, refused, happened_min, happened_max)
       select event_no >> 20, 0, 0, count(*), count(*), 0, 0, min(happened_at), max(happened_at) from usage_events
       where event_no >= %(first)s::bigint << 20 and event_no < (%(last)s::bigint + 1) << 20 group by 1""",
)
#: Reads the indexes that the line looks into: a database that has been running has them in memory.
_TOUCH = (
    "event_keys where key16 >= '00000000-0000-0000-0000-000000000000'",
    "usage_events where event_no >= 0",
    "attributions where event_no >= 0",
    "attributions where batch_no >= 0",
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Events in the small and in the large table, and those of a run on either."""

    small: int
    large: int
    run: int


def measure(folder: Path, sizes: Sizes, *, runs: int) -> list[Figure]:
    """Events per second on either table, and the share of the speed that is kept."""
    with _preloaded(sizes.small) as small, _preloaded(sizes.large) as large:
        rates: dict[str, list[float]] = {small: [], large: []}
        for _ in range(runs):
            for name, found in rates.items():
                found.append(_rate(folder, name, sizes))
    share = median(rates[large]) / median(rates[small])
    return [
        Figure(f"line with {sizes.small:,} events in the table", "events/s", rates[small]),
        Figure(
            f"line with {sizes.large:,} events in the table",
            "events/s",
            rates[large],
            [Floor(f"share of the speed at {sizes.small:,}", share, SHARE_MIN)],
            ["preloaded: accepted events written by SQL, then enriched and aggregated by the steps' own statements"],
        ),
    ]


def _rate(folder: Path, template: str, sizes: Sizes) -> float:
    with scratch.place(template=template) as place:
        _touch(place.database_url)
        return line.run(Workload(sizes.run), place, folder=folder).events_per_s


@contextmanager
def _preloaded(events: int) -> Iterator[str]:
    """The name of a database that holds so many events, all of them in their windows."""
    with scratch.database() as url:
        migrate(url)
        register(url, metrics=1, user=scratch.user())
        engine = make_engine(url)
        receipts = events // RECEIPT_EVENTS
        starts = range(1, receipts + 1, STATEMENT_RECEIPTS)
        _make_periods(engine)
        with ThreadPoolExecutor(2) as pool:
            ranges = [(first, min(first + STATEMENT_RECEIPTS - 1, receipts)) for first in starts]
            for done in [pool.submit(_fill, engine, first, last) for first, last in ranges]:
                done.result()
        engine.dispose()
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("select setval(pg_get_serial_sequence('receipts', 'id'), %s)", [receipts])
            conn.execute("vacuum analyze")
        yield urlsplit(url).path[1:]


def _make_periods(engine: Engine) -> None:
    now = datetime.now(UTC)
    with engine.begin() as conn:
        periods.ensure(conn, 1, now - timedelta(days=DAYS + 1), now + timedelta(days=1))
        for month in {(now - timedelta(days=days)).date().replace(day=1) for days in range(DAYS + 2)}:
            conn.exec_driver_sql("select ensure_event_month(%s)", (month,))


def _fill(engine: Engine, first: int, last: int) -> None:
    """Accepted events by SQL; attributed and aggregated by the steps' own statements."""
    values = {"first": first, "last": last, "events": RECEIPT_EVENTS, "days": DAYS}
    numbers = list(range(first, last + 1))
    with engine.begin() as conn:
        for statement in _ACCEPTED:
            raw(conn).execute(statement, values)
        batches = attributions.new_batches(conn, "receipt", numbers)
        attributions.attribute(conn, attributions.spans(conn, list(zip(numbers, batches, strict=True))))
        aggregates.aggregate(conn, batches)


def _touch(url: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute("set enable_seqscan = off")
        for what in _TOUCH:
            conn.execute(f"select count(*) from {what}")  # noqa: S608 -- constants of this module
