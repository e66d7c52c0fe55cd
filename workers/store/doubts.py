"""Doubts: readings of registers that cannot be counted are taken out of their windows and wait as exceptions.

What waits is exactly what `domain.registers` refuses of all readings that are known, whatever the order they came in: a
reading that is refused no longer, since another one came or went, is decided again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from domain.metrics import Kept
from domain.metrics.register import Register, reading_in
from domain.periods import Window
from domain.refused import Refused
from domain.registers import CODES_OF_READINGS, series
from workers.store import measures, withdrawals

#: Registers that are looked at in one transaction.
PORTION = 200


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One register: a subscription's, under a metric and its dimensions."""

    subscription_id: int
    metric_id: int
    dimensions: str


@dataclass(slots=True)
class Readings:
    """What is kept of a register, and which exceptions hold readings of it."""

    kept: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Doubts:
    """What a look found: (register, kept text, why) of readings to take out, and exceptions whose doubt is gone."""

    doubtful: Sequence[tuple[Key, str, Refused]]
    settled: Sequence[int]


_REGISTERS = text("""
select subscription_id, metric_id, dimensions from (
  select g.subscription_id, g.metric_id, g.dimensions from aggregates g
  join metrics m on m.id = g.metric_id and m.aggregation = 'register' where g.billing_period_id = :period
    and g.updated_at >= coalesce(cast(:since as timestamptz), '-infinity')
  union
  select x.subscription_id, x.metric_id, x.dimensions from exceptions x
  where x.state = 'open' and x.step = 'enrich' and x.code = any(cast(:codes as text[]))
    and x.billing_period_id = :period) t
where (subscription_id, metric_id, dimensions) > (:subscription, :metric, :dimensions)
order by 1, 2, 3 limit :limit
""")
_KEYS = """unnest(cast(:subscriptions as integer[]), cast(:metrics as integer[]), cast(:dimensions as text[]))
  with ordinality as t (subscription_id, metric_id, dimensions, n)"""
_READINGS = text(f"""
(select t.n, v.value, sum(v.n) as times, cast(null as bigint) as exception_id from {_KEYS}
  join aggregates g using (subscription_id, metric_id, dimensions)
  join billing_periods q on q.id = g.billing_period_id and q.starts_at < :ends_at
  join aggregate_values v on v.aggregate_id = g.id group by t.n, v.value having sum(v.n) <> 0 limit :limit)
union all
(select t.n, x.value, 1, x.id from {_KEYS} join exceptions x using (subscription_id, metric_id, dimensions)
  where x.state = 'open' and x.step = 'enrich' and x.code = any(cast(:codes as text[])) and x.happened_at < :ends_at
  limit :limit)
""")
_DOUBTFUL = """
  select a.*, d.code, d.sentence from unnest(cast(:subscriptions as integer[]), cast(:metrics as integer[]),
    cast(:dimensions as text[]), cast(:values as text[]), cast(:codes as text[]), cast(:sentences as text[]))
    as d (subscription_id, metric_id, dimensions, value, code, sentence)
  join attributions a using (subscription_id, metric_id, dimensions, value)
  where a.billing_period_id = :period"""


def has_registers(conn: Connection) -> bool:
    """Whether there is any metric that reads a register."""
    return bool(conn.execute(text("select exists (select from metrics where aggregation = 'register')")).scalar_one())


def registers(conn: Connection, period_id: int, *, after: Key, since: datetime | None) -> list[Key]:
    """The next `PORTION` registers that have readings in the period: counted ones that came since, or doubted ones."""
    values = {
        "period": period_id, "subscription": after.subscription_id, "metric": after.metric_id,
        "dimensions": after.dimensions, "since": since, "codes": list(CODES_OF_READINGS), "limit": PORTION,
    }  # fmt: skip
    return [Key(*row) for row in conn.execute(_REGISTERS, values)]


def look(conn: Connection, keys: Sequence[Key], period: Window) -> Doubts:
    """What is to be done about the readings of these registers in the period. Raises what `measures.metrics` raises."""
    by_id = measures.metrics(conn, [key.metric_id for key in keys])
    doubtful: list[tuple[Key, str, Refused]] = []
    settled: list[int] = []
    for key, readings in _readings(conn, keys, period.ends_at).items():
        register = by_id[key.metric_id].aggregation
        assert isinstance(register, Register), key
        refused = _refused(register, readings)
        doubtful += [(key, value, refused[value]) for value in _in(readings.kept, period) if value in refused]
        settled += [each for value, ids in readings.waiting.items() if value not in refused for each in ids]
    return Doubts(doubtful, settled)


def _refused(register: Register, readings: Readings) -> Mapping[str, Refused]:
    """What the rules refuse of all readings, by the text that each is kept as. Raises `AggregateNegative`."""
    kept = (value for value, _ in Kept(values=readings.kept).counted())
    by_reading = {reading_in(value): value for value in (*kept, *readings.waiting)}
    return {by_reading[reading]: why for reading, why in series(by_reading, rules=register.rules).refused}


def _in(kept: Mapping[str, int], period: Window) -> Iterator[str]:
    return (value for value in kept if period.contains(reading_in(value).at))


def _readings(conn: Connection, keys: Sequence[Key], ends_at: datetime) -> dict[Key, Readings]:
    values = {**_columns(keys), "ends_at": ends_at, "codes": list(CODES_OF_READINGS), "limit": measures.VALUES_MAX + 1}
    rows = conn.execute(_READINGS, values).all()
    if len(rows) > measures.VALUES_MAX and len(keys) > 1:
        return {key: each for one in keys for key, each in _readings(conn, [one], ends_at).items()}
    if len(rows) > measures.VALUES_MAX:
        return {}  # the rating of its period refuses it by name
    found = {key: Readings() for key in keys}
    for row in rows:
        readings = found[keys[row.n - 1]]
        if row.exception_id is None:
            readings.kept[row.value] = int(row.times)
        else:
            readings.waiting.setdefault(row.value, []).append(row.exception_id)
    return found


def _columns(keys: Sequence[Key]) -> dict[str, list[int] | list[str]]:
    return {
        "subscriptions": [key.subscription_id for key in keys],
        "metrics": [key.metric_id for key in keys],
        "dimensions": [key.dimensions for key in keys],
    }


def take_out(conn: Connection, doubtful: Sequence[tuple[Key, str, Refused]], *, period_id: int, batch_no: int) -> int:
    """Take these readings of the period back, as exceptions that name why; how many usages that were."""
    values = {
        **_columns([key for key, _, _ in doubtful]),
        "values": [value for _, value, _ in doubtful],
        "codes": [why.code for _, _, why in doubtful],
        "sentences": [why.sentence for _, _, why in doubtful],
        "period": period_id,
        "batch": batch_no,
    }
    return len(withdrawals.take_out(conn, _DOUBTFUL, values))
