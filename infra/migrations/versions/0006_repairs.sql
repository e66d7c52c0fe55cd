-- Repairs of what several systems hold, and the retention of bodies.

-- ------------------------------------------------------------------------------------------------- documents undone
alter table journal_entries add column kind text not null default 'document' check (kind in ('document', 'reversal'));
alter table journal_entries drop constraint journal_entries_invoice_id_key;
alter table journal_entries add unique (invoice_id, kind);

create function void_is_nowhere_else() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if exists (select from erp_postings p where p.invoice_id = new.id and p.state <> 'superseded') then
    raise exception 'document % is on its way to an ERP or confirmed there', old.id using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger invoices_void before update of state on invoices for each row
  when (new.state = 'void' and old.state <> 'void') execute function void_is_nowhere_else();
create function confirmed_stays_confirmed() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if old.state in ('confirmed', 'sending', 'unknown') and new.state = 'superseded' then
    raise exception 'posting % may be in the ERP: it is not withdrawn', old.id using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger erp_postings_withdrawn before update of state on erp_postings
  for each row execute function confirmed_stays_confirmed();

create table tax_commitments (                      -- what a tax engine was told of a document: intent before, outcome after
  invoice_id bigint not null references invoices on delete restrict,
  engine     text not null,
  state      text not null check (state in ('committing', 'committed', 'void')),
  reference  text,
  updated_at timestamptz not null default now(),
  primary key (invoice_id, engine)
);

-- ------------------------------------------------------------------------------------------------- repairs
create table repairs (                              -- what a person wants done about a document, and the plan for it
  id             bigint generated always as identity primary key,
  invoice_id     bigint not null references invoices on delete restrict,
  erp_posting_id bigint references erp_postings on delete restrict,
  exception_id   bigint references exceptions on delete restrict,
  kind           text not null check (kind in ('resend', 'void', 'reverse_journal')),
  acts           text[] not null check (cardinality(acts) > 0),
  holdings       jsonb not null,                    -- what each system held when it was planned
  state          text not null default 'planned' check (state in ('planned', 'done', 'failed')),
  requested_by   text not null check (length(requested_by) > 0),
  reason         text not null check (length(reason) between 1 and 2000),
  approval_id    bigint,
  requested_at   timestamptz not null default now(),
  finished_at    timestamptz,
  check ((state = 'planned') = (finished_at is null))
);
create unique index repairs_one on repairs (invoice_id) where state = 'planned';
create index repairs_invoice on repairs (invoice_id);
create table repair_history (                       -- append-only: each try of each act, and what came back
  id        bigint generated always as identity primary key,
  repair_id bigint not null references repairs on delete restrict,
  position  integer not null check (position > 0),
  act       text not null,
  outcome   text not null check (outcome in ('done', 'failed')),
  answer    jsonb not null default '{}',
  acted_at  timestamptz not null default now()
);
create unique index repair_history_once on repair_history (repair_id, position) where outcome = 'done';

-- ------------------------------------------------------------------------------------------------- retention
alter table receipts add column erased_at timestamptz;
alter table receipts add column body_hashes bytea[];
alter table receipts add check ((erased_at is null) = (body_hashes is null));
alter table receipts add check (erased_at is null or bodies = '{}');

-- Bodies whose time is over: old enough, read, nothing open about them, and every period of every event closed. The
-- conditions stand here, where no program can leave one out; the application may not change a receipt otherwise.
create function erasable_receipts(days integer, portion integer) returns table (receipt_id bigint, bytes bigint)
language sql stable security definer set search_path = pg_catalog, public as $$
  select r.id, r.bytes from receipts r
  where r.erased_at is null and r.received_at < now() - make_interval(days => greatest(days, 1))
    and exists (select from receipt_counts c where c.receipt_id = r.id)
    and not exists (select from work w where w.step in ('validate', 'enrich') and w.subject = 'receipt/' || r.id
      and w.state <> 'done')
    and not exists (select from exceptions x where x.receipt_id = r.id and x.state = 'open')
    and not exists (select from exceptions x where x.event_no >= r.id << 20 and x.event_no < (r.id + 1) << 20
      and x.state = 'open')
    and not exists (select from batches b where b.receipt_id = r.id and b.aggregated_no is null)
    and not exists (
      select from attributions a join batches b on b.id = a.batch_no
      where a.event_no >= r.id << 20 and a.event_no < (r.id + 1) << 20 and (
        exists (select from billing_runs o where o.billing_period_id = a.billing_period_id and o.stage <> 'closed')
        or not exists (select from billing_runs g join lots l on l.billing_period_id = g.billing_period_id
          and l.lot = g.lot where g.billing_period_id = a.billing_period_id and g.stage = 'closed'
            and l.sealed_no >= b.aggregated_no)))
  order by r.id limit least(portion, 10000) $$;
create function erase_receipts(days integer, portion integer) returns table (receipt_id bigint, bytes bigint)
language sql volatile security definer set search_path = pg_catalog, public as $$
  update receipts r set body_hashes = array(select sha256(b) from unnest(r.bodies) with ordinality as u (b, n) order by n),
    bodies = '{}', erased_at = now()
  from (select e.receipt_id from erasable_receipts(days, portion) e) gone
  where r.id = gone.receipt_id and r.erased_at is null returning r.id, r.bytes $$;
create index exceptions_receipt on exceptions (receipt_id) where state = 'open' and receipt_id is not null;
create index receipts_kept on receipts (received_at) where erased_at is null;

-- ------------------------------------------------------------------------------------------------- rights
revoke all on tax_commitments, repairs, repair_history from public;
revoke all on function erasable_receipts(integer, integer), erase_receipts(integer, integer) from public;
grant select, insert on tax_commitments, repairs, repair_history to tallyline_app;
grant update (state, reference, updated_at) on tax_commitments to tallyline_app;
grant update (state, finished_at) on repairs to tallyline_app;
grant execute on function erasable_receipts(integer, integer), erase_receipts(integer, integer) to tallyline_app;
grant usage on all sequences in schema public to tallyline_app;
