"""Aggregates: each batch added to its windows once, in the transaction that marks the work done."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from workers.store.measures import CARRYING_VERSION, carries_over
from workers.store.totals import signed_hash

_NUMBER = text("""
update batches b set aggregated_no = n.no, aggregated_at = now()
from (select id, nextval('aggregated_numbers') as no from (
        select id from batches where id = any(cast(:batches as bigint[]))
          and aggregated_no is null order by id for update) s) n
where b.id = n.id returning b.id
""")

_KEY = "subscription_id, billing_period_id, metric_id, contract_version_id, lot, grain_start, dimensions"
#: The usage of the batches, with the window of each.
_BATCH = """
  select a.subscription_id, a.billing_period_id, a.metric_id, a.contract_version_id, p.lot,
    coalesce(a.grain_start, p.starts_at) as grain_start, a.dimensions, a.sign, a.quantity, a.value
  from attributions a join billing_periods p on p.id = a.billing_period_id
  where a.batch_no = any(cast(:batches as bigint[]))"""
#: Later periods that were frozen already and count what came before: their windows are touched, so that they are billed
#: again, under the version that is billed for what carries over.
_LATER = f"""
  union all
  select distinct b.subscription_id, q.id, b.metric_id, {CARRYING_VERSION.format(period="q", metric="b.metric_id")},
    q.lot, q.starts_at, b.dimensions, 0, 0, cast(null as text)
  from batch b join metrics m on m.id = b.metric_id and m.is_recurring
  join billing_periods o on o.id = b.billing_period_id
  join billing_periods q on q.cycle_id = o.cycle_id and q.starts_at >= o.ends_at and q.lot > 1
  join subscriptions s on s.id = b.subscription_id and s.starts_at < q.ends_at and s.ends_at > q.starts_at
  where {CARRYING_VERSION.format(period="q", metric="b.metric_id")} is not null"""
#: Additions in order of the unique key: unordered upserts of several workers deadlock and stall. The values join what
#: the upsert returned, so neither plan nor cost depends on how many windows there are.
_ADD = f"""
with batch as materialized ({_BATCH}),
added as (
  insert into aggregates ({_KEY}, quantity, events)
  select {_KEY}, sum(sign * quantity), sum(sign) from (select * from batch {{later}}) t group by {_KEY} order by {_KEY}
  on conflict ({_KEY}) do update set quantity = aggregates.quantity + excluded.quantity,
    events = aggregates.events + excluded.events, revision = aggregates.revision + 1, updated_at = now()
  returning id, {_KEY}),
valued as (
  insert into aggregate_values (aggregate_id, value, n)
  select d.id, b.value, sum(b.sign) from batch b join added d using ({_KEY}) where b.value is not null
  group by 1, 2 order by 1, 2
  on conflict (aggregate_id, value) do update set n = aggregate_values.n + excluded.n)
select distinct d.subscription_id, d.billing_period_id, d.contract_version_id, f.id as feature_id
from added d join features f on f.metric_id = d.metric_id
"""
_ADD_WITHIN = text(_ADD.format(later=""))
_ADD_CARRYING = text(_ADD.format(later=_LATER))
#: A value whose additions and removals cancel does not exist.
_CANCELLED = text(f"""
delete from aggregate_values v using (
  select distinct g.id, b.value from ({_BATCH} and a.sign < 0 and a.value is not null) b
  join aggregates g using ({_KEY})) gone
where v.aggregate_id = gone.id and v.value = gone.value and v.n = 0
""")
_TOTALS = text(f"""
insert into control_totals (hop, source_id, metric_id, hour, events, quantity, hash)
select 'aggregated', source_id, metric_id, hour, sum(sign), sum(sign * quantity), {signed_hash("sign", "event_no")}
from attributions where batch_no = any(cast(:batches as bigint[])) group by source_id, metric_id, hour
""")


@dataclass(frozen=True, slots=True)
class Moved:
    """Usage of a billing period, under one contract version, that a feature may limit."""

    subscription_id: int
    billing_period_id: int
    contract_version_id: int
    feature_id: int


@dataclass(frozen=True, slots=True)
class Added:
    """Which batches were added, and the usage of theirs under metrics that a feature limits."""

    batches: Sequence[int] = ()
    moved: Sequence[Moved] = ()


def aggregate(conn: Connection, batches: Sequence[int]) -> Added:
    """Add the batches that are not in any window yet to the open lots of their periods.

    The fence is shared by the caller, so no lot is sealed and no period frozen meanwhile.
    """
    fresh = sorted(conn.execute(_NUMBER, {"batches": list(batches)}).scalars())
    if not fresh:
        return Added()
    values = {"batches": fresh}
    # The planner knows no sizes of what a statement has just made and would join every row with every window.
    conn.execute(text("set local enable_nestloop = off"))
    found = conn.execute(_ADD_CARRYING if carries_over(conn) else _ADD_WITHIN, values)
    moved = [Moved(*row) for row in found]
    conn.execute(_CANCELLED, values)
    conn.execute(text("set local enable_nestloop = on"))
    conn.execute(_TOTALS, values)
    return Added(fresh, moved)
