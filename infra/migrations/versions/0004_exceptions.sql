-- Exceptions as business objects: keys, money at risk, owners, deadlines, and a history that only grows.

alter table exceptions
  add column account_id      text,
  add column legal_entity_id text,
  add column contract_id     integer,
  add column subscription_id integer,
  add column meter_id        integer,
  add column invoice_id      bigint,
  add column erp_posting_id  bigint,
  add column connection_id   text,
  add column dimensions      text,                    -- of the window the usage would fall into
  add column value           text,                    -- what unique_count would count
  add column basis           text check (length(basis) between 1 and 64),   -- how money_at_risk is estimated
  add column is_priced_at_opening boolean not null default false,           -- whoever opened it knows; nobody estimates
  add column priced_at       timestamptz,
  add column priced_revision bigint not null default 0,                     -- of `appraisals`; 0: not yet
  add column assigned_to     text check (length(assigned_to) between 1 and 64),
  add column deadline_at     timestamptz,             -- only where a person set one
  -- What the open ones of a code are grouped by: what they wait for, else where or in what they fail.
  add column cause           text not null generated always as (left(case
    when waits_kind <> 'replay' then waits_kind || '/' || waits_key
    when connection_id is not null then 'connection/' || connection_id
    when source is not null or facts ->> 'field' <> '' then rtrim(coalesce(source, '') || ' ' || coalesce(facts ->> 'field', ''))
    when metric_id <> 0 then 'metric/' || metric_id::text
    when source_id is not null then 'source/' || source_id::text
    else 'step/' || step end, 300)) stored,
  add check (money_at_risk is null or (currency is not null and basis is not null));
create index exceptions_cause on exceptions (code, cause) where state = 'open';
create index exceptions_to_price on exceptions (priced_revision, id) where state = 'open' and not is_priced_at_opening;

-- Rises with every change of terms, so that what was priced before is priced again; a row, not a sequence: it must be
-- seen no sooner than the change itself.
create table appraisals (
  is_only    boolean primary key default true check (is_only),
  revision   bigint not null check (revision > 0),
  changed_in xid8 not null default pg_current_xact_id()
);
insert into appraisals (revision) values (1);
create function terms_changed() returns trigger language plpgsql as $$
begin
  insert into appraisals as a (revision) values (2)
  on conflict (is_only) do update set revision = a.revision + 1, changed_in = pg_current_xact_id()
  where a.changed_in <> pg_current_xact_id();
  return null;
end $$;
create trigger prices_changed after insert or update or delete on prices
  for each statement execute function terms_changed();
create trigger contract_versions_changed after insert or update or delete on contract_versions
  for each statement execute function terms_changed();
create trigger mappings_changed after insert or update or delete on mappings
  for each statement execute function terms_changed();
create trigger subscriptions_changed after insert or update or delete on subscriptions
  for each statement execute function terms_changed();

create function quantity_changed() returns trigger language plpgsql as $$
begin
  new.priced_revision := 0;
  return new;
end $$;
create trigger exceptions_quantity before update of quantity on exceptions
  for each row when (new.quantity is distinct from old.quantity) execute function quantity_changed();

create table exception_history (                      -- append-only: what became of an exception, by whom and why
  id           bigint generated always as identity primary key,
  exception_id bigint not null,
  act          text not null check (length(act) between 1 and 32),
  person       text not null,
  reason       text,
  at           timestamptz not null default now(),
  facts        jsonb not null default '{}'
);
create index exception_history_of on exception_history (exception_id, id);

-- The row names who closed it; for all else the transaction does (`tallyline.person`), and else it was no person.
create function exceptions_opened() returns trigger language plpgsql security definer
set search_path = pg_catalog, public as $$
begin
  insert into exception_history (exception_id, act, person)
  select id, 'opened', coalesce(nullif(current_setting('tallyline.person', true), ''), 'tallyline') from new_rows order by id;
  return null;
end $$;
create function exceptions_changed() returns trigger language plpgsql security definer
set search_path = pg_catalog, public as $$
declare
  who text := coalesce(nullif(current_setting('tallyline.person', true), ''), 'tallyline');
  why text := nullif(current_setting('tallyline.reason', true), '');
  approval text := nullif(current_setting('tallyline.approval', true), '');
begin
  insert into exception_history (exception_id, act, person, reason, facts)
  select id, act, person, reason, jsonb_strip_nulls(facts || jsonb_build_object('approval', approval)) from (
    select n.id, 1 as part, case n.state when 'open' then 'reopened' else n.state end as act,
      coalesce(n.closed_by, who) as person, coalesce(n.reason, why) as reason,
      jsonb_build_object('was', o.state, 'closed_by', o.closed_by, 'reason', o.reason) as facts
    from new_rows n join old_rows o using (id) where n.state <> o.state
    union all
    select n.id, 2, 'assigned', who, why, jsonb_build_object('was', o.assigned_to, 'now', n.assigned_to)
    from new_rows n join old_rows o using (id) where n.assigned_to is distinct from o.assigned_to
    union all
    select n.id, 3, 'deadline', who, why, jsonb_build_object('was', o.deadline_at, 'now', n.deadline_at)
    from new_rows n join old_rows o using (id) where n.deadline_at is distinct from o.deadline_at) t
  order by id, part;
  return null;
end $$;
create trigger exceptions_opened after insert on exceptions referencing new table as new_rows
  for each statement execute function exceptions_opened();
create trigger exceptions_changed after update on exceptions referencing old table as old_rows new table as new_rows
  for each statement execute function exceptions_changed();

-- In which `.XQ` a dead row is shown: a row that is woken changes its lane, and so its queue, while its body still lies
-- in the old one. What was shown before this version is shown once more.
alter table work add column shown_in text;
alter table work_history add column shown_in text;
update work set shown_at = null where shown_at is not null;
create index work_shown on work (id) where shown_in is not null;

revoke all on appraisals, exception_history from public;
grant select, insert, update on appraisals to tallyline_app;
grant select on exception_history to tallyline_app;   -- only the triggers write it
