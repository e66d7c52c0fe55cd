"""Prepaid credits in the books: paid ahead they are a liability until they are drawn, or expire and are revenue."""

from typing import Final

from domain.revenue import BREAKAGE_ACCOUNT, GIVEN_ACCOUNT, LIABILITY_ACCOUNT, RECEIVED_ACCOUNT
from workers.store.revenue_entries import booking

#: What became of credits is booked on the last day of the accounting period in which a grant begins, its last day
#: lies, or the document that draws is posted; in the first open one if that is closed. What is carried on moves
#: nothing, nor does what was given and expires, or is not drawn yet.
BOOK: Final = booking(
    """select kind, :entity as legal_entity_id, cast(null as bigint) as invoice_id, posting_on, currency, description,
      counter as revenue_account, kept as balance_account, case when is_paid then 'credits' end as balance,
      -sum(amount) as gained
    from due where kind is not null group by kind, posting_on, currency, description, counter, kept, is_paid""",
    before=f"""found as materialized (
  select e.id, e.kind as was, e.amount, g.currency, g.is_paid,
    g.carried_from is not null and e.kind = 'granted' or e.kind = 'carried' or not g.is_paid
      and e.kind in ('granted', 'expired') as is_still,
    greatest(date_trunc('month', case e.kind when 'granted' then (g.valid_from at time zone z.zone)::date
      when 'expired' then ((g.expires_at - interval '1 microsecond') at time zone z.zone)::date
      when 'carried' then ((g.expires_at - interval '1 microsecond') at time zone z.zone)::date
      else i.posting_on end)::date, date_trunc('month', first_open_day(:entity))::date) as period,
    z.receivable_account, coalesce(a.liability_account, '{LIABILITY_ACCOUNT}') as liability,
    coalesce(a.received_account, '{RECEIVED_ACCOUNT}') as received,
    coalesce(a.breakage_account, '{BREAKAGE_ACCOUNT}') as breakage,
    coalesce(a.given_account, '{GIVEN_ACCOUNT}') as given
  from credit_entries e join credit_grants g on g.id = e.grant_id join legal_entities z on z.id = g.legal_entity_id
  left join credit_accounts a on a.legal_entity_id = z.id left join invoices i on i.id = e.invoice_id
  where g.legal_entity_id = :entity and not exists (select from credit_bookings b where b.credit_entry_id = e.id)),
due as materialized (
  select id, amount, currency, is_paid, (period + interval '1 month')::date - 1 as posting_on,
    case when is_still then null when was = 'granted' then 'credits_granted' when was = 'expired' then 'credits_expired'
      else 'credits_drawn' end as kind,
    'prepaid credits of ' || to_char(period, 'YYYY-MM') as description,
    case was when 'granted' then received when 'expired' then breakage else receivable_account end as counter,
    case when is_paid then liability else given end as kept
  from found where period <= :period),
""",
    after=""",
noted as (
  insert into credit_bookings (credit_entry_id, journal_entry_id)
  select d.id, e.id from due d left join entries e on e.kind = d.kind and e.currency = d.currency
    and e.posting_on = d.posting_on order by 1 returning 1)
select m.posting_on, m.currency, m.revenue_account, sum(m.gained) as amount from moved m
where m.kind = 'credits_expired' group by 1, 2, 3 order by 1, 2, 3""",
)
