"""Rated usage: what is loaded for `rate`, what it saves, and the count of children that each draft still waits for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, text

from domain.commitments import owed_in
from domain.metrics.subscribed import shares_of
from domain.periods import Window as Stretch
from domain.periods import first_instant
from domain.prices import Measured, Price, parse_price
from domain.prices.needs import commits_buckets
from queues.work import Ready
from workers.rating import Rated, Run, Terms, Window
from workers.store import buckets
from workers.store.measures import CARRYING_VERSION, Asked, carries_over, measured, of_quantity

#: A process keeps as many prices as it read last.
_PRICES_CACHED: Final = 4_096
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="string").encode

_RUNS = text("""
select w.id, r.id, r.billing_period_id, r.lot, s.id, s.contract_id, c.currency
from work w join billing_runs r on r.id = w.close_id
join subscriptions s on s.id = cast(split_part(w.subject, '/', 4) as integer)
join contracts c on c.id = s.contract_id
where w.id = any(cast(:ids as bigint[])) order by w.id
""")
_OF_RUNS = """unnest(cast(:works as bigint[]), cast(:subscriptions as integer[]), cast(:periods as integer[]),
  cast(:lots as integer[])) as t (work_id, subscription_id, billing_period_id, lot)"""
#: Touched is what no document holds yet: it gets a line, also over nothing. Count and sum add up over lots; a distinct
#: value counts once over all of them, if it still exists. Of other metrics the quantity is measured (`measures`).
_WINDOWS = text(f"""
select t.work_id, g.contract_version_id, g.metric_id, m.name, g.dimensions, case when not m.is_plain then null
    when m.aggregation = 'unique_count' then (select count(*) from (
      select v.value from aggregate_values v join aggregates h on h.id = v.aggregate_id
      where h.subscription_id = g.subscription_id and h.billing_period_id = g.billing_period_id
        and h.metric_id = g.metric_id and h.contract_version_id = g.contract_version_id
        and h.dimensions = g.dimensions and h.lot <= t.lot
      group by v.value having sum(v.n) <> 0) d)
    else sum(g.quantity) end as quantity, bool_or(g.lot > coalesce((
      select max(o.lot) from rated_usages o join invoice_lines l on l.rated_usage_id = o.id
      join invoices i on i.id = l.invoice_id and i.state <> 'void'
      where o.subscription_id = g.subscription_id and o.billing_period_id = g.billing_period_id
        and o.contract_version_id = g.contract_version_id and o.metric_id = g.metric_id
        and o.dimensions = g.dimensions), 0)) as is_touched
from {_OF_RUNS}
join aggregates g on g.subscription_id = t.subscription_id and g.billing_period_id = t.billing_period_id
  and g.lot <= t.lot
join metrics m on m.id = g.metric_id
group by t.work_id, t.lot, g.subscription_id, g.billing_period_id, g.contract_version_id, g.metric_id, m.name,
  m.aggregation, m.is_plain, g.dimensions
order by 1, 2, 3, 5
""")
#: What carries over into a period without any usage of its own: billed like usage, if it comes to anything.
_CARRIED = text(f"""
select distinct t.work_id, k.version_id as contract_version_id, g.metric_id, m.name, g.dimensions
from {_OF_RUNS}
join subscriptions s on s.id = t.subscription_id
join billing_periods b on b.id = t.billing_period_id and s.starts_at < b.ends_at and s.ends_at > b.starts_at
join aggregates g on g.subscription_id = t.subscription_id
join metrics m on m.id = g.metric_id and m.is_recurring
join billing_periods q on q.id = g.billing_period_id and q.starts_at < b.starts_at
cross join lateral (select {CARRYING_VERSION.format(period="b", metric="m.id")} as version_id) k
where k.version_id is not null and not exists (select from aggregates h
  where h.subscription_id = t.subscription_id and h.billing_period_id = t.billing_period_id and h.metric_id = m.id
    and h.contract_version_id = k.version_id and h.dimensions = g.dimensions and h.lot <= t.lot)
order by 1, 2, 3, 5
""")
#: Prices of versions in force while the subscription stands in the period, and of versions that usage of it is or was
#: rated under. What a metric without a meter reads is cut to the days of the period, of the subscription and of the
#: version; the day on which something changes belongs to what comes after.
_PRICED = text(f"""
select t.work_id, p.id, p.contract_version_id, p.metric_id, p.terms::text as terms, v.is_in_force, r.was_rated,
  m.aggregation = 'subscribed' as is_subscribed, b.ends_on - b.starts_on as period_days, stood.parts,
  least(b.ends_on, (least(s.ends_at, v.ends_at) at time zone y.zone)::date) as service_end_on,
  greatest(b.starts_on, (greatest(s.starts_at, v.starts_at) at time zone y.zone)::date) as service_from, y.zone,
  m.bucket, b.id as billing_period_id
from {_OF_RUNS}
join subscriptions s on s.id = t.subscription_id
join billing_periods b on b.id = t.billing_period_id
join billing_cycles y on y.id = s.cycle_id
join lateral (
  select c.id, c.starts_at, u.ends_at, c.superseded_at = '9999-12-31 00:00:00+00' and c.own_of in (0, s.id)
      and greatest(c.starts_at, s.starts_at, b.starts_at) < least(u.ends_at, s.ends_at, b.ends_at) as is_in_force
  from contract_versions c
  cross join lateral (select case c.own_of when 0 then least(c.ends_at, s.terms_from) else c.ends_at end as ends_at) u
  where c.contract_id = s.contract_id) v on true
join prices p on p.contract_version_id = v.id
join metrics m on m.id = p.metric_id
cross join lateral (select exists (
  select from rated_usages o where o.subscription_id = s.id and o.billing_period_id = b.id
    and o.contract_version_id = v.id and o.metric_id = m.id and o.dimensions = '' and o.amount <> 0) as was_rated) r
left join lateral (
  select jsonb_agg(jsonb_build_array(q.quantity::text, q.end_on - q.first_on) order by q.first_on) as parts from (
    select n.quantity,
      greatest(b.starts_on, (greatest(s.starts_at, v.starts_at) at time zone y.zone)::date, n.starts_on) as first_on,
      least(b.ends_on, (least(s.ends_at, v.ends_at) at time zone y.zone)::date, n.ends_on) as end_on
    from (select 1::numeric as quantity, b.starts_on, b.ends_on where m.property is null
      union all
      select u.quantity, u.starts_on, u.ends_on from subscription_quantities u where u.subscription_id = s.id
        and u.item = m.property and u.superseded_at = '9999-12-31 00:00:00+00') n) q
  where q.end_on > q.first_on) stood on m.aggregation = 'subscribed' and v.is_in_force
where v.is_in_force or r.was_rated or exists (select from aggregates g where g.subscription_id = s.id
  and g.billing_period_id = b.id and g.contract_version_id = v.id)
order by 1, 2
""")
#: All rows are one document: arrays of texts would be escaped character by character, and traces are full of quotes.
_SAVE = text("""
insert into rated_usages (billing_run_id, subscription_id, billing_period_id, contract_version_id, metric_id, price_id,
  dimensions, lot, revision, quantity, amount, currency, trace, is_touched)
select * from jsonb_to_recordset(cast(:rows as jsonb)) as t (billing_run_id bigint, subscription_id integer,
  billing_period_id integer, contract_version_id integer, metric_id integer, price_id integer, dimensions text,
  lot integer, revision integer, quantity numeric, amount numeric, currency text, trace jsonb, is_touched boolean)
order by 2, 3, 4, 5, 7
""")
#: One update counts all children of a draft at once; two last siblings cannot both see the other as open.
_COUNT_DOWN = text("""
with mine as (
  select i.id, count(*) as n, min(t.work_id) as work_id
  from unnest(cast(:works as bigint[]), cast(:runs as bigint[]), cast(:contracts as integer[]))
    as t (work_id, billing_run_id, contract_id)
  join invoices i on i.billing_run_id = t.billing_run_id and i.contract_id = t.contract_id group by i.id),
held as (select i.id, m.n, m.work_id from invoices i join mine m on m.id = i.id order by i.id for update of i)
update invoices i set pending = i.pending - h.n from held h where h.id = i.id returning h.work_id, i.id, i.pending
""")


def runs(conn: Connection, work_ids: Sequence[int]) -> list[Run]:
    """What the work rows, with subjects `run/<id>/subscription/<id>`, ask to rate."""
    return [Run(*row) for row in conn.execute(_RUNS, {"ids": list(work_ids)})]


def _values(runs: Sequence[Run]) -> dict[str, object]:
    return {
        "works": [run.work_id for run in runs],
        "subscriptions": [run.subscription_id for run in runs],
        "periods": [run.billing_period_id for run in runs],
        "lots": [run.lot for run in runs],
    }


def windows(conn: Connection, runs: Sequence[Run]) -> Mapping[int, list[Window]]:
    """The windows of each run by work row, over all lots up to the run's. Raises what `measures.measured` raises."""
    values = _values(runs)
    buckets.complete(conn, [run.billing_period_id for run in runs])
    used: Sequence[Row[Any]] = conn.execute(_WINDOWS, values).all()
    carried: Sequence[Row[Any]] = conn.execute(_CARRIED, values).all() if carries_over(conn) else ()
    by_work = {run.work_id: run for run in runs}
    asked = [(row, _asked(by_work[row.work_id], row)) for row in used if row.quantity is None]
    asked += [(row, _asked(by_work[row.work_id], row)) for row in carried]
    measures = dict(zip([row for row, _ in asked], measured(conn, [each for _, each in asked]), strict=True))
    found: dict[int, list[Window]] = {}
    for row in used:
        measure = measures.get(row) or of_quantity(row.quantity, row.dimensions)
        found.setdefault(row.work_id, []).append(_window(row, measure, is_touched=row.is_touched))
    for row in carried:
        found.setdefault(row.work_id, []).append(_window(row, measures[row], is_touched=False, is_carried=True))
    return found


def _window(row: Row[Any], measured: Measured, *, is_touched: bool, is_carried: bool = False) -> Window:
    return Window(
        row.contract_version_id, row.metric_id, row.name, row.dimensions, measured, is_touched, is_carried=is_carried
    )


def _asked(run: Run, row: Row[Any]) -> Asked:
    return Asked(
        run.subscription_id, run.billing_period_id, row.contract_version_id, row.metric_id, row.dimensions, run.lot
    )


def priced(conn: Connection, runs: Sequence[Run]) -> Mapping[int, list[Terms]]:
    """The prices of each run by work row. Raises `PriceInvalid` for terms that nobody should have published."""
    found: dict[int, list[Terms]] = {}
    owed = Owed(conn)
    for row in conn.execute(_PRICED, _values(runs)).all():
        stood = shares_of(row.period_days, row.parts or ()) if row.is_subscribed else None
        served = (row.service_end_on - row.service_from).days if row.is_in_force else 0
        days, price = (max(served, 0), row.period_days), _price(row.terms)
        committed = owed.of(row) if served > 0 and commits_buckets(price) else frozenset[datetime]()
        terms = Terms(row[1], row[2], row[3], price, row.is_in_force, row.was_rated, days, stood, committed)
        found.setdefault(row.work_id, []).append(terms)
    return found


@dataclass(slots=True)
class Owed:
    """Which time buckets are committed to in the days that a price is in force for; a period's are read once."""

    conn: Connection
    _buckets: dict[tuple[int, str], tuple[Stretch, ...]] = field(default_factory=dict)

    def of(self, row: Row[Any]) -> frozenset[datetime]:
        """The starts of the buckets of a row of `_PRICED`; none for a metric without."""
        if row.bucket is None:
            return frozenset()
        key = row.billing_period_id, row.bucket
        if key not in self._buckets:
            self._buckets[key] = buckets.of_period(self.conn, *key)
        first_at, end_at = first_instant(row.service_from, row.zone), first_instant(row.service_end_on, row.zone)
        return owed_in(self._buckets[key], Stretch(first_at, end_at))


@lru_cache(_PRICES_CACHED)
def _price(terms: str) -> Price:
    """The price of terms as the database prints them: many contracts have the same."""
    return parse_price(_decode(terms))


def save(conn: Connection, rated: Sequence[Rated]) -> None:
    """Insert the rated usage with its trace; the revision is one, since a lot is sealed and rated once."""
    rows = [
        {
            "billing_run_id": each.run.billing_run_id,
            "subscription_id": each.run.subscription_id,
            "billing_period_id": each.run.billing_period_id,
            "contract_version_id": each.contract_version_id,
            "metric_id": each.metric_id,
            "price_id": each.price_id,
            "dimensions": each.dimensions,
            "lot": each.run.lot,
            "revision": 1,
            "quantity": each.usage.quantity,
            "amount": each.usage.amount.amount,
            "currency": each.run.currency,
            "trace": [step.to_json() for step in each.usage.steps],
            "is_touched": each.is_touched,
        }
        for each in rated
    ]
    conn.execute(_SAVE, {"rows": _encode(rows).decode()})


def count_down(conn: Connection, ready: Sequence[Ready], runs: Sequence[Run]) -> list[tuple[Ready, int]]:
    """Count these children off their drafts: (a row, draft) for each draft that waits for no other any more."""
    found = conn.execute(
        _COUNT_DOWN,
        {
            "works": [run.work_id for run in runs],
            "runs": [run.billing_run_id for run in runs],
            "contracts": [run.contract_id for run in runs],
        },
    )
    rows = {each.id: each for each in ready}
    return [(rows[work_id], invoice_id) for work_id, invoice_id, pending in found if pending == 0]
