-- Revenue: when each line of a document is earned, and the accounting periods that are closed for it.

-- ------------------------------------------------------------------------------------------------- master data
create table revenue_rules (                        -- how lines of a revenue account are earned; '*' is for all others
  legal_entity_id  text not null references legal_entities on delete restrict,
  revenue_account  text not null check (length(revenue_account) between 1 and 255),
  method           text check (method in ('as_incurred', 'daily', 'monthly')),   -- null: by whether usage feeds it
  deferred_account text not null check (length(deferred_account) between 1 and 255),
  asset_account    text not null check (length(asset_account) between 1 and 255),
  primary key (legal_entity_id, revenue_account),
  check (revenue_account <> all(array[deferred_account, asset_account]) and deferred_account <> asset_account)
);

create table credit_accounts (                      -- where prepaid credits of a legal entity are booked
  legal_entity_id   text primary key references legal_entities on delete restrict,
  liability_account text not null check (length(liability_account) between 1 and 255),   -- paid ahead, not drawn yet
  received_account  text not null check (length(received_account) between 1 and 255),    -- what was paid for it
  breakage_account  text not null check (length(breakage_account) between 1 and 255),    -- paid for, and never drawn
  given_account     text not null check (length(given_account) between 1 and 255),       -- drawn, and never paid for
  check (liability_account <> all(array[received_account, breakage_account, given_account]))
);
-- What is given is no liability: it lessens revenue when it is drawn. A grant that is carried on stays what it was.
alter table credit_grants add column is_paid boolean not null default false;
create function credit_grant_stays_paid() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  select g.is_paid into new.is_paid from credit_grants g where g.id = new.carried_from;
  return new;
end $$;
create trigger credit_grants_carried before insert on credit_grants for each row when (new.carried_from is not null)
  execute function credit_grant_stays_paid();

-- ------------------------------------------------------------------------------------------------- accounting periods
create table accounting_periods (                   -- a row when one is closed for revenue; all before it are closed too
  legal_entity_id text not null references legal_entities on delete restrict,
  period          date not null check (extract(day from period) = 1),
  closed_by       text not null check (length(closed_by) between 1 and 200),
  reason          text not null check (length(reason) between 1 and 2000),
  unpriced        integer not null default 0 check (unpriced >= 0),   -- subscriptions whose unbilled usage has no price
  closed_at       timestamptz not null default now(),
  primary key (legal_entity_id, period)
);
-- The first day that is not closed: whatever is booked from then on changes no closed period.
create function first_open_day(entity text) returns date language sql stable set search_path = pg_catalog, public as
  $$ select coalesce((max(period) + interval '1 month')::date, '0001-01-01') from accounting_periods
     where legal_entity_id = entity $$;
-- Whoever books waits for whoever closes, who waits for all that book: nothing slips into a period as it is closed.
create function revenue_hold(entity text, is_closing boolean) returns void language plpgsql
set search_path = pg_catalog, public as $$
begin
  if is_closing then perform pg_advisory_xact_lock(7205, hashtext(entity));
  else perform pg_advisory_xact_lock_shared(7205, hashtext(entity)); end if;
end $$;
create function accounting_period_closes() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  perform revenue_hold(new.legal_entity_id, true);
  if new.period < first_open_day(new.legal_entity_id) then
    raise exception 'accounting period % of % is closed', new.period, new.legal_entity_id
      using errcode = 'check_violation';
  elsif exists (select from revenue_schedules s where s.legal_entity_id = new.legal_entity_id and s.is_deferred
      and s.period <= new.period and not exists (select from recognitions r where r.schedule_id = s.id)) then
    raise exception 'accounting period % of % has revenue that is not recognised', new.period, new.legal_entity_id
      using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger accounting_periods_close before insert on accounting_periods
  for each row execute function accounting_period_closes();

-- ------------------------------------------------------------------------------------------------- the journal
alter table journal_entries alter invoice_id drop not null;
alter table journal_entries drop constraint journal_entries_kind_check;
alter table journal_entries add constraint journal_entries_kind_check check (kind in ('document', 'reversal',
  'deferral', 'deferral_reversal', 'recognition', 'accrual', 'accrual_reversal', 'credits_granted', 'credits_drawn',
  'credits_expired'));
alter table journal_entries add constraint journal_entries_invoice_check
  check ((invoice_id is not null) = (kind in ('document', 'reversal', 'deferral', 'deferral_reversal')));
create unique index journal_entries_accrued on journal_entries (legal_entity_id, kind, posting_on, currency)
  where kind in ('accrual', 'accrual_reversal');
create index journal_entries_revenue on journal_entries (legal_entity_id, posting_on)
  where kind not in ('document', 'reversal');
-- Which balance a leg moves: what is billed and not earned, earned and not billed, or paid ahead and not drawn.
alter table postings add column balance text check (balance in ('deferred', 'contract_asset', 'credits'));

create function journal_entries_are_open() returns trigger language plpgsql set search_path = pg_catalog, public as $$
declare
  entity text;
begin
  for entity in select distinct legal_entity_id from new_rows order by 1 loop
    perform revenue_hold(entity, false);
    if exists (select from new_rows n where n.legal_entity_id = entity and n.posting_on < first_open_day(entity)) then
      raise exception 'a journal entry of % lies in a closed accounting period', entity
        using errcode = 'check_violation', hint = 'Post it in a period that is open.';
    end if;
  end loop;
  return null;
end $$;
create trigger journal_entries_open after insert on journal_entries referencing new table as new_rows
  for each statement execute function journal_entries_are_open();

-- ------------------------------------------------------------------------------------------------- schedules
-- Append-only: what of a line, or of what stands beside the lines, is earned, and recognised, in which period.
create table revenue_schedules (
  id               bigint generated always as identity primary key,
  invoice_id       bigint not null,                 -- with the legal entity and currency that of the line: the trigger below
  invoice_line_id  bigint references invoice_lines on delete restrict,
  invoice_adjustment_id bigint references invoice_adjustments on delete restrict,
  kind             text not null default 'scheduled' check (kind in ('scheduled', 'undone')),   -- undone: it is void
  earned_in        date not null check (extract(day from earned_in) = 1),
  period           date not null check (extract(day from period) = 1 and period >= earned_in),
  amount           numeric not null check (amount <> 0),
  method           text not null check (method in ('as_incurred', 'daily', 'monthly')),
  is_deferred      boolean not null,                -- recognised by a run; else with the document itself
  legal_entity_id  text not null,
  currency         char(3) not null,
  revenue_account  text not null,
  deferred_account text not null,
  asset_account    text not null,
  check (num_nonnulls(invoice_line_id, invoice_adjustment_id) = 1),
  unique (invoice_line_id, kind, earned_in)
);
create unique index revenue_schedules_adjustment on revenue_schedules (invoice_adjustment_id, kind, earned_in)
  where invoice_adjustment_id is not null;
create index revenue_schedules_invoice on revenue_schedules (invoice_id);
create index revenue_schedules_deferred on revenue_schedules (legal_entity_id, period) where is_deferred;
create index revenue_schedules_late on revenue_schedules (legal_entity_id, period) where earned_in < period;
create table recognitions (                         -- append-only: the entry that recognised a part, once
  schedule_id      bigint primary key references revenue_schedules on delete restrict,
  journal_entry_id bigint not null references journal_entries on delete restrict
);
create index recognitions_entry on recognitions (journal_entry_id);

create table credit_bookings (                      -- append-only: the entry that booked what became of a credit, once
  credit_entry_id  bigint primary key references credit_entries on delete restrict,
  journal_entry_id bigint references journal_entries on delete restrict   -- null: it moves nothing in the books
);

create function revenue_schedules_sum() returns trigger language plpgsql set search_path = pg_catalog, public as $$
declare
  wrong  bigint;
  entity text;
begin
  for entity in select distinct legal_entity_id from new_rows order by 1 loop
    perform revenue_hold(entity, false);
    if exists (select from new_rows n where n.legal_entity_id = entity and n.period < first_open_day(entity)) then
      raise exception 'an accounting period of % is closed: its revenue does not change', entity
        using errcode = 'check_violation';
    end if;
  end loop;
  select t.invoice_id into wrong from (
    select s.invoice_id, s.invoice_line_id, s.invoice_adjustment_id, sum(s.amount) as amount,
      bool_or(s.kind = 'undone') as is_undone, min(s.currency) as currency, min(s.legal_entity_id) as entity
    from revenue_schedules s where s.invoice_id in (select n.invoice_id from new_rows n) group by 1, 2, 3) t
  join invoices i on i.id = t.invoice_id
  left join invoice_lines l on l.id = t.invoice_line_id and l.invoice_id = i.id
  left join invoice_adjustments a on a.id = t.invoice_adjustment_id and a.invoice_id = i.id
  where t.amount is distinct from case when t.is_undone then 0 else coalesce(l.net, a.net) end
    or coalesce(l.id, a.id) is null or t.currency <> i.currency or t.entity <> i.legal_entity_id limit 1;
  if found then
    raise exception 'a revenue schedule of document % does not sum to its line', wrong using errcode = 'check_violation';
  end if;
  return null;
end $$;
create trigger revenue_schedules_sum after insert on revenue_schedules referencing new table as new_rows
  for each statement execute function revenue_schedules_sum();

-- ------------------------------------------------------------------------------------------------- accruals
create table accruals (                             -- append-only: what was earned and not billed when a period was closed
  id                bigint generated always as identity primary key,
  legal_entity_id   text not null,
  period            date not null,
  billing_period_id integer not null references billing_periods on delete restrict,
  subscription_id   integer references subscriptions on delete restrict,
  metric_id         integer references metrics on delete restrict,
  invoice_id        bigint references invoices on delete restrict,   -- posted in a later period
  currency          char(3) not null,
  revenue_account   text not null,
  asset_account     text not null,
  amount            numeric not null check (amount <> 0),
  check ((invoice_id is null) = (subscription_id is not null and metric_id is not null)),
  foreign key (legal_entity_id, period) references accounting_periods on delete restrict
    deferrable initially deferred                   -- what is earned is booked before the period is closed
);
create index accruals_period on accruals (legal_entity_id, period);
create function accruals_are_of_now() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if exists (select from new_rows n join accounting_periods a using (legal_entity_id, period)) then
    raise exception 'the accounting period is closed: nothing is accrued in it any more' using errcode = 'check_violation';
  end if;
  return null;
end $$;
create trigger accruals_of_now after insert on accruals referencing new table as new_rows
  for each statement execute function accruals_are_of_now();

-- ------------------------------------------------------------------------------------------------- audit and rights
call audit_govern('revenue_rules', 'legal_entity_id,revenue_account',
  $q$r.legal_entity_id || '/' || r.revenue_account$q$);
call audit_govern('credit_accounts', 'legal_entity_id', 'r.legal_entity_id');
call audit_govern('accounting_periods', 'legal_entity_id,period', $q$r.legal_entity_id || '/' || r.period$q$);
do $$
declare
  kept text;
begin
  foreach kept in array array['accounting_periods', 'revenue_schedules', 'recognitions', 'accruals',
    'credit_bookings'] loop
    execute format('create trigger revenue_stays before update or delete on %I for each statement
      execute function audit_is_append_only()', kept);
    execute format('revoke all on %I from public', kept);
    execute format('grant select, insert on %I to tallyline_app', kept);
  end loop;
end $$;
revoke all on revenue_rules, credit_accounts from public;
grant select, insert on revenue_rules, credit_accounts to tallyline_app;
grant update (liability_account, received_account, breakage_account, given_account) on credit_accounts to tallyline_app;
grant update (method, deferred_account, asset_account) on revenue_rules to tallyline_app;
grant usage on all sequences in schema public to tallyline_app;

-- What is recognised follows from documents; to close a period is final, so it takes two people until a deployment
-- decides otherwise.
insert into approval_policies (action, role, needs, decided_by, recorded_by)
values ('revenue.run', 'operator', 'nothing', 'approver', 'tallyline'),
  ('revenue.run', 'finance', 'nothing', 'approver', 'tallyline'),
  ('revenue.close', 'finance', 'always', 'approver', 'tallyline');
