-- Charges without usage: a metric that no meter feeds reads what a subscription has, its seats or simply itself.
alter table metrics alter meter_id drop not null;
alter table metrics drop constraint metrics_aggregation_check;
alter table metrics drop constraint metrics_check;
alter table metrics add constraint metrics_aggregation_check
  check (aggregation in ('count', 'sum', 'unique_count', 'min', 'max', 'latest', 'average', 'weighted_sum', 'percentile',
    'register', 'each', 'charged', 'peaks', 'subscribed'));
alter table metrics add constraint metrics_property_check
  check (aggregation = 'subscribed' or (property is null) = (aggregation = 'count'));
alter table metrics add constraint metrics_meter_check
  check ((meter_id is null) = (aggregation = 'subscribed')
    and (meter_id is not null or (requires = '{}' and dimensions = '{}')));

-- ------------------------------------------------------------------------------------------------- prepaid credits
create table credit_grants (                        -- what an account paid ahead or was given; audited, never edited
  id               integer generated always as identity primary key,
  account_id       text not null references accounts on delete restrict,
  legal_entity_id  text not null references legal_entities on delete restrict,
  currency         char(3) not null,
  amount           numeric not null check (amount > 0),
  priority         integer not null default 0 check (priority between -1000 and 1000),
  valid_from       timestamptz not null,
  expires_at       timestamptz not null default '9999-12-31 00:00:00+00' check (expires_at > valid_from),
  rollover_days    integer check (rollover_days between 1 and 3660),
  rollover_percent numeric check (rollover_percent > 0 and rollover_percent <= 100),
  rollover_amount  numeric check (rollover_amount >= 0),
  carried_from     integer unique references credit_grants on delete restrict,
  reason           text not null check (length(reason) between 1 and 2000),
  recorded_at      timestamptz not null default now(),
  recorded_by      text not null check (length(recorded_by) > 0),
  check (rollover_days is null or expires_at < '9999-12-31 00:00:00+00'),
  check ((rollover_days is null) = (rollover_percent is null)),
  check (rollover_amount is null or rollover_days is not null)
);
create index credit_grants_account on credit_grants (account_id, legal_entity_id, currency);
create index credit_grants_end on credit_grants (expires_at) where expires_at < '9999-12-31 00:00:00+00';
create table credit_entries (                       -- append-only: all that becomes of a grant; they sum to what is left
  id          bigint generated always as identity primary key,
  grant_id    integer not null references credit_grants on delete restrict,
  kind        text not null check (kind in ('granted', 'drawn', 'returned', 'expired', 'carried')),
  amount      numeric not null,
  at          timestamptz not null,
  invoice_id  bigint references invoices on delete restrict,
  carried_to  integer references credit_grants on delete restrict,
  recorded_at timestamptz not null default now(),
  check (amount <> 0 and (kind in ('granted', 'returned')) = (amount > 0)),
  check ((kind in ('drawn', 'returned')) = (invoice_id is not null)),
  check ((kind = 'carried') = (carried_to is not null))
);
create index credit_entries_grant on credit_entries (grant_id);
create unique index credit_entries_granted on credit_entries (grant_id) where kind = 'granted';
create unique index credit_entries_document on credit_entries (invoice_id, grant_id, kind) where invoice_id is not null;

create function credit_entries_are_covered() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  held numeric;
begin
  perform from credit_grants g where g.id = new.grant_id for update;
  select sum(e.amount) into held from credit_entries e where e.grant_id = new.grant_id;
  if held < 0 or held > (select g.amount from credit_grants g where g.id = new.grant_id) then
    raise exception 'credit grant % would hold %', new.grant_id, held using errcode = 'check_violation';
  end if;
  return null;
end $$;
create trigger credit_entries_covered after insert on credit_entries
  for each row execute function credit_entries_are_covered();
create trigger credit_entries_append_only before update or delete on credit_entries
  for each row execute function audit_is_append_only();

call audit_govern('credit_grants', 'id', $q$'credit/' || r.id$q$);
revoke all on credit_grants, credit_entries from public;
grant select, insert on credit_grants, credit_entries to tallyline_app;
