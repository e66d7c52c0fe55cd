"""What became of usage, as SQL that others build on: which document holds it, and where it stands still."""

from typing import Final

#: Common table expressions. `spans`: the line of a document that is not void holds what was aggregated after the lot of
#: the line before it, up to its own; its fate is the document's. `stuck`: subscriptions whose rating or draft is dead,
#: up to which lot of the period. `lost`: batches that could not be added to their windows. `sealed`: each lot with the
#: aggregated numbers that belong to it.
FATES: Final = """
dead as materialized (select step, subject, close_id from work where state = 'dead'),
halted as materialized (
  select subject from dead where step = 'post'
  union select subject from exceptions where state = 'open' and code = 'period_closed' and step = 'post'),
spans as materialized (
  select r.subscription_id, r.billing_period_id, r.metric_id, r.contract_version_id, r.dimensions, r.lot,
    coalesce(lag(r.lot) over (partition by r.subscription_id, r.billing_period_id, r.metric_id, r.contract_version_id,
      r.dimensions order by r.lot), 0) as after_lot,
    case when p.state = 'confirmed' then 'billed' when h.subject is not null then 'excepted'
      else 'in_flight' end as fate
  from rated_usages r join invoice_lines l on l.rated_usage_id = r.id
  join invoices i on i.id = l.invoice_id and i.state <> 'void'
  left join erp_postings p on p.invoice_id = i.id and p.state <> 'superseded'
  left join halted h on h.subject = 'erp_posting/' || p.id),
stuck as materialized (
  select subscription_id, billing_period_id, max(lot) as lot, bool_or(is_unrated) as is_unrated from (
    select cast(substring(d.subject from '^run/[0-9]+/subscription/([0-9]{1,9})$') as integer) as subscription_id,
      r.billing_period_id, r.lot, true as is_unrated
    from dead d join billing_runs r on r.id = d.close_id where d.step = 'rate'
    union all
    select s.id, r.billing_period_id, r.lot, false from dead d
    join invoices i on i.id = cast(substring(d.subject from '^invoice/([0-9]{1,18})$') as bigint)
    join billing_runs r on r.id = i.billing_run_id join subscriptions s on s.contract_id = i.contract_id
    where d.step = 'tax') t group by 1, 2),
lost as materialized (
  select cast(substring(subject from '^batch/([0-9]{1,18})$') as bigint) as batch_no from dead
  where step = 'aggregate'),
sealed as materialized (
  select billing_period_id, lot, sealed_no,
    coalesce(lag(sealed_no) over (partition by billing_period_id order by lot), 0) as after_no from lots)"""

#: The fate of an attribution `a` of batch `b`, beside the joins that it needs.
FATE_OF: Final = """coalesce(n.fate, case when (b.aggregated_no is null and x.batch_no is not null) or k.lot >= o.lot
  then 'excepted' else 'in_flight' end)"""
JOINS: Final = """
left join lost x on x.batch_no = b.id
left join sealed o on o.billing_period_id = a.billing_period_id and b.aggregated_no > o.after_no
  and b.aggregated_no <= o.sealed_no
left join spans n on n.subscription_id = a.subscription_id and n.billing_period_id = a.billing_period_id
  and n.metric_id = a.metric_id and n.contract_version_id = a.contract_version_id and n.dimensions = a.dimensions
  and o.lot > n.after_lot and o.lot <= n.lot
left join stuck k on k.subscription_id = a.subscription_id and k.billing_period_id = a.billing_period_id"""
