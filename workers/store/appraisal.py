"""Appraisal: what each open exception holds up, estimated set by set and kept with it; never booked.

Usage is priced at the price in force, on top of what its window holds: in a graduated price it counts as the units that
come last. The amount of a bundle, which is what would be priced together, is spread over its exceptions by quantity.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, text

from domain.errors import Rejection
from domain.metrics import Metric, Span
from domain.periods import BillingPeriod, Days, Window
from domain.prices import moved_by, parse_price
from domain.rating import moved
from workers.store import measures
from workers.store.exception_keys import DOCUMENT_BASIS, DOCUMENT_WORTH
from workers.store.measures import Asked, Held

#: Exceptions that are priced in one transaction, and causes that they are of: all of a cause is read for each portion.
ROWS_MAX = 20_000
CAUSES_MAX = 50
#: Every lot of a period.
LOT_MAX: Final = 2**31 - 1
#: Portions of one look.
PORTIONS_MAX = 50

#: One appraisal at a time; the lock is free when the portion commits.
_ALONE = text("select pg_advisory_xact_lock(7201, 5)")
#: Of the master data's terms; what was priced under an older one is priced again.
_REVISION = text("select coalesce((select revision from appraisals), 1)")
_STALE = "x.state = 'open' and not x.is_priced_at_opening and x.priced_revision < :revision"
#: The causes of what is to be priced: all that a bundle holds has the same cause.
_CAUSES = text(f"""
select distinct code, cause from (select x.code, x.cause from exceptions x where {_STALE}
  order by x.priced_revision, x.id limit :rows) t order by 1, 2 limit :causes
""")

_IN_FORCE = "superseded_at = '9999-12-31 00:00:00+00'"
#: The usage in exception of these causes, with its price and the bundle that it would be priced with. Without a price
#: in force it takes the usual one: the terms that most contracts in force have for the metric, of two the newest.
_USAGE = f"""
with held as (
  select x.id, x.priced_revision, x.money_at_risk, x.currency, x.basis, x.quantity, x.value, x.metric_id, m.aggregation,
    m.aggregation in ('count', 'sum') and not m.is_prorated as is_added, m.is_plain, x.happened_at,
    s.id as subscription_id, b.id as billing_period_id, v.id as contract_version_id,
    coalesce(x.dimensions, '') as dimensions, p.id as price_id, case when p.id is null then
        concat_ws('/', 'usual', x.metric_id, x.source_id, date_trunc('month', x.happened_at), x.subject)
      else concat_ws('/', 'window', s.id, b.id, x.metric_id, v.id, coalesce(x.dimensions, '')) end as bundle
  from exceptions x
  join unnest(cast(:codes as text[]), cast(:causes as text[])) as t (code, cause)
    on t.code = x.code and t.cause = x.cause
  join metrics m on m.id = x.metric_id
  left join mappings g on g.source_id = x.source_id and g.subject = x.subject and g.{_IN_FORCE}
    and x.happened_at >= g.starts_at and x.happened_at < g.ends_at
  left join subscriptions s on s.id = g.subscription_id and x.happened_at >= s.starts_at and x.happened_at < s.ends_at
  left join contract_versions v on v.contract_id = s.contract_id and v.{_IN_FORCE}
    and v.own_of = case when x.happened_at < s.terms_from then 0 else s.id end
    and x.happened_at >= v.starts_at and x.happened_at < v.ends_at
  left join billing_periods b on b.cycle_id = s.cycle_id and x.happened_at >= b.starts_at and x.happened_at < b.ends_at
  left join prices p on p.contract_version_id = v.id and p.metric_id = x.metric_id
  where x.state = 'open' and x.step = 'enrich' and not x.is_priced_at_opening),
counted as (
  select h.*, case
    when not h.is_plain then case when h.is_added or h.value is not null then h.quantity end
    when h.aggregation <> 'unique_count' then h.quantity
    when row_number() over (partition by h.bundle, coalesce(h.value, h.id::text) order by h.id) > 1 then 0
    when h.price_id is not null and exists (
      select from aggregates a join aggregate_values u on u.aggregate_id = a.id
      where a.subscription_id = h.subscription_id and a.billing_period_id = h.billing_period_id
        and a.metric_id = h.metric_id and a.contract_version_id = h.contract_version_id
        and a.dimensions = h.dimensions and u.value = h.value group by u.value having sum(u.n) > 0) then 0
    else h.quantity end as units
  from held h)
"""
_BUNDLES = text(f"""{_USAGE},
bundles as (
  select bundle, sum(units) as units, min(price_id) as price_id, min(metric_id) as metric_id, min(aggregation)
    as aggregation, min(subscription_id) as subscription_id, min(billing_period_id) as billing_period_id,
    min(contract_version_id) as contract_version_id, min(dimensions) as dimensions, bool_and(is_plain) as is_plain,
    date_trunc('month', min(happened_at)) as month,
    date_trunc('month', min(happened_at)) + interval '1 month' as month_end
  from counted where units is not null group by bundle),
usual as (
  select distinct on (metric_id) metric_id, terms, currency from (
    select p.metric_id, p.terms, c.currency, count(distinct c.id) as contracts, max(p.id) as newest
    from prices p join contract_versions v on v.id = p.contract_version_id and v.{_IN_FORCE}
      and v.starts_at <= now() and v.ends_at > now() join contracts c on c.id = v.contract_id
    where p.metric_id in (select metric_id from bundles where price_id is null) group by 1, 2, 3) t
  order by metric_id, contracts desc, newest desc)
select b.bundle, b.units, coalesce(p.terms, u.terms) as terms, coalesce(c.currency, u.currency) as currency,
  case when p.id is null then 'usual_price' else 'price_in_force' end as basis, b.metric_id, b.subscription_id,
  b.billing_period_id, b.contract_version_id, b.dimensions, b.month, b.month_end,
  p.id is not null and b.billing_period_id is not null as is_window,
  coalesce(case when not b.is_plain then null
    when b.aggregation = 'unique_count' then (select count(*) from (
      select n.value from aggregates a join aggregate_values n on n.aggregate_id = a.id
      where a.subscription_id = b.subscription_id and a.billing_period_id = b.billing_period_id
        and a.metric_id = b.metric_id and a.contract_version_id = b.contract_version_id and a.dimensions = b.dimensions
      group by n.value having sum(n.n) > 0) d)
    else (select sum(a.quantity) from aggregates a
      where a.subscription_id = b.subscription_id and a.billing_period_id = b.billing_period_id
        and a.metric_id = b.metric_id and a.contract_version_id = b.contract_version_id and a.dimensions = b.dimensions)
    end, 0) as so_far, b.is_plain
from bundles b left join prices p on p.id = b.price_id
left join contract_versions v on v.id = p.contract_version_id left join contracts c on c.id = v.contract_id
left join usual u on u.metric_id = b.metric_id
""")
#: What the usage of bundles that are measured would add to their windows.
_MORE = text(f"""{_USAGE}
select bundle, case when not is_added then value end as value, sum(units) as number
from counted where not is_plain and units is not null group by 1, 2
""")
#: Shares are differences of running totals, so that they sum to the amount exactly. Rows whose money only shifts come
#: before those that were stale: while one of these is left, the bundle is looked at again.
_SPREAD = text(f"""{_USAGE},
shares as (
  select c.id, c.priced_revision < :revision as is_stale, c.money_at_risk, c.currency as old_currency, c.basis
    as old_basis, p.currency, p.basis, case when c.units is null or p.amount is null then null when p.units = 0 then 0
    else trim_scale(round(p.amount * sum(c.units) over upto / p.units, 12)
      - round(p.amount * (sum(c.units) over upto - c.units) / p.units, 12)) end as share
  from counted c
  left join unnest(cast(:bundles as text[]), cast(:amounts as numeric[]), cast(:units as numeric[]),
    cast(:currencies as text[]), cast(:bases as text[])) as p (bundle, amount, units, currency, basis) using (bundle)
  window upto as (partition by bundle order by c.id)),
wanted as (
  select id, share, case when share is not null then currency end as currency,
    case when share is not null then basis end as basis, is_stale
  from shares where is_stale or (money_at_risk, old_currency, old_basis) is distinct from (share,
    case when share is not null then currency end, case when share is not null then basis end)
  order by is_stale, id limit :rows),
locked as (select x.id from exceptions x where x.id in (select id from wanted) and x.state = 'open'
  order by x.id for update of x skip locked)
update exceptions x set money_at_risk = w.share, currency = w.currency, basis = w.basis, priced_at = now(),
  priced_revision = :revision
from wanted w join locked l on l.id = w.id where x.id = w.id returning x.id
""")
#: What is no usage: worth its document if it has one, and else of unknown worth.
_OTHERS = text(f"""
with locked as (
  select x.id from exceptions x
  join unnest(cast(:codes as text[]), cast(:causes as text[])) as t (code, cause)
    on t.code = x.code and t.cause = x.cause
  where {_STALE} and not (x.step = 'enrich' and x.metric_id <> 0) order by x.id limit :rows for update of x skip locked)
update exceptions x set money_at_risk = d.amount, currency = case when d.amount is not null then d.currency end,
  basis = case when d.amount is not null then d.basis end, priced_at = now(), priced_revision = :revision
from locked l join exceptions y on y.id = l.id left join lateral (
  select {DOCUMENT_WORTH} as amount, i.currency, {DOCUMENT_BASIS} as basis from invoices i where i.id = y.invoice_id) d
  on true
where x.id = l.id returning x.id
""")


def appraise(conn: Connection) -> int:
    """Price one portion of the open exceptions that were not priced yet or under other terms; how many were."""
    conn.execute(_ALONE)
    revision = int(conn.execute(_REVISION).scalar_one())
    stale = conn.execute(_CAUSES, {"revision": revision, "rows": ROWS_MAX, "causes": CAUSES_MAX}).all()
    if not stale:
        return 0
    values: dict[str, object] = {
        "codes": [row.code for row in stale],
        "causes": [row.cause for row in stale],
        "revision": revision,
        "rows": ROWS_MAX,
    }
    bundles = conn.execute(_BUNDLES, values).all()
    spread = {
        "bundles": [row.bundle for row in bundles],
        "amounts": _amounts(conn, bundles, values),
        "units": [row.units for row in bundles],
        "currencies": [row.currency for row in bundles],
        "bases": [row.basis for row in bundles],
    }
    priced: Sequence[Any] = conn.execute(_SPREAD, {**values, **spread}).all()
    others: Sequence[Any] = conn.execute(_OTHERS, values).all()
    return len(priced) + len(others)


def settle(engine: Engine) -> None:
    """Price what is to be priced, portion by portion, at most `PORTIONS_MAX`; the next look goes on."""
    for _portion in range(PORTIONS_MAX):
        with engine.begin() as conn:
            if not appraise(conn):
                return


def _amounts(conn: Connection, bundles: Sequence[Row[Any]], values: Mapping[str, object]) -> list[Decimal | None]:
    """By how much each bundle moves the price of what is there; None without a price, or where it refuses that."""
    measured = [row for row in bundles if not row.is_plain and row.terms is not None]
    more: dict[str, list[Row[Any]]] = {}
    for row in conn.execute(_MORE, values) if measured else ():
        more.setdefault(row.bundle, []).append(row)
    moves = dict(zip([row.bundle for row in measured], _moves(conn, measured, more), strict=True))
    return [moves[row.bundle] if row.bundle in moves else _amount(row.terms, row) for row in bundles]


def _moves(
    conn: Connection, bundles: Sequence[Row[Any]], more: Mapping[str, Sequence[Row[Any]]]
) -> Iterator[Decimal | None]:
    """As `_amount`, of what is not simply added: measured without the usage and with it, in a bucket of its own."""
    by_id = measures.metrics(conn, [row.metric_id for row in bundles])
    windows = [row for row in bundles if row.is_window]
    held = measures.held_in_portions(conn, [_asked(row) for row in windows])
    by_bundle = dict(zip([row.bundle for row in windows], held, strict=True))
    for row in bundles:
        days = Days(row.month.date(), row.month_end.date())
        nothing = Held(Span.whole(BillingPeriod("UTC", days, Window(row.month, row.month_end))))
        yield _moved(row, by_bundle.get(row.bundle, nothing), by_id[row.metric_id], more[row.bundle])


def _asked(row: Row[Any]) -> Asked:
    return Asked(
        row.subscription_id, row.billing_period_id, row.contract_version_id, row.metric_id, row.dimensions, LOT_MAX
    )


def _moved(row: Row[Any], held: Held | None, metric: Metric, more: Sequence[Row[Any]]) -> Decimal | None:
    if held is None:
        return None
    try:
        before = held.measured(metric, row.dimensions)
        for each in more:
            held.add(None, each.value, each.number)
        return moved(parse_price(row.terms), before, held.measured(metric, row.dimensions))
    except Rejection:
        return None


def _amount(terms: Mapping[str, Any] | None, bundle: Row[Any]) -> Decimal | None:
    """By how much the units move the price of what is there.

    None without a price, or where it refuses the quantity or needs more of the usage than that.
    """
    if terms is None:
        return None
    held, dimensions = Decimal(bundle.so_far), measures.dimensions_of(bundle.dimensions) if bundle.is_window else None
    try:
        return moved_by(parse_price(terms), Decimal(bundle.units), held=held, dimensions=dimensions)
    except Rejection:
        return None


def expire(conn: Connection) -> None:
    """Let all open exceptions be priced again, as after a change of terms."""
    conn.execute(
        text("""insert into appraisals as a (revision) values (2) on conflict (is_only) do update
             set revision = a.revision + 1, changed_in = pg_current_xact_id()""")
    )
