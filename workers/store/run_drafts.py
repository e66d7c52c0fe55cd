"""Drafts of a billing run: who is billed, one draft for each contract, and who leaves a draft again."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from queues import exceptions
from workers.store.billing_runs import Run

#: A subscription is billed that has usage which no draft holds yet. One without any usage, which may owe a flat fee, is
#: billed if it is active in the period and no earlier run of it has rated it. One with a document that is being voided
#: is left to the next run: what the document held is not released yet. One whose fees or seats were published anew
#: after its draft was made is billed again; a day outlasts any publication, and a draft too many is empty. So is one
#: whose contract was given a coupon since, or has one no more. So is one that ends before the period does and has paid
#: fees or seats of it: nothing tells when its end was said.
_BILLED = """
billed as materialized (
  select s.id as subscription_id, s.contract_id
  from subscriptions s join billing_periods p on p.id = :period and p.cycle_id = s.cycle_id
  left join lateral (select max(a.lot) as lot from aggregates a
    where a.subscription_id = s.id and a.billing_period_id = p.id and a.lot <= :lot) used on true
  where not exists (
    select from repairs v join invoices i on i.id = v.invoice_id join billing_runs o on o.id = i.billing_run_id
    where v.state = 'planned' and v.kind = 'void' and i.contract_id = s.contract_id and o.billing_period_id = p.id)
  and (case when used.lot is not null then used.lot > coalesce((
      select max(r.lot) from rated_usages r
      join invoices i on i.billing_run_id = r.billing_run_id and i.contract_id = s.contract_id and i.state <> 'void'
      where r.subscription_id = s.id and r.billing_period_id = p.id), 0)
    else s.starts_at < p.ends_at and s.ends_at > p.starts_at and not exists (
      select from billing_runs o join invoices i on i.billing_run_id = o.id and i.contract_id = s.contract_id
      join work w on w.step = 'rate' and w.subject = 'run/' || o.id || '/subscription/' || s.id and w.outcome = 'done'
      where o.billing_period_id = p.id and i.state <> 'void') end
    or exists (
      select from contract_versions v join prices c on c.contract_version_id = v.id
      join metrics m on m.id = c.metric_id and m.aggregation = 'subscribed'
      left join subscription_quantities q on q.subscription_id = s.id and q.item = m.property
        and q.starts_on < p.ends_on and q.ends_on > p.starts_on
      where v.contract_id = s.contract_id and v.own_of in (0, s.id)
        and v.starts_at < p.ends_at and v.ends_at > p.starts_at
        and greatest(v.recorded_at, nullif(v.superseded_at, '9999-12-31 00:00:00+00'), q.recorded_at,
          nullif(q.superseded_at, '9999-12-31 00:00:00+00')) > (
          select max(i.created_at) - interval '1 day'
          from invoices i join billing_runs o on o.id = i.billing_run_id
          where i.contract_id = s.contract_id and i.state <> 'void' and o.billing_period_id = p.id))
    or exists (
      select from contract_coupons k where k.contract_id = s.contract_id
        and k.starts_on < p.ends_on and k.ends_on >= p.ends_on
        and greatest(k.recorded_at, nullif(k.superseded_at, '9999-12-31 00:00:00+00')) > (
          select max(i.created_at) - interval '1 day'
          from invoices i join billing_runs o on o.id = i.billing_run_id
          where i.contract_id = s.contract_id and i.state <> 'void' and o.billing_period_id = p.id))
    or (s.ends_at < p.ends_at and exists (
      select from rated_usages r join metrics m on m.id = r.metric_id and m.aggregation = 'subscribed'
      join invoices i on i.billing_run_id = r.billing_run_id and i.contract_id = s.contract_id and i.state <> 'void'
      where r.subscription_id = s.id and r.billing_period_id = p.id and r.amount <> 0))))"""
#: A document goes to the account that receives those of the contract's account, as it is now; whose usage it bills
#: stays known by the contract.
#: In one statement, so that what is published meanwhile is billed by both or by neither: a draft that waits for a child
#: which nobody rates would wait for ever.
_DRAFT = text(f"""
with {_BILLED},
drafted as (
  insert into invoices (billing_run_id, legal_entity_id, account_id, contract_id, currency, pending, invoice_on,
    posting_on, service_starts_on, service_ends_on, correlation_id)
  select :run, c.legal_entity_id, coalesce(a.bill_to_id, a.id), c.id, c.currency, count(*), :invoice_on, :posting_on,
    :starts_on, :ends_on, :correlation_id || '/' || c.ref
  from billed b join contracts c on c.id = b.contract_id join accounts a on a.id = c.account_id
  group by c.id, a.id order by c.id)
select subscription_id from billed order by subscription_id
""")


def spread(conn: Connection, run: Run, *, correlation_id: str) -> list[int]:
    """Make a draft for each contract that is billed; returns the subscriptions that are to be rated for them."""
    values = {
        "run": run.id,
        "period": run.billing_period_id,
        "lot": run.lot,
        "invoice_on": run.invoice_on,
        "posting_on": run.posting_on,
        "starts_on": run.starts_on,
        "ends_on": run.ends_on,
        "correlation_id": correlation_id,
    }
    # A repair that undoes a document of the period waits for us, or we see it.
    conn.execute(text("select 1 from billing_periods where id = :period for no key update"), values)
    return list(conn.execute(_DRAFT, values).scalars())


_DUE = text(f"""
with {_BILLED}
select b.subscription_id, b.contract_id, c.currency,
  greatest(p.starts_on, (s.starts_at at time zone y.zone)::date) as first_on,
  least(p.ends_on, (s.ends_at at time zone y.zone)::date) as end_on
from billed b join subscriptions s on s.id = b.subscription_id join contracts c on c.id = b.contract_id
join billing_periods p on p.id = :period join billing_cycles y on y.id = p.cycle_id
order by b.subscription_id limit :limit
""")


def due(conn: Connection, period: int, lot: int, *, limit: int) -> Sequence[Row[Any]]:
    """Whom a run of the period would bill now, and the days of it that each subscription stands."""
    return conn.execute(_DUE, {"period": period, "lot": lot, "limit": limit}).all()


def are_made(conn: Connection, run: Run) -> bool:
    """Whether the run has drafts."""
    found = conn.execute(text("select exists (select from invoices where billing_run_id = :run)"), {"run": run.id})
    return bool(found.scalar_one())


_LEAVE = text("""
with gone as (
  update work set state = 'done', done_at = now(), outcome = 'left_out', lease_until = null
  where close_id = :run and state = 'dead' and step = :step returning id, subject)
select id, subject from gone order by id
""")
#: Children leave their drafts in one update, as they are rated; a draft that none is left of has nothing to bill.
_COUNT_DOWN = text("""
with gone as (
  select i.id, count(*) as n from subscriptions s join invoices i on i.contract_id = s.contract_id
  where i.billing_run_id = :run and s.id = any(cast(:subscriptions as integer[])) group by i.id),
held as (select i.id, g.n from invoices i join gone g on g.id = i.id order by i.id for update of i)
update invoices i set pending = i.pending - h.n from held h where h.id = i.id returning i.id, i.pending
""")


def leave_out(conn: Connection, run: Run, *, person: str, reason: str) -> list[int]:
    """Let dead children leave their drafts, for a reason; returns the drafts that now wait for no child.

    A subscription that could not be rated is left to the next run of the period; a draft that could not be taxed is
    void, and so are all its subscriptions left to the next run.
    """
    unrated = conn.execute(_LEAVE, {"run": run.id, "step": "rate"}).all()
    untaxed = conn.execute(_LEAVE, {"run": run.id, "step": "tax"}).all()
    ids = [row.id for row in (*unrated, *untaxed)]
    exceptions.close_of_work(conn, ids, person=person, reason=reason)
    conn.execute(
        text("""update invoices set state = 'void'
             where id = any(cast(:ids as bigint[])) and state = 'draft'"""),
        {"ids": [_number(row.subject) for row in untaxed]},
    )
    found = conn.execute(_COUNT_DOWN, {"run": run.id, "subscriptions": [_number(row.subject) for row in unrated]})
    return sorted(row.id for row in found if row.pending == 0)


def _number(subject: str) -> int:
    return int(subject.rpartition("/")[2])


def taxed(conn: Connection, run: Run, *, limit: int) -> Sequence[int]:
    """The taxed drafts that are to be issued next, in the order of their numbers."""
    found = conn.execute(
        text("""select id from invoices where billing_run_id = :run and state = 'taxed'
             order by invoice_on, id limit :limit for update"""),
        {"run": run.id, "limit": limit},
    )
    return list(found.scalars())
