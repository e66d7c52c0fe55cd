"""What tests of posting and billing share: contracts with prices and taxes, and documents that are ready to be sent."""

from line_bench import Bound

#: Beside the register of the line: prices for its three metrics, a tax rate, and an ERP connection a test may fill.
PRICES = """
update erp_connections set adapter = 'test-erp', settings = '{}', per_second = 1000, concurrency = 2;
insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
  select v.id, m.id, t::jsonb, 'standard', 'revenue:' || n from contract_versions v, metrics m, (values
    ('departures', '{"model": "per_unit", "unit_amount": "41.2575"}'),
    ('distance', '{"model": "graduated", "zero_usage": "none", "tiers": [
       {"up_to": "1000", "unit_amount": "0.02515", "flat_amount": "250.00"},
       {"up_to": null, "unit_amount": "0.0142625"}]}'),
    ('aircraft', '{"model": "per_unit", "unit_amount": "118.12505"}')) p (n, t) where m.name = n
  on conflict do nothing;
insert into tax_rates (jurisdiction, category, rate, starts_on, source)
  values ('US-NY', 'standard', 8.875, '2013-01-01', 'test') on conflict do nothing;
"""

_DOCUMENT = """
with period as (
  insert into billing_periods (cycle_id, starts_on, ends_on, starts_at, ends_at)
  select id, '2013-01-01', '2013-02-01', '2013-01-01 05:00Z', '2013-02-01 05:00Z' from billing_cycles limit 1
  on conflict (cycle_id, starts_on) do update set lot = billing_periods.lot + 1 returning id, lot),
run as (
  insert into billing_runs
    (billing_period_id, lot, stage, invoice_on, posting_on, requested_by, approved_by, approved_at)
  select id, lot, 'approved', '2013-02-01', '2013-01-31', 'test', 'test', now() from period returning id),
draft as (
  insert into invoices (billing_run_id, legal_entity_id, account_id, contract_id, state, currency, pending, series,
    number, number_text, invoice_on, posting_on, service_starts_on, service_ends_on, net, tax, gross, correlation_id)
  select r.id, c.legal_entity_id, c.account_id, c.id, 'issued', 'USD', 0, 'invoice', r.id, 'PNY-' || r.id, '2013-02-01',
    '2013-01-31', '2013-01-01', '2013-02-01', 100, 8.88, 108.88, 'corr-' || r.id
  from run r, contracts c order by c.id limit 1 returning *),
rated as (
  insert into rated_usages (billing_run_id, subscription_id, billing_period_id, contract_version_id, metric_id,
    price_id, lot, revision, quantity, amount, currency, trace, is_touched)
  select d.billing_run_id, s.id, p.id, v.id, m.id, pr.id, p.lot, p.lot, 4, 100, 'USD', '[]', true
  from draft d, period p, subscriptions s, contract_versions v, metrics m, prices pr
  where s.contract_id = d.contract_id and v.contract_id = d.contract_id and m.name = 'departures'
    and pr.contract_version_id = v.id and pr.metric_id = m.id returning *),
line as (
  insert into invoice_lines (invoice_id, position, rated_usage_id, subscription_id, metric_id, price_id, description,
    quantity, unit, net, tax_category, tax_rate, tax_evidence, revenue_account, service_starts_on, service_ends_on)
  select d.id, 1, r.id, r.subscription_id, r.metric_id, r.price_id, 'departures', 4, 'departure', 100, 'standard',
    8.875, '{"engine": "table", "jurisdiction": "US-NY", "category": "standard", "percent": "8.875",
      "tax_point_on": "2013-01-31", "source": "test"}', 'revenue:departures', '2013-01-01', '2013-02-01'
  from draft d, rated r returning invoice_id),
tax as (
  insert into invoice_taxes select id, 'standard', 8.875, 100, 8.88 from draft returning invoice_id),
entry as (
  insert into journal_entries (legal_entity_id, invoice_id, posting_on, currency, description)
  select legal_entity_id, id, posting_on, currency, 'invoice' from draft returning id),
legs as (
  insert into postings select e.id, n, a, v from entry e, (values (1, 'assets:receivable', 108.88),
    (2, 'revenue:departures', -100), (3, 'liabilities:tax', -8.88)) l (n, a, v) returning 1),
posting as (
  insert into erp_postings (invoice_id, connection_id, external_key)
  select d.id, 'books', 'tl-test-' || d.id from draft d returning id)
insert into work (step, subject, lane, connection_id, correlation_id)
select 'post', 'erp_posting/' || id, 'close', 'books', 'corr' from posting returning split_part(subject, '/', 2)::bigint
"""


def issue(bound: Bound) -> int:
    """One issued invoice over 100.00 and 8.88 tax whose posting is planned; the posting's number."""
    return int(bound.one(_DOCUMENT))


def standing(bound: Bound, posting_id: int) -> tuple[str, str, str | None]:
    """(state of the posting, state of its document, state of its last work row)."""
    ((posting, invoice),) = bound.rows(
        "select p.state, i.state from erp_postings p join invoices i on i.id = p.invoice_id where p.id = :id",
        id=posting_id,
    )
    work = bound.one(
        "select string_agg(state, ',' order by revision) from work where step = 'post' and subject = :subject",
        subject=f"erp_posting/{posting_id}",
    )
    return posting, invoice, work
