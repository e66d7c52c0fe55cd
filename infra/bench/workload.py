"""What the benchmarks send: flights of two thousand subscriptions, CloudEvents of 260 bytes, in bodies of any size."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from queues.contracts import BATCH, STRUCTURED

SOURCE = "https://usage.example.com/flights"
METER = "flight.departed"
SUBSCRIPTIONS = 2_000
#: Distinct aircraft, as many as a large airline has.
AIRCRAFT = 4_000
_DAY_US = 86_400_000_000
#: Multipliers without a common factor with what they are taken modulo: a fixed walk that looks like traffic.
_SUBJECT_STEP, _INSTANT_STEP, _DISTANCE_STEP, _AIRCRAFT_STEP = 7_919, 40_692_000_077, 104_729, 15_485_863

METRICS = (
    ("bench_distance", "sum", "distance", "mile"),
    ("bench_departures", "count", None, "departure"),
    ("bench_aircraft", "unique_count", "tail", "aircraft"),
)


@dataclass(frozen=True, slots=True)
class Workload:
    """Events numbered from `first`, `per_body` in a body (1: a structured event), billed by so many metrics."""

    events: int
    per_body: int = 500
    metrics: int = 1
    first: int = 0

    @property
    def content_type(self) -> str:
        """What the bodies are, in CloudEvents' words."""
        return STRUCTURED if self.per_body == 1 else BATCH

    def bodies(self, now: datetime) -> Iterator[bytes]:
        """The bodies, in order; the events happened within the day before `now`."""
        hours = _instants_of_a_day(now)
        for start in range(self.first, self.first + self.events, self.per_body):
            numbers = range(start, min(start + self.per_body, self.first + self.events))
            texts = [event_text(number, hours) for number in numbers]
            yield (texts[0] if self.per_body == 1 else f"[{','.join(texts)}]").encode()


def event_text(number: int, hours: list[str]) -> str:
    """One event as its producer writes it."""
    hour, rest = divmod(number * _INSTANT_STEP % _DAY_US, 3_600_000_000)
    minute, rest = divmod(rest, 60_000_000)
    second, micro = divmod(rest, 1_000_000)
    tail = number * _AIRCRAFT_STEP % AIRCRAFT
    miles = 100 + number * _DISTANCE_STEP % 30_000 / 10
    return (
        f'{{"specversion":"1.0","id":"bench-{number:012d}","source":"{SOURCE}","type":"{METER}",'
        f'"time":"{hours[hour]}:{minute:02d}:{second:02d}.{micro:06d}Z","subject":"{subject(number)}",'
        f'"datacontenttype":"application/json","data":{{"distance":{miles},"tail":"N{tail:05d}"}}}}'
    )


def subject(number: int) -> str:
    """Whose event it is."""
    return f"subscription-{number * _SUBJECT_STEP % SUBSCRIPTIONS:06d}"


def number_of(event_id: str) -> int:
    """The number of an event, from its id."""
    return int(event_id.rpartition("-")[2])


def _instants_of_a_day(now: datetime) -> list[str]:
    """The last 24 full hours before `now`, as timestamps are written up to the hour."""
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return [f"{last - timedelta(hours=24 - hour):%Y-%m-%dT%H}" for hour in range(24)]


_MASTER_DATA = (
    """insert into erp_connections (id, adapter) values ('bench', 'ledger_file')""",
    """insert into legal_entities (id, name, currency, zone, jurisdiction, connection_id)
       values ('bench', 'Bench', 'USD', 'America/New_York', 'US-NY', 'bench')""",
    """insert into billing_cycles (legal_entity_id, name, zone) values ('bench', 'monthly', 'America/New_York')""",
    """insert into accounts (id, name) select 'account-' || n, 'Account ' || n from generate_series(0, %(last)s) n""",
    """insert into contracts (ref, account_id, legal_entity_id, currency)
       select 'contract-' || n, 'account-' || n, 'bench', 'USD' from generate_series(0, %(last)s) n""",
    """insert into contract_versions (contract_id, version, starts_at, recorded_by)
       select id, 1, now() - interval '1 year', 'bench' from contracts""",
    """insert into subscriptions (ref, contract_id, cycle_id)
       select 'subscription-' || lpad(split_part(c.ref, '-', 2), 6, '0'), c.id, b.id
       from contracts c, billing_cycles b""",
    """insert into sources (name, owner) values (%(source)s, 'bench')""",
    """insert into source_users (source_id, user_name) select id, %(user)s from sources""",
    """insert into mappings (source_id, subject, subscription_id, recorded_by)
       select s.id, u.ref, u.id, 'bench' from sources s, subscriptions u""",
    """insert into meters (name, owner) values (%(meter)s, 'bench')""",
    """insert into meter_versions (meter_id, version, fields)
       select id, 1, '[{"name": "distance", "kind": "decimal"}, {"name": "tail", "kind": "string"}]' from meters""",
)


def register(url: str, *, metrics: int, user: str) -> None:
    """Fill an empty database with the master data of events that `user` sends; needs the owner's rights."""
    values = {"last": SUBSCRIPTIONS - 1, "source": SOURCE, "meter": METER, "user": user}
    with psycopg.connect(url) as conn:
        for statement in _MASTER_DATA:
            conn.execute(statement, values)
        for name, aggregation, prop, unit in METRICS[:metrics]:
            conn.execute(
                """insert into metrics (name, meter_id, aggregation, property, unit)
                   select %s, id, %s, %s, %s from meters""",
                [name, aggregation, prop, unit],
            )
        conn.execute("analyze")
