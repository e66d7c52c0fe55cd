"""The full recompute: every window again from its attributions, compared with what was added up batch by batch."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

DIFFERENCES_MAX = 100

_LOT = """coalesce((select min(l.lot) from lots l where l.billing_period_id = a.billing_period_id
  and l.sealed_no >= b.aggregated_no), p.lot)"""
#: Of one period, or of all.
_MEANT = "(cast(:period as integer) is null or {0}.billing_period_id = :period)"
_GRAIN = "coalesce(a.grain_start, p.starts_at) as grain_start"
_KEY = "subscription_id, billing_period_id, metric_id, contract_version_id, lot, grain_start, dimensions"
_WINDOWS = text(f"""
with found as (
  select a.subscription_id, a.billing_period_id, a.metric_id, a.contract_version_id, {_LOT} as lot, {_GRAIN},
    a.dimensions, sum(a.sign * a.quantity) as quantity, sum(a.sign) as events
  from attributions a join batches b on b.id = a.batch_no and b.aggregated_no is not null
  join billing_periods p on p.id = a.billing_period_id where {_MEANT.format("a")}
  group by 1, 2, 3, 4, 5, 6, 7),
kept as (select * from aggregates g where {_MEANT.format("g")})
select concat_ws('/', {_KEY}), concat_ws(' / ', f.events, trim_scale(f.quantity)),
  concat_ws(' / ', g.events, trim_scale(g.quantity))
from found f full join kept g using ({_KEY})
where (f.events, f.quantity) is distinct from (g.events, g.quantity) and coalesce(f.events, 0) + coalesce(g.events,
  0) <> 0
order by 1 limit :limit
""")
_VALUES = text(f"""
with found as (
  select a.subscription_id, a.billing_period_id, a.metric_id, a.contract_version_id, {_LOT} as lot, {_GRAIN},
    a.dimensions, a.value, sum(a.sign) as n
  from attributions a join batches b on b.id = a.batch_no and b.aggregated_no is not null
  join billing_periods p on p.id = a.billing_period_id where a.value is not null and {_MEANT.format("a")}
  group by 1, 2, 3, 4, 5, 6, 7, 8
  having sum(a.sign) <> 0),
kept as (select {_KEY}, v.value, v.n from aggregate_values v join aggregates g on g.id = v.aggregate_id
  where v.n <> 0 and {_MEANT.format("g")})
select concat_ws('/', {_KEY}, value), f.n::text, k.n::text from found f full join kept k using ({_KEY}, value)
where f.n is distinct from k.n order by 1 limit :limit
""")


@dataclass(frozen=True, slots=True)
class Drift:
    """A window, or a value in it, whose sum is not that of its attributions."""

    window: str
    expected: str | None
    found: str | None


def drifts(conn: Connection, period_id: int | None = None) -> list[Drift]:
    """Windows, of one period or of all, that differ from a full recompute; empty if all is well.

    `conn` must be a snapshot.
    """
    values = {"limit": DIFFERENCES_MAX, "period": period_id}
    return [Drift(*row) for each in (_WINDOWS, _VALUES) for row in conn.execute(each, values)]
