"""Attributions: which subscription, metric and period each usage belongs to, decided in one statement per batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from queues.exceptions import REOPEN
from workers.store.events import POSITION_BITS
from workers.store.observed import IS_INVALID, KEY_TEXT, QUANTITY, TAKES, VALUE
from workers.store.rules import sql_of_rules
from workers.store.totals import HASH

#: Parked usage looked at in one transaction; the rest follows as the next revision of the same work.
PARKED_MAX = 5_000

_FROM_RECEIPTS = f"""
  select e.*, c.batch_no, cast(null as integer) as only_metric, cast(null as bigint) as exception_id
  from unnest(cast(:receipts as bigint[]), cast(:batches as bigint[]), cast(:firsts as timestamptz[]),
      cast(:lasts as timestamptz[])) as c (receipt_id, batch_no, first_at, last_at)
  join usage_events e on e.event_no >= c.receipt_id << {POSITION_BITS}
    and e.event_no < (c.receipt_id + 1) << {POSITION_BITS} and e.happened_at between c.first_at and c.last_at
"""
#: An accepted event `e` as the usage of the metric `{metric}` sees it: with the amended data where there are any.
AMENDED = """e.event_no, e.key16, e.source_id, e.meter_id, e.meter_version_id, e.happened_at, e.event_id, e.subject,
  coalesce((select a.data from amendments a where a.event_no = e.event_no and a.metric_id = {metric}
    order by a.id desc limit 1), e.data) as data"""
_FROM_PARKED = f"""
  select {AMENDED.format(metric="x.metric_id")}, cast(:batch as bigint) as batch_no,
    nullif(x.metric_id, 0) as only_metric, x.id as exception_id
  from (select id, event_no, happened_at, metric_id from exceptions
        where state = 'open' and step = 'enrich' and id = any(cast(:exceptions as bigint[]))) x
  join usage_events e on e.event_no = x.event_no and e.happened_at = x.happened_at
"""
#: Held until the decision is written: nobody dismisses meanwhile what is about to be billed.
_HOLD = """select id from exceptions
  where state = 'open' and step = 'enrich' and id = any(cast(:exceptions as bigint[])) order by id for no key update"""
#: A subject may be long; a key of work may not. `waits_key` below and `mapping_key` spell it alike.
MAPPING_KEY = (
    """p.source_id || '/' || case when length(p.subject) <= 120 then p.subject else 'md5-' || md5(p.subject) end"""
)

_LACKS = """(m.property is not null and p.data ->> m.property is null) or (cardinality(m.also_needed) > 0
        and exists (select from unnest(m.also_needed) q where p.data ->> q is null))"""
USAGE = f"""
with picked as ({{picked}}),
usage as materialized (
  select p.event_no, p.key16, p.source_id, p.meter_id, p.event_id, p.subject, p.happened_at, p.batch_no, p.exception_id,
    date_trunc('hour', p.happened_at) as hour, coalesce(m.id, 0) as metric_id,
    {QUANTITY} as quantity, {VALUE} as value,
    case when cardinality(m.dimensions) = 0 or m.id is null then '' else
      (select {KEY_TEXT.format("w")} from
        (select jsonb_object_agg(d, p.data -> d)::text from unnest(m.dimensions) d) k (w)) end as dimensions,
    g.id as mapping_id, s.id as subscription_id, s.cycle_id, s.contract_id, v.id as contract_version_id,
    b.id as billing_period_id,
    case when {_LACKS} then (select string_agg(distinct q, ', ') from unnest(m.also_needed || m.property) q
      where p.data ->> q is null) end as lacks, k.grain_start,
    s.id is not null and (b.id is null or (m.bucket is not null and k.grain_start is null)) as is_period_missing,
    r.rule_id, w.waits_kind, w.waits_key,
    case when r.rule_id is not null then 'excluded'
      when m.id is null then case when exists (select from metrics f where f.meter_id = p.meter_id) then 'excluded'
        else 'metric_not_found' end
      when p.only_metric is not null and not ({TAKES}) then 'excluded'
      when {_LACKS} then 'quantity_missing'
      when {IS_INVALID} then 'quantity_invalid'
      when s.id is null then 'subscription_not_found'
      when v.id is null then 'contract_not_in_force'
      else 'billable' end as outcome
  from picked p
  left join metrics m on m.meter_id = p.meter_id
    and case when p.only_metric is null then {TAKES} else m.id = p.only_metric end
  left join mappings g on g.source_id = p.source_id and g.subject = p.subject
    and g.superseded_at = '9999-12-31 00:00:00+00'
    and p.happened_at >= g.starts_at and p.happened_at < g.ends_at
  left join subscriptions s on s.id = g.subscription_id and p.happened_at >= s.starts_at and p.happened_at < s.ends_at
  left join contract_versions v on v.contract_id = s.contract_id
    and v.own_of = case when p.happened_at < s.terms_from then 0 else s.id end
    and v.superseded_at = '9999-12-31 00:00:00+00' and p.happened_at >= v.starts_at and p.happened_at < v.ends_at
  left join billing_periods b on b.cycle_id = s.cycle_id and p.happened_at >= b.starts_at and p.happened_at < b.ends_at
  cross join lateral (select {{rules}} as rule_id) r
  cross join lateral (select case when m.bucket is not null then (
    select q.starts_at from buckets q where q.cycle_id = s.cycle_id and q.bucket = m.bucket
      and q.starts_at <= p.happened_at and q.ends_at > p.happened_at
    order by q.starts_at desc limit 1) end as grain_start) k
  cross join lateral (select
    case when m.id is null then 'metric' when s.id is null then 'mapping' when v.id is null then 'contract' end
      as waits_kind,
    case when m.id is null then p.meter_id::text when s.id is null then {{mapping_key}}
      when v.id is null then s.contract_id::text end as waits_key) w
)"""

#: What is neither billable nor excluded becomes exceptions, a repeat is counted; few rows, so parties are looked up.
EXCEPTED = f"""
  insert into exceptions (step, code, key16, hash, metric_id, receipt_id, position, event_no, source_id, event_id,
    subject, happened_at, billing_period_id, quantity, value, dimensions, meter_id, subscription_id, contract_id,
    account_id, legal_entity_id, waits_kind, waits_key, sentence, correlation_id)
  select 'enrich', outcome, key16, cast('' as bytea), metric_id, event_no >> {POSITION_BITS},
    event_no & {(1 << POSITION_BITS) - 1}, event_no, source_id, event_id, subject, happened_at, billing_period_id,
    quantity, value, dimensions, meter_id, subscription_id, contract_id,
    (select c.account_id from contracts c where c.id = contract_id),
    (select c.legal_entity_id from contracts c where c.id = contract_id),
    case when outcome not like 'quantity_%' then waits_kind end,
    case when outcome not like 'quantity_%' then waits_key end, {{sentence}},
    'receipt/' || (event_no >> {POSITION_BITS})
  from {{rows}} where outcome not in ('billable', 'excluded') order by 1, 2, 3, 4, 5
  on conflict (step, code, key16, hash, metric_id) do update set {REOPEN}, subscription_id = excluded.subscription_id,
    contract_id = excluded.contract_id, account_id = excluded.account_id, legal_entity_id = excluded.legal_entity_id,
    billing_period_id = excluded.billing_period_id
"""
_SENTENCE = """case outcome when 'quantity_missing' then 'the event lacks what the metric counts: ' || lacks
      when 'quantity_invalid' then 'an operation is neither add nor remove, or a reset neither true nor false'
      when 'subscription_not_found' then 'no mapping leads from this source and subject to a subscription in force'
      when 'contract_not_in_force' then 'no version of the contract is in force at the time of the event'
      else 'the meter has no metric and no rule excludes it' end"""

#: Usage that was attributed and taken back before it was parked is attributed anew, never a second time as before.
NEXT_GENERATION = """select coalesce(max(a.generation), 0) + 1 from attributions a
    where a.event_no = usage.event_no and a.metric_id = usage.metric_id"""
_FATES = f"""
, billable as (
  insert into attributions (event_no, metric_id, subscription_id, contract_version_id, billing_period_id, source_id,
    mapping_id, batch_no, hour, quantity, value, dimensions, grain_start, generation)
  select event_no, metric_id, subscription_id, contract_version_id, billing_period_id, source_id, mapping_id, batch_no,
    hour, quantity, value, dimensions, grain_start, case when exception_id is null then 1 else ({NEXT_GENERATION}) end
  from usage where outcome = 'billable' and not is_period_missing order by event_no, metric_id, subscription_id),
excluded as (
  insert into exclusions (event_no, metric_id, rule_id, source_id, batch_no, hour, quantity)
  select event_no, metric_id, rule_id, source_id, batch_no, hour, coalesce(quantity, 0)
  from usage where outcome = 'excluded' order by event_no, metric_id),
healed as (
  update exceptions x set state = 'resolved', closed_at = now(), closed_by = 'tallyline',
    reason = 'healed: ' || u.outcome
  from (select distinct exception_id, outcome from usage where exception_id is not null) u
  where x.id = u.exception_id and x.code <> u.outcome),
excepted as ({EXCEPTED.format(rows="usage", sentence=_SENTENCE)}),
sums as materialized (
  select outcome, source_id, metric_id, hour, count(*) as events, sum(coalesce(quantity, 0)) as quantity,
    sum({HASH.format("event_no")}) as hash, count(*) filter (where is_period_missing) as periods_missing
  from usage group by outcome, source_id, metric_id, hour),
totals as (
  insert into control_totals (hop, source_id, metric_id, hour, events, quantity, hash)
  select hop, source_id, metric_id, hour, sum(events), sum(quantity), sum(hash) from (
    select hop, source_id, metric_id, hour, events, quantity, hash
    from sums cross join lateral (values ('attributed'),
      (case when outcome in ('billable', 'excluded') then outcome else 'excepted' end)) h (hop)
    union all
    select hop, u.source_id, x.metric_id, u.hour, -1, -coalesce(x.quantity, 0), -{HASH.format("x.event_no")}::numeric
    from (select distinct exception_id, source_id, hour from usage where exception_id is not null) u
    join exceptions x on x.id = u.exception_id cross join (values ('attributed'), ('excepted')) h (hop)
  ) t group by 1, 2, 3, 4)
select outcome, cast(sum(events) as bigint) as usages, cast(sum(periods_missing) as bigint) as periods_missing
  from sums group by outcome
"""

_PERIODS = """ select cycle_id, min(happened_at) as first_at, max(happened_at) as last_at from usage
where is_period_missing group by cycle_id order by cycle_id"""


@dataclass(frozen=True, slots=True)
class Span:
    """A receipt to enrich: its batch, and the first and last instant of its events."""

    receipt_id: int
    batch_no: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """A billing cycle that has no period at some instant between these two."""

    cycle_id: int
    first_at: datetime
    last_at: datetime


def _of_spans(spans: Sequence[Span]) -> dict[str, object]:
    return {
        "receipts": [span.receipt_id for span in spans],
        "batches": [span.batch_no for span in spans],
        "firsts": [span.first_at for span in spans],
        "lasts": [span.last_at for span in spans],
    }


def attribute(conn: Connection, spans: Sequence[Span]) -> Mapping[str, int] | list[Gap]:
    """Decide the fate of every usage of these receipts: how many had which outcome.

    Returns the gaps instead, having written nothing, if billing periods have to be made first.
    """
    return _attribute(conn, _FROM_RECEIPTS, _of_spans(spans))


def heal(conn: Connection, exception_ids: Sequence[int], *, batch_no: int) -> Mapping[str, int] | list[Gap]:
    """Decide again what was parked and is still open; what still has the same outcome stays open."""
    held = list(conn.execute(text(_HOLD), {"exceptions": list(exception_ids)}).scalars())
    return _attribute(conn, _FROM_PARKED, {"exceptions": held, "batch": batch_no})


def _attribute(conn: Connection, picked: str, values: dict[str, Any]) -> Mapping[str, int] | list[Gap]:
    rules, rule_values = sql_of_rules(conn)
    usage = USAGE.format(picked=picked, rules=rules, mapping_key=MAPPING_KEY)
    values = {**values, **rule_values}
    attempt = conn.begin_nested()
    found = conn.execute(text(usage + _FATES), values).all()
    if any(row.periods_missing for row in found):
        attempt.rollback()
        return [Gap(*row) for row in conn.execute(text(usage + _PERIODS), values)]
    attempt.commit()
    return {row.outcome: row.usages for row in found}


def spans(conn: Connection, receipts: Sequence[tuple[int, int]]) -> list[Span]:
    """The spans of (receipt, batch) pairs; a receipt without an accepted event has none."""
    found = conn.execute(
        text("""select c.receipt_id, b.batch_no, c.happened_min, c.happened_max from receipt_counts c
             join unnest(cast(:receipts as bigint[]), cast(:batches as bigint[]))
               as b (receipt_id, batch_no) using (receipt_id)
             where c.accepted > 0 order by 1"""),
        {"receipts": [receipt for receipt, _ in receipts], "batches": [batch for _, batch in receipts]},
    )
    return [Span(*row) for row in found]


def new_batches(conn: Connection, kind: str, receipts: Sequence[int | None]) -> list[int]:
    """One new batch per receipt (or without one), in order; its number is where its attributions belong."""
    found = conn.execute(
        text("""insert into batches (kind, receipt_id) select :kind, receipt_id
             from unnest(cast(:receipts as bigint[])) with ordinality as t (receipt_id, n) order by n returning id"""),
        {"kind": kind, "receipts": list(receipts)},
    )
    return sorted(found.scalars())


def parked(conn: Connection, waits_kind: str, waits_key: str) -> list[int]:
    """Open exceptions of enrich that wait for this key, oldest first, at most `PARKED_MAX`."""
    found = conn.execute(
        text("""select id from exceptions where state = 'open' and step = 'enrich' and waits_kind = :kind
             and waits_key = :key order by id limit :limit"""),
        {"kind": waits_kind, "key": waits_key, "limit": PARKED_MAX},
    )
    return list(found.scalars())
