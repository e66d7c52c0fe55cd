"""What is counted about a billing run before each stage; `domain.closing` says which counts are in the way."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection, text

from domain.closing import Facts, Stage
from workers.store import breakers, identity, recompute, run_totals
from workers.store.billing_runs import Run

#: Usage of the period that is still on its way to its window. Validate and enrich owe a receipt, aggregate a batch.
#: What is dead does not move any more: it is an exception, which blocks under its code and can be let pass. What is
#: being replayed is waited for whenever it came, since its exception no longer blocks.
_UNAGGREGATED = text("""
select (select count(*) from work w join receipts r
      on r.id = case when w.subject like 'receipt/%' then cast(split_part(w.subject, '/', 2) as bigint) end
    where w.step in ('validate', 'enrich') and w.state = 'ready'
      and (r.received_at <= :requested_at or w.lane = 'replay'))
  + (select count(*) from batches b where b.aggregated_no is null
    and not exists (select from work w where w.step = 'aggregate' and w.subject = 'batch/' || b.id and w.state = 'dead')
    and (b.receipt_id is null or exists (
        select from receipts r where r.id = b.receipt_id and r.received_at <= :requested_at)
      or exists (select from work w where w.step = 'aggregate' and w.subject = 'batch/' || b.id and w.lane = 'replay')))
""")
#: An exception whose period is not known may belong to any period of its time, or of the stretch of time in which it
#: lies; one without a time, to any at all. What is of a source whose usage, of this subject if there is a mapping of
#: it, has only ever been that of other cycles is theirs: it does not hold up everybody else.
_EXCEPTIONS = text("""
select code, sum(how_many)::bigint as how_many, string_agg(money || ' ' || currency, ', ' order by currency) as money
from (
  select code, currency, count(*) as how_many, trim_scale(round(sum(money_at_risk), 4))::text as money
  from exceptions x where state = 'open' and step in ('validate', 'enrich', 'aggregate')
    and (billing_period_id = :period or (billing_period_id is null
      and (happened_at is null or (coalesce(happened_until, happened_at) >= :starts_at and happened_at < :ends_at))
      and (not exists (select from mappings g where g.source_id = x.source_id) or exists (
        select from mappings g join subscriptions s on s.id = g.subscription_id
        join billing_periods p on p.id = :period and p.cycle_id = s.cycle_id
        where g.source_id = x.source_id and (g.subject = x.subject or not exists (
          select from mappings o where o.source_id = x.source_id and o.subject = x.subject))))))
  group by code, currency) t
group by code order by code
""")
_WORK = text("""
select count(*) filter (where state = 'ready') as open, count(*) filter (where state = 'dead') as dead
from work where close_id = :run and step in ('rate', 'tax')
""")
#: Series that would have to number documents of the run back in time. Others may number more until it issues.
_TOO_EARLY = text("""
select count(*) from number_series n join (
  select distinct legal_entity_id, kind, invoice_on from invoices where billing_run_id = :run and state = 'taxed') d
  on d.legal_entity_id = n.legal_entity_id and d.kind = n.series
where n.earlier = 'refuse' and n.last_number > 0 and n.last_on > d.invoice_on
""")
#: Drafts that would be booked in an accounting period that is closed for revenue.
_CLOSED = text("""
select count(*) from invoices i where i.billing_run_id = :run and i.state = 'taxed'
  and i.posting_on < first_open_day(i.legal_entity_id)
""")
_POSTINGS = text("""
select count(*) filter (where p.state not in ('confirmed', 'superseded')) as unconfirmed,
  count(*) filter (where p.state <> 'superseded' and p.reconciled_at is null) as unreconciled
from erp_postings p join invoices i on i.id = p.invoice_id where i.billing_run_id = :run
""")
#: Usage of the run's lots that is on no document yet, or on one that the ERP has not confirmed.
_IN_FLIGHT = text("""
select coalesce(sum(abs(a.events)), 0) from aggregates a
where a.billing_period_id = :period and a.lot <= :lot and not coalesce((
  select p.state = 'confirmed' from rated_usages r join invoice_lines l on l.rated_usage_id = r.id
  join invoices i on i.id = l.invoice_id and i.state <> 'void'
  left join erp_postings p on p.invoice_id = i.id and p.state <> 'superseded'
  where r.subscription_id = a.subscription_id and r.billing_period_id = a.billing_period_id
    and r.contract_version_id = a.contract_version_id and r.metric_id = a.metric_id and r.dimensions = a.dimensions
    and r.lot >= a.lot order by r.lot limit 1), false)
""")


def unaggregated(conn: Connection, run: Run) -> int:
    """How many receipts and batches received before the run was asked for are not in their windows."""
    return int(conn.execute(_UNAGGREGATED, {"requested_at": run.requested_at}).scalar_one())


def of_stage(conn: Connection, run: Run, stage: Stage) -> Facts:
    """The counts that decide whether the run may enter the stage."""
    return _COUNTED[stage](conn, run)


def _before_drafting(conn: Connection, run: Run) -> Facts:
    row = conn.execute(_WORK, {"run": run.id}).one()
    return Facts(work_open=row.open, drafts_blocked=row.dead)


def _before_approval(conn: Connection, run: Run) -> Facts:
    return Facts(
        issue_date_too_early=conn.execute(_TOO_EARLY, {"run": run.id}).scalar_one(),
        accounting_period_closed=conn.execute(_CLOSED, {"run": run.id}).scalar_one(),
        approval_missing=0 if run.approved_by else 1,
    )


def _before_posted(conn: Connection, run: Run) -> Facts:
    return Facts(postings_unconfirmed=conn.execute(_POSTINGS, {"run": run.id}).one().unconfirmed)


def _before_reconciled(conn: Connection, run: Run) -> Facts:
    return Facts(
        posting_differs=conn.execute(_POSTINGS, {"run": run.id}).one().unreconciled,
        control_totals_differ=len(run_totals.differing(run_totals.of_run(conn, run.id))),
    )


def _before_closed(conn: Connection, run: Run) -> Facts:
    values = {"period": run.billing_period_id, "lot": run.lot}
    return Facts(
        accounts_parked=breakers.parked(conn, run),
        usage_in_flight=int(conn.execute(_IN_FLIGHT, values).scalar_one()),
    )


def _before_freezing(conn: Connection, run: Run) -> Facts:
    period = {"period": run.billing_period_id, "starts_at": run.starts_at, "ends_at": run.ends_at}
    has_ended = conn.execute(text("select :ends_at <= now()"), period).scalar_one()
    found = conn.execute(_EXCEPTIONS, period).all()
    return Facts(
        period_not_ended=0 if has_ended else 1,
        exceptions_open={row.code: row.how_many for row in found},
        money_at_risk={row.code: row.money for row in found if row.money is not None},
    )


_COUNTED: Final[Mapping[Stage, Callable[[Connection, Run], Facts]]] = {
    "frozen": _before_freezing,
    "drafted": _before_drafting,
    "approved": _before_approval,
    "posted": _before_posted,
    "reconciled": _before_reconciled,
    "closed": _before_closed,
}


def differences(snapshot: Connection, run: Run) -> Mapping[str, int]:
    """How often each identity does not hold within the period's hours: `events` and `usage`; empty if both hold.

    A window that is not the sum of its attributions counts as usage: it is what would be billed. `snapshot` sees one
    moment; the transaction of a step does not.
    """
    counts: dict[str, int] = {}
    for each in identity.differences(snapshot, run.starts_at, run.ends_at):
        name = each.check.partition(":")[0]
        counts[name] = counts.get(name, 0) + 1
    drifts = len(recompute.drifts(snapshot, run.billing_period_id))
    return counts | {"usage": counts.get("usage", 0) + drifts} if drifts else counts
