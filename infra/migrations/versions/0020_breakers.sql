-- Accounts that a money circuit breaker parks: what was seen, and who let it pass.
alter table legal_entities add column breakers jsonb not null default '{}' check (jsonb_typeof(breakers) = 'object');
grant update (breakers) on legal_entities to tallyline_app;

create table account_holds (
  id            bigint generated always as identity primary key,
  invoice_id    bigint not null references invoices on delete restrict,
  billing_period_id integer not null references billing_periods on delete restrict,
  contract_id   integer not null references contracts on delete restrict,
  account_id    text not null references accounts on delete restrict,
  breaker       text not null check (breaker in ('lines_too_many', 'total_jumps', 'total_negative', 'currency_changed',
                'usage_missing')),
  sentence      text not null check (length(sentence) between 1 and 1000),
  facts         jsonb not null,
  currency      char(3) not null,
  total         numeric not null,                   -- of the contract and period when it was parked
  held_at       timestamptz not null default now(),
  released_at   timestamptz,
  released_by   text check (length(released_by) between 1 and 200),
  reason        text check (length(reason) between 1 and 2000),
  unique (invoice_id, breaker),
  check ((released_at is null) = (released_by is null) and (released_at is null) = (reason is null))
);
create index account_holds_contract on account_holds (contract_id, billing_period_id);
create index account_holds_open on account_holds (billing_period_id) where released_at is null;

-- A release is said once and stays; nothing else of a hold ever changes.
create function account_hold_stays() returns trigger language plpgsql as $$
begin
  if old.released_at is not null then
    raise exception 'hold % is released already', old.id using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger account_holds_stay before update on account_holds for each row execute function account_hold_stays();

-- The step that parks writes no entry of the audit log, whose writers wait for each other; whoever releases does.
create trigger audit_queue before update on account_holds for each statement execute function audit_queue();
create trigger audit_update after update on account_holds referencing old table as old_rows new table as new_rows
  for each statement execute function audit_rows('id', $q$r.account_id || ' ' || r.breaker || ' ' || r.id$q$,
    'to_jsonb(r)');
revoke all on account_holds from public;
grant select, insert on account_holds to tallyline_app;
grant update (released_at, released_by, reason) on account_holds to tallyline_app;

grant usage on all sequences in schema public to tallyline_app;

insert into approval_policies (action, role, needs, decided_by, recorded_by) values
  ('runs.release', 'finance', 'always', 'approver', 'tallyline');
