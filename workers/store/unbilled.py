"""Subscriptions of a billing period that have no document, each with what explains it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from domain.unbilled import Reason, Usage, reason_of

#: Subscriptions that are listed; the counts by reason are of all of them.
LISTED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Unbilled:
    """A subscription without a document in the period, and why."""

    subscription: str
    account: str
    contract: str
    reason: Reason
    usages: int
    exceptions: Mapping[str, int]
    excluded: Mapping[str, int]


#: Billed: a line on a document that is issued and not void. Exceptions and exclusions are found by the mapping in
#: force at the event's time, exceptions about work by the subscription's rating, draft or document.
_UNBILLED = text("""
with meant as materialized (
  select s.id, s.ref, s.contract_id, c.ref as contract, c.account_id, p.id as period, p.starts_at, p.ends_at,
    s.starts_at < p.ends_at and s.ends_at > p.starts_at as is_active
  from billing_periods p join subscriptions s on s.cycle_id = p.cycle_id join contracts c on c.id = s.contract_id
  where p.id = :period and not exists (
    select from rated_usages u join invoice_lines l on l.rated_usage_id = u.id join invoices i on i.id = l.invoice_id
    where u.subscription_id = s.id and u.billing_period_id = p.id and i.state in ('issued', 'posted'))),
mapped as materialized (
  select m.id, g.source_id, g.subject, greatest(g.starts_at, m.starts_at) as starts_at, least(g.ends_at, m.ends_at) as
    ends_at
  from meant m join mappings g on g.subscription_id = m.id and g.superseded_at = '9999-12-31 00:00:00+00'
    and g.starts_at < m.ends_at and g.ends_at > m.starts_at),
excepted as (
  select id, jsonb_object_agg(code, n) as codes from (
    select id, code, count(*) as n from (
      select g.id, x.code from exceptions x join mapped g on g.source_id = x.source_id and g.subject = x.subject
        and x.happened_at >= g.starts_at and x.happened_at < g.ends_at
      where x.state = 'open' and x.event_no is not null
      union all
      select m.id, x.code from exceptions x join work w on w.id = x.work_id and w.step in ('rate', 'tax')
        join billing_runs r on r.id = w.close_id and r.billing_period_id = :period
        join meant m on w.subject = 'run/' || r.id || '/subscription/' || m.id
          or exists (select from invoices i where i.billing_run_id = r.id and i.contract_id = m.contract_id
            and w.subject = 'invoice/' || i.id)
      where x.state = 'open') t group by 1, 2) t group by 1),
excluded as (
  select id, jsonb_object_agg(name, n) as rules from (
    select g.id, coalesce(r.name, 'filter') as name, count(*) as n from billing_periods p
    join exclusions x on x.hour >= date_trunc('hour', p.starts_at) and x.hour < p.ends_at
    join usage_events e on e.event_no = x.event_no and e.happened_at >= x.hour
      and e.happened_at < x.hour + interval '1 hour'
    join mapped g on g.source_id = e.source_id and g.subject = e.subject and e.happened_at >= g.starts_at
      and e.happened_at < g.ends_at
    left join exclusion_rules r on r.id = x.rule_id where p.id = :period group by 1, 2) t group by 1),
used as (
  select a.subscription_id as id, sum(a.events) as usages from aggregates a
  where a.billing_period_id = :period group by 1)
select m.ref, m.account_id, m.contract, m.is_active, greatest(coalesce(u.usages, 0), 0)::bigint as usages,
  coalesce(x.codes, '{}') as codes, coalesce(e.rules, '{}') as rules,
  exists (select from billing_runs r join invoices i on i.billing_run_id = r.id and i.contract_id = m.contract_id
    join invoice_lines l on l.invoice_id = i.id and l.subscription_id = m.id
    where r.billing_period_id = m.period and i.state in ('taxed', 'approved')) as has_draft,
  exists (select from billing_runs r join work w on w.close_id = r.id and w.state = 'ready'
      and (w.subject = 'run/' || r.id || '/subscription/' || m.id or w.subject in (
        select 'invoice/' || i.id from invoices i where i.billing_run_id = r.id and i.contract_id = m.contract_id))
    where r.billing_period_id = m.period)
    or exists (select from billing_runs r where r.billing_period_id = m.period and r.stage in ('open', 'frozen')
      and m.is_active and not exists (select from invoices i where i.billing_run_id = r.id
        and i.contract_id = m.contract_id and i.state = 'empty')) as is_owed,
  exists (select from billing_runs r where r.billing_period_id = m.period and r.stage in ('open', 'frozen')
    and r.blockers <> '[]') as is_stopped,
  exists (select from billing_runs r join invoices i on i.billing_run_id = r.id and i.contract_id = m.contract_id
    and i.state = 'void' where r.billing_period_id = m.period)
    or exists (select from billing_runs r join work w on w.close_id = r.id and w.outcome = 'left_out'
      and w.subject = 'run/' || r.id || '/subscription/' || m.id where r.billing_period_id = m.period) as is_left_out
from meant m left join excepted x on x.id = m.id left join excluded e on e.id = m.id left join used u on u.id = m.id
where m.is_active or x.id is not null or e.id is not null or u.id is not null or :is_all
order by m.account_id, m.ref limit :limit
""")


def of_period(conn: Connection, period_id: int, *, is_all: bool = False) -> Sequence[Unbilled]:
    """Every active subscription of the period without a document, `is_all` also the others, with the reason."""
    found = conn.execute(_UNBILLED, {"period": period_id, "is_all": is_all, "limit": LISTED_MAX})
    return [
        Unbilled(
            subscription=row.ref,
            account=row.account_id,
            contract=row.contract,
            reason=reason_of(
                Usage(
                    is_active=row.is_active,
                    usages=row.usages,
                    exceptions=row.codes,
                    excluded=row.rules,
                    has_draft=row.has_draft,
                    is_owed=row.is_owed,
                    is_stopped=row.is_stopped,
                    is_left_out=row.is_left_out,
                )
            ),
            usages=row.usages,
            exceptions=row.codes,
            excluded=row.rules,
        )
        for row in found
    ]
