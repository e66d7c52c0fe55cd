"""Measures: what windows hold, read by `domain` as the quantity and whatever else of it a price may need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, TextClause, text

from domain.canonical import Json
from domain.errors import Rejection
from domain.metrics import Kept, Metric, Span, parse_metric
from domain.money import EXACT, ZERO
from domain.periods import BillingPeriod, Days, Window
from domain.prices import Measured

#: Values that are read for one question; more must be kept apart, by dimensions or subscriptions, to be measured.
VALUES_MAX: Final = 1_000_000
#: Windows that are estimated at once.
PORTION: Final = 200
#: A process keeps as many definitions, and texts of dimensions, as it read last.
_CACHED: Final = 4_096
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_FOREVER = "superseded_at = '9999-12-31 00:00:00+00'"

#: The version of the contract of subscription `s` under which a period bills what carries over: the last in force in it
#: that has a price for the metric. Whatever stands at the end of a period knows one price.
CARRYING_VERSION = f"""(select v.id from contract_versions v join prices c on c.contract_version_id = v.id
      and c.metric_id = {{metric}} where v.contract_id = s.contract_id and v.{_FOREVER}
      and v.own_of in (0, s.id) and (v.own_of > 0 or v.starts_at < s.terms_from and s.terms_from > {{period}}.starts_at)
      and v.starts_at < {{period}}.ends_at and v.ends_at > {{period}}.starts_at order by v.starts_at desc limit 1)"""


class ValuesTooMany(Rejection):
    """The windows hold more values than are read at once."""

    code = "values_too_many"


@dataclass(frozen=True, slots=True)
class Asked:
    """A window of a period, all its buckets together, over the lots up to and including one."""

    subscription_id: int
    billing_period_id: int
    contract_version_id: int
    metric_id: int
    dimensions: str
    lot: int


_ASKED = """unnest(cast(:subscriptions as integer[]), cast(:periods as integer[]), cast(:versions as integer[]),
  cast(:metrics as integer[]), cast(:dimensions as text[]), cast(:lots as integer[])) with ordinality
  as t (subscription_id, billing_period_id, contract_version_id, metric_id, dimensions, lot, n)"""
_METRICS = text("""
select id, jsonb_build_object('name', name, 'meter', '-', 'aggregation', aggregation, 'property', property, 'requires',
  requires, 'dimensions', dimensions, 'unit', unit)::text as fields, options::text
from metrics where id = any(cast(:ids as integer[]))
""")
_SPANS = f"""
asked as materialized (
  select t.*, b.cycle_id, b.starts_at, b.ends_at, greatest(least(b.ends_at, s.ends_at), b.starts_at) as until,
    b.starts_on, b.ends_on, y.zone, m.is_recurring, m.bucket,
    case when m.bucket is not null and m.aggregation in ('weighted_sum', 'register') then array(
      select k.starts_at from buckets k where k.cycle_id = b.cycle_id and k.bucket = m.bucket
        and k.starts_at >= b.starts_at and k.starts_at < b.ends_at order by k.starts_at) end as bucket_starts,
    not m.is_recurring or t.contract_version_id = coalesce(
      {CARRYING_VERSION.format(period="b", metric="t.metric_id")}, t.contract_version_id) as is_billed
  from {_ASKED} join subscriptions s on s.id = t.subscription_id
  join billing_periods b on b.id = t.billing_period_id join billing_cycles y on y.id = b.cycle_id
  join metrics m on m.id = t.metric_id)"""
_OF_SPAN = "starts_at, ends_at, until, starts_on, ends_on, zone, bucket_starts"
#: What carries over is read of all earlier periods, whole, and of the period under any version.
_KEPT = text(f"""
with {_SPANS},
held as materialized (
  select a.n, case when a.bucket is not null then g.grain_start end as grain_start, g.id, g.quantity
  from asked a join aggregates g on g.subscription_id = a.subscription_id and g.metric_id = a.metric_id
    and g.dimensions = a.dimensions
  join billing_periods q on q.id = g.billing_period_id
  where a.is_billed and case when g.billing_period_id = a.billing_period_id
    then g.lot <= a.lot and (a.is_recurring or g.contract_version_id = a.contract_version_id)
    else a.is_recurring and q.starts_at < a.starts_at end)
select n, {_OF_SPAN}, null as grain_start, null as value, null as number from asked
union all
select n, null, null, null, null, null, null, null, grain_start, null, sum(quantity) from held group by n, grain_start
union all
(select h.n, null, null, null, null, null, null, null, h.grain_start, v.value, sum(v.n) from held h
  join aggregate_values v on v.aggregate_id = h.id
  group by h.n, h.grain_start, v.value having sum(v.n) <> 0 limit :limit)
""")
#: The same of one window from nothing but attributions, as of the seal of its lot.
_RECOUNTED = text(f"""
with {_SPANS},
meant as materialized (
  select a.n, case when a.bucket is not null then coalesce(u.grain_start, a.starts_at) end as grain_start, u.value,
    u.sign, u.quantity
  from asked a join attributions u on u.subscription_id = a.subscription_id and u.metric_id = a.metric_id
    and u.dimensions = a.dimensions
  join billing_periods q on q.id = u.billing_period_id join batches b on b.id = u.batch_no
  where a.is_billed and b.aggregated_no <= (select l.sealed_no from lots l
      where l.billing_period_id = a.billing_period_id and l.lot = a.lot)
    and case when u.billing_period_id = a.billing_period_id
      then a.is_recurring or u.contract_version_id = a.contract_version_id
      else a.is_recurring and q.starts_at < a.starts_at end)
select n, {_OF_SPAN}, null as grain_start, null as value, null as number from asked
union all
select n, null, null, null, null, null, null, null, grain_start, null, sum(sign * quantity) from meant
  group by n, grain_start
union all
(select n, null, null, null, null, null, null, null, grain_start, value, sum(sign) from meant where value is not null
  group by n, grain_start, value having sum(sign) <> 0 limit :limit)
""")


def carries_over(conn: Connection) -> bool:
    """Whether there is any metric that counts what came before a period."""
    return bool(conn.execute(text("select exists (select from metrics where is_recurring)")).scalar_one())


def metrics(conn: Connection, ids: Sequence[int]) -> dict[int, Metric]:
    """The metrics of these ids, as `domain` reads them; of their meter only that they have one."""
    found = conn.execute(_METRICS, {"ids": sorted(set(ids))})
    return {row.id: _metric(row.fields, row.options) for row in found}


@lru_cache(_CACHED)
def _metric(fields: str, options: str) -> Metric:
    return parse_metric({**_decode(fields), **_decode(options)})


@lru_cache(_CACHED)
def dimensions_of(words: str) -> Mapping[str, Json] | None:
    """The values that usage is kept apart by; None without any, or where they are too long to be kept as they are."""
    return _decode(words) if words.startswith("{") else None


def of_quantity(quantity: Decimal, dimensions: str) -> Measured:
    """What a metric measures whose quantity the database reads itself."""
    return Measured(quantity, dimensions=dimensions_of(dimensions))


@dataclass(slots=True)
class Held:
    """What one asked window holds, by the start of each bucket, and the span that it is measured over."""

    span: Span
    totals: dict[datetime | None, Decimal] = field(default_factory=dict)
    values: dict[datetime | None, dict[str, int]] = field(default_factory=dict)

    def add(self, grain_start: datetime | None, value: str | None, number: Decimal) -> None:
        """Add to the total of a bucket, or to how often a value was seen in it."""
        if value is None:
            self.totals[grain_start] = EXACT.add(self.totals.get(grain_start, ZERO), number)
        else:
            values = self.values.setdefault(grain_start, {})
            values[value] = values.get(value, 0) + int(number)

    def measured(self, metric: Metric, dimensions: str) -> Measured:
        """As the metric measures it. Raises `AggregateNegative`."""
        grains = sorted(self.totals.keys() | self.values.keys(), key=lambda start: start or self.span.period.ends_at)
        kept = [Kept(self.totals.get(grain, ZERO), self.values.get(grain, {})) for grain in grains]
        return replace(metric.measured(kept, self.span, starts=grains), dimensions=dimensions_of(dimensions))


def held(conn: Connection, asked: Sequence[Asked]) -> list[Held]:
    """What each of the windows holds, in one statement; nothing where another version is billed for what carries over.

    Raises `ValuesTooMany`.
    """
    return _held(conn, _KEPT, asked)


def _held(conn: Connection, statement: TextClause, asked: Sequence[Asked]) -> list[Held]:
    values = {
        "subscriptions": [each.subscription_id for each in asked],
        "periods": [each.billing_period_id for each in asked],
        "versions": [each.contract_version_id for each in asked],
        "metrics": [each.metric_id for each in asked],
        "dimensions": [each.dimensions for each in asked],
        "lots": [each.lot for each in asked],
        "limit": VALUES_MAX + 1,
    }
    rows = conn.execute(statement, values).all()
    if len(rows) > VALUES_MAX:
        raise ValuesTooMany(f"more than {VALUES_MAX} values are to be read", windows=len(asked))
    found = {row.n: Held(_span(row)) for row in rows if row.starts_at is not None}
    for row in rows:
        if row.starts_at is None:
            found[row.n].add(row.grain_start, row.value, row.number)
    return [found[n] for n in range(1, len(asked) + 1)]


def measured(conn: Connection, asked: Sequence[Asked]) -> list[Measured]:
    """The measures of these windows. Raises `AggregateNegative`, `ValuesTooMany`."""
    if not asked:
        return []
    by_id = metrics(conn, [each.metric_id for each in asked])
    return [
        each.measured(by_id[of.metric_id], of.dimensions) for of, each in zip(asked, held(conn, asked), strict=True)
    ]


def recounted(conn: Connection, asked: Asked) -> Measured:
    """As `measured` of one sealed window, from its attributions alone. Raises what `measured` raises."""
    (found,) = _held(conn, _RECOUNTED, [asked])
    return found.measured(metrics(conn, [asked.metric_id])[asked.metric_id], asked.dimensions)


def estimated(conn: Connection, asked: Sequence[Asked]) -> list[Measured | None]:
    """As `measured`, for figures that are never booked: None where a window cannot be measured."""
    by_id = metrics(conn, [each.metric_id for each in asked])
    return [
        None if each is None else _estimate(each, by_id[of.metric_id], of.dimensions)
        for of, each in zip(asked, held_in_portions(conn, asked), strict=True)
    ]


def held_in_portions(conn: Connection, asked: Sequence[Asked]) -> list[Held | None]:
    """As `held`, a few windows at a time; None for one that holds too many values."""
    found: list[Held | None] = []
    for start in range(0, len(asked), PORTION):
        portion = asked[start : start + PORTION]
        try:
            found += held(conn, portion)
        except ValuesTooMany:
            found += [_held_alone(conn, each) for each in portion]
    return found


def _held_alone(conn: Connection, asked: Asked) -> Held | None:
    try:
        return held(conn, [asked])[0]
    except ValuesTooMany:
        return None


def _estimate(held: Held, metric: Metric, dimensions: str) -> Measured | None:
    try:
        return held.measured(metric, dimensions)
    except Rejection:
        return None


def _span(row: Row[Any]) -> Span:
    period = BillingPeriod(row.zone, Days(row.starts_on, row.ends_on), Window(row.starts_at, row.ends_at))
    return Span(period, row.until, tuple(row.bucket_starts or ()))
