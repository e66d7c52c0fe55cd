-- Time is stored in UTC; amounts and quantities are numeric; ids are opaque; words are those of the glossary.

do $$ begin create role tallyline_app nologin; exception when duplicate_object or unique_violation then null; end $$;

-- ------------------------------------------------------------------------------------------------- master data
create table erp_connections (
  id         text primary key check (id ~ '^[a-z][a-z0-9-]{0,30}$'),
  adapter    text not null,
  settings   jsonb not null default '{}',          -- never a secret: those are named here and read from the environment
  per_second numeric not null default 10 check (per_second > 0),
  concurrency integer not null default 1 check (concurrency > 0)
);
create table legal_entities (
  id            text primary key check (id ~ '^[a-z][a-z0-9-]{0,30}$'),
  name          text not null,
  currency      char(3) not null check (currency ~ '^[A-Z]{3}$'),
  zone          text not null,
  jurisdiction  text not null,
  connection_id text not null references erp_connections on delete restrict,
  receivable_account text not null default 'assets:receivable',
  tax_account   text not null default 'liabilities:tax',
  tax_accounts  jsonb not null default '{}'         -- by tax category, where it is not the one above
);
create table accounts (
  id   text primary key check (length(id) between 1 and 64),
  name text not null
);
create table billing_cycles (
  id              integer generated always as identity primary key,
  legal_entity_id text not null references legal_entities on delete restrict,
  name            text not null,
  zone            text not null,
  unique (legal_entity_id, name)
);
create table contracts (
  id              integer generated always as identity primary key,
  ref             text not null unique check (length(ref) between 1 and 64),
  account_id      text not null references accounts on delete restrict,
  legal_entity_id text not null references legal_entities on delete restrict,
  currency        char(3) not null check (currency ~ '^[A-Z]{3}$')
);
create table contract_versions (
  id            integer generated always as identity primary key,
  contract_id   integer not null references contracts on delete restrict,
  version       integer not null check (version > 0),
  starts_at     timestamptz not null,
  ends_at       timestamptz not null default '9999-12-31 00:00:00+00' check (ends_at > starts_at),
  recorded_at   timestamptz not null default now(),
  recorded_by   text not null,
  superseded_at timestamptz not null default '9999-12-31 00:00:00+00',
  unique (contract_id, version)
);
create unique index contract_versions_in_force on contract_versions (contract_id, starts_at) where superseded_at = '9999-12-31 00:00:00+00';
create table subscriptions (
  id          integer generated always as identity primary key,
  ref         text not null unique check (length(ref) between 1 and 64),
  contract_id integer not null references contracts on delete restrict,
  cycle_id    integer not null references billing_cycles on delete restrict,
  starts_at   timestamptz not null default '0001-01-01 00:00:00+00',
  ends_at     timestamptz not null default '9999-12-31 00:00:00+00' check (ends_at > starts_at)
);
create index subscriptions_contract on subscriptions (contract_id);
create index subscriptions_cycle on subscriptions (cycle_id);
create table sources (
  id              integer generated always as identity primary key,
  name            text not null unique check (length(name) between 1 and 255),
  quota_per_hour  bigint check (quota_per_hour > 0),
  owner           text not null
);
create table source_users (                        -- which broker user may claim which source
  source_id integer not null references sources on delete restrict,
  user_name text not null,
  primary key (source_id, user_name)
);
create table meters (
  id    integer generated always as identity primary key,
  name  text not null unique check (length(name) between 1 and 255),
  owner text not null
);
create table meter_versions (
  id           integer generated always as identity primary key,
  meter_id     integer not null references meters on delete restrict,
  version      integer not null check (version > 0),
  dataschema   text not null default '',
  fields       jsonb not null,
  max_age_days integer not null default 400 check (max_age_days between 1 and 36525),
  starts_at    timestamptz not null default '0001-01-01 00:00:00+00',
  recorded_at  timestamptz not null default now(),
  unique (meter_id, version),
  unique (meter_id, dataschema, starts_at)
);
create table metrics (
  id          integer generated always as identity primary key,
  name        text not null unique check (length(name) between 1 and 64),
  meter_id    integer not null references meters on delete restrict,
  aggregation text not null check (aggregation in ('count', 'sum', 'unique_count')),
  property    text check ((property is null) = (aggregation = 'count')),
  requires    text[] not null default '{}',
  dimensions  text[] not null default '{}',
  unit        text not null
);
create table exclusion_rules (
  id         integer generated always as identity primary key,
  name       text not null unique,
  meter_id   integer not null references meters on delete restrict,
  metric_id  integer references metrics on delete restrict,   -- null: every metric of the meter
  conditions jsonb not null check (jsonb_typeof(conditions) = 'array'),   -- all must hold; none: always
  reason     text not null,
  starts_at  timestamptz not null default '0001-01-01 00:00:00+00',
  ends_at    timestamptz not null default '9999-12-31 00:00:00+00'
);
create table mappings (
  id              integer generated always as identity primary key,
  source_id       integer not null references sources on delete restrict,
  subject         text not null,
  subscription_id integer not null references subscriptions on delete restrict,
  starts_at       timestamptz not null default '0001-01-01 00:00:00+00',
  ends_at         timestamptz not null default '9999-12-31 00:00:00+00' check (ends_at > starts_at),
  recorded_at     timestamptz not null default now(),
  recorded_by     text not null,
  superseded_at   timestamptz not null default '9999-12-31 00:00:00+00'
);
create unique index mappings_in_force on mappings (source_id, subject, starts_at) where superseded_at = '9999-12-31 00:00:00+00';
create table prices (
  id                  integer generated always as identity primary key,
  contract_version_id integer not null references contract_versions on delete restrict,
  metric_id           integer not null references metrics on delete restrict,
  terms               jsonb not null check (terms ? 'model'),
  tax_category        text not null,
  revenue_account     text not null,
  unique (contract_version_id, metric_id)
);
create table tax_rates (
  id           integer generated always as identity primary key,
  jurisdiction text not null,
  category     text not null,
  rate         numeric not null check (rate >= 0),   -- percent
  starts_on    date not null,
  ends_on      date not null default '9999-12-31' check (ends_on > starts_on),
  source       text not null,
  unique (jurisdiction, category, starts_on)
);
create table billing_periods (
  id        integer generated always as identity primary key,
  cycle_id  integer not null references billing_cycles on delete restrict,
  starts_on date not null,
  ends_on   date not null check (ends_on > starts_on),
  starts_at timestamptz not null,
  ends_at   timestamptz not null check (ends_at > starts_at),
  lot       integer not null default 1 check (lot > 0),
  unique (cycle_id, starts_on)
);
create table lots (                                 -- a row when a lot is sealed; the open lot has none
  billing_period_id integer not null references billing_periods on delete restrict,
  lot               integer not null,
  sealed_no         bigint not null,                -- aggregated batches up to this number belong to it
  sealed_at         timestamptz not null default now(),
  primary key (billing_period_id, lot)
);

-- ------------------------------------------------------------------------------------------------- work
create table work (
  id             bigint generated always as identity primary key,
  step           text not null,
  subject        text not null check (length(subject) between 1 and 200),
  revision       integer not null default 1,
  state          text not null default 'ready' check (state in ('ready', 'done', 'dead')),
  lane           text not null default 'live' check (lane in ('live', 'close', 'replay')),
  connection_id  text references erp_connections on delete restrict,
  weight         integer not null default 1 check (weight >= 0),
  due_at         timestamptz not null default now(),
  hinted_at      timestamptz not null default now(),
  hints          smallint not null default 1,
  attempts       integer not null default 0,
  starts         integer not null default 0,
  lease_no       integer not null default 0,
  lease_until    timestamptz,
  shown_at       timestamptz,
  close_id       bigint,
  correlation_id text not null,
  created_at     timestamptz not null default now(),
  done_at        timestamptz,
  outcome        text,
  error          text,
  unique (step, subject, revision)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index work_due on work (step, lane, due_at) where state = 'ready';
create index work_close on work (close_id);
create index work_dead on work (id) where state = 'dead';
create index work_finished on work (done_at) where state = 'done';
create table work_history (like work including defaults including constraints);
alter table work_history add primary key (id);

create table exceptions (
  id              bigint generated always as identity primary key,
  step            text not null,
  code            text not null,
  key16           uuid not null,
  hash            bytea not null,
  metric_id       integer not null default 0,
  state           text not null default 'open' check (state in ('open', 'replayed', 'dismissed', 'resolved')),
  work_id         bigint,
  receipt_id      bigint,
  position        integer,
  event_no        bigint,
  source_id       integer,
  source          text,
  event_id        text,
  subject         text,
  happened_at     timestamptz,
  billing_period_id integer,
  quantity        numeric,
  money_at_risk   numeric,
  currency        char(3),
  waits_kind      text,
  waits_key       text,
  sentence        text not null,
  facts           jsonb not null default '{}',
  correlation_id  text,
  seen            integer not null default 1,
  opened_at       timestamptz not null default now(),
  closed_at       timestamptz,
  closed_by       text,
  reason          text,
  unique (step, code, key16, hash, metric_id),
  check ((state = 'open') = (closed_at is null))
);
create index exceptions_open on exceptions (code, id) where state = 'open';
create index exceptions_parked on exceptions (waits_kind, waits_key) where state = 'open' and waits_kind is not null;
create index exceptions_work on exceptions (work_id) where work_id is not null;
create index exceptions_event on exceptions (event_no) where event_no is not null;

-- ------------------------------------------------------------------------------------------------- events
create table receipts (
  id          bigint generated always as identity primary key,
  received_at timestamptz not null default now(),
  queue       text not null,
  bodies      bytea[] not null,
  properties  jsonb not null,                       -- one object per body, side by side: content type, user id, headers
  bytes       bigint not null
);
alter table receipts alter column bodies set storage external;   -- squeezing what is written once costs more than disk
create index receipts_received on receipts (received_at);
create table receipt_counts (                       -- what validate found in a receipt; written once, with the events
  receipt_id   bigint primary key,
  bodies       integer not null,
  unreadable   integer not null,
  parsed       integer not null,
  accepted     integer not null,
  duplicate    integer not null,
  refused      integer not null,
  happened_min timestamptz,
  happened_max timestamptz,
  validated_at timestamptz not null default now(),
  check (parsed = accepted + duplicate + refused)
);
create table event_keys (
  key16        uuid primary key,
  payload_hash bytea not null,
  event_no     bigint not null,
  happened_at  timestamptz not null                 -- names the month, so a look-up opens one partition of the events
) partition by hash (key16);
create table usage_events (
  event_no         bigint not null,                 -- receipt number * 2^20 + position: in order of arrival
  key16            uuid not null,
  source_id        integer not null,
  meter_id         integer not null,
  meter_version_id integer not null,
  happened_at      timestamptz not null,
  event_id         text not null,
  subject          text not null,
  data             jsonb not null
) partition by range (happened_at);
create index usage_events_no on usage_events (event_no);
do $$ begin
  for i in 0..7 loop
    execute format('create table event_keys_%s partition of event_keys for values with (modulus 8, remainder %s)', i, i);
  end loop;
end $$;

create function ensure_event_month(month date) returns void language plpgsql security definer
set search_path = pg_catalog, public as $$
declare part text := 'usage_events_' || to_char(month, 'YYYY_MM');
begin
  if month <> date_trunc('month', month::timestamp)::date then raise exception 'not the first of a month: %', month; end if;
  if to_regclass('public.' || part) is not null then return; end if;
  perform pg_advisory_xact_lock(7201, 1);           -- one creator at a time
  -- Not `to_regclass`: a session that waited for the lock still remembers that there was no such table.
  if exists (select from pg_class where relname = part and relnamespace = 'public'::regnamespace) then return; end if;
  execute format('create table public.%I (like public.usage_events including all)', part);
  execute format('alter table public.usage_events attach partition public.%I for values from (%L) to (%L)', part,
    month::timestamp at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
end $$;

create table batches (                              -- one act of enrich; its number orders attributions
  id            bigint generated always as identity primary key,
  kind          text not null check (kind in ('receipt', 'healed', 'moved')),
  receipt_id    bigint,
  events        integer not null default 0,
  created_at    timestamptz not null default now(),
  aggregated_no bigint unique,                      -- drawn under the fence, so a seal splits the line cleanly
  aggregated_at timestamptz
);
create index batches_waiting on batches (id) where aggregated_no is null;
create sequence aggregated_numbers;
create table attributions (                         -- append-only and signed: a move is -1 for the old, +1 for the new
  event_no            bigint not null,
  metric_id           integer not null,
  subscription_id     integer not null,
  contract_version_id integer not null,
  billing_period_id   integer not null,
  source_id           integer not null,
  generation          smallint not null default 1,
  sign                smallint not null default 1 check (sign in (1, -1)),
  mapping_id          integer not null,
  batch_no            bigint not null,
  hour                timestamptz not null,
  quantity            numeric not null,
  value               text,                         -- what unique_count counts
  dimensions          text not null default '',
  primary key (event_no, metric_id, subscription_id, generation, sign)
);
create index attributions_batch on attributions (batch_no);
create table exclusions (
  event_no   bigint not null,
  metric_id  integer not null,
  rule_id    integer not null references exclusion_rules on delete restrict,
  source_id  integer not null,
  batch_no   bigint not null,
  hour       timestamptz not null,
  quantity   numeric not null,
  primary key (event_no, metric_id)
);
create table aggregates (
  id                  bigint generated always as identity primary key,
  subscription_id     integer not null,
  billing_period_id   integer not null,
  metric_id           integer not null,
  contract_version_id integer not null,
  lot                 integer not null,
  grain_start         timestamptz not null,
  dimensions          text not null,
  quantity            numeric not null,             -- of count and sum; unique_count reads aggregate_values
  events              bigint not null,
  revision            bigint not null default 1,
  updated_at          timestamptz not null default now(),
  unique (subscription_id, billing_period_id, metric_id, contract_version_id, lot, grain_start, dimensions)
) with (fillfactor = 80);
create index aggregates_period on aggregates (billing_period_id, subscription_id);
create table aggregate_values (                     -- over the whole period and dimension set, per lot, signed
  aggregate_id bigint not null,
  value        text not null,
  n            bigint not null,
  primary key (aggregate_id, value)
) with (fillfactor = 80);

create table control_totals (                       -- written by each step in its own transaction, folded later
  id        bigint generated always as identity,
  hop       text not null,
  source_id integer not null,
  metric_id integer not null default 0,
  hour      timestamptz not null,
  events    bigint not null,
  quantity  numeric not null,
  hash      numeric not null                        -- sum of a 64 bit hash of each event number: order does not matter
);
create index control_totals_key on control_totals (hop, source_id, metric_id, hour);
create table source_hours (                         -- what a source sent, against its quota
  source_id integer not null references sources on delete restrict,
  hour      timestamptz not null,
  events    bigint not null,
  primary key (source_id, hour)
);

-- ------------------------------------------------------------------------------------------------- billing
create table billing_runs (                         -- one act of billing a period: seals a lot, ends closed
  id                bigint generated always as identity primary key,
  billing_period_id integer not null references billing_periods on delete restrict,
  lot               integer not null,
  stage             text not null default 'open'
                    check (stage in ('open', 'frozen', 'drafted', 'approved', 'posted', 'reconciled', 'closed')),
  revision          integer not null default 1,
  invoice_on        date not null,
  posting_on        date not null,
  requested_by      text not null,
  requested_at      timestamptz not null default now(),
  approved_by       text,
  approved_at       timestamptz,
  blockers          jsonb not null default '[]',
  tried_at          timestamptz,
  closed_at         timestamptz,
  unique (billing_period_id, lot),
  check ((approved_by is null) = (approved_at is null))
);
alter table work add foreign key (close_id) references billing_runs on delete restrict;
create table billing_overrides (
  billing_run_id bigint not null references billing_runs on delete restrict,
  code           text not null,
  person         text not null,
  reason         text not null check (length(reason) > 0),
  exceptions     bigint not null,
  overridden_at  timestamptz not null default now(),
  primary key (billing_run_id, code, exceptions)    -- if more appear, they need an override of their own
);
create table rated_usages (
  id                  bigint generated always as identity primary key,
  billing_run_id      bigint not null references billing_runs on delete restrict,
  subscription_id     integer not null references subscriptions on delete restrict,
  billing_period_id   integer not null references billing_periods on delete restrict,
  contract_version_id integer not null references contract_versions on delete restrict,
  metric_id           integer not null references metrics on delete restrict,
  price_id            integer not null references prices on delete restrict,
  dimensions          text not null default '',
  lot                 integer not null,             -- reads lots up to and including this one
  revision            integer not null,
  quantity            numeric not null,
  amount              numeric not null,             -- unrounded
  currency            char(3) not null,
  trace               jsonb not null,
  is_touched          boolean not null,             -- whether this lot itself holds usage of it
  rated_at            timestamptz not null default now(),
  unique (subscription_id, billing_period_id, contract_version_id, metric_id, dimensions, lot, revision)
);
create index rated_usages_run on rated_usages (billing_run_id);
create table number_series (
  legal_entity_id text not null references legal_entities on delete restrict,
  series          text not null,
  prefix          text not null,
  digits          integer not null default 6 check (digits between 1 and 16),
  earlier         text not null default 'refuse' check (earlier in ('refuse', 'move')),   -- a date before last_on
  last_number     bigint not null default 0,
  last_on         date not null default '0001-01-01',
  primary key (legal_entity_id, series)
);
create table invoices (
  id              bigint generated always as identity primary key,
  billing_run_id  bigint not null references billing_runs on delete restrict,
  legal_entity_id text not null references legal_entities on delete restrict,
  account_id      text not null references accounts on delete restrict,
  contract_id     integer not null references contracts on delete restrict,
  kind            text not null default 'invoice' check (kind in ('invoice', 'credit_note')),
  state           text not null default 'draft'
                  check (state in ('draft', 'taxed', 'empty', 'approved', 'issued', 'posted', 'void')),
  currency        char(3) not null,
  pending         integer not null check (pending >= 0),   -- children still to be rated
  series          text,
  number          bigint,
  number_text     text,
  invoice_on      date not null,
  posting_on      date not null,
  service_starts_on date not null,
  service_ends_on date not null,                    -- exclusive
  net             numeric,
  tax             numeric,
  gross           numeric,
  correlation_id  text not null,
  created_at      timestamptz not null default now(),
  unique (billing_run_id, contract_id),
  unique (legal_entity_id, series, number),
  unique (legal_entity_id, number_text),
  check ((number is null) = (number_text is null) and (number is null) = (series is null)),
  check (gross = net + tax),
  check (state not in ('issued', 'posted') or (number is not null and gross is not null))
);
create index invoices_account on invoices (account_id);
create table invoice_lines (
  id              bigint generated always as identity primary key,
  invoice_id      bigint not null references invoices on delete restrict,
  position        integer not null check (position > 0),
  rated_usage_id  bigint not null unique references rated_usages on delete restrict,
  subscription_id integer not null references subscriptions on delete restrict,
  metric_id       integer not null references metrics on delete restrict,
  price_id        integer not null references prices on delete restrict,
  description     text not null,
  quantity        numeric not null,
  unit            text not null,
  net             numeric not null,
  tax_category    text not null,
  tax_rate        numeric not null,
  tax_evidence    jsonb not null,
  revenue_account text not null,
  service_starts_on date not null,
  service_ends_on date not null check (service_ends_on > service_starts_on),   -- exclusive
  unique (invoice_id, position)
);
create index invoice_lines_subscription on invoice_lines (subscription_id, metric_id);
create table invoice_taxes (
  invoice_id bigint not null references invoices on delete restrict,
  category   text not null,
  rate       numeric not null,
  net        numeric not null,
  tax        numeric not null,
  primary key (invoice_id, category, rate)
);
create table journal_entries (
  id              bigint generated always as identity primary key,
  legal_entity_id text not null references legal_entities on delete restrict,
  invoice_id      bigint not null unique references invoices on delete restrict,
  posting_on      date not null,
  currency        char(3) not null,
  description     text not null,
  booked_at       timestamptz not null default now()
);
create table postings (                             -- one leg; the legs of an entry sum to zero, held by a trigger
  journal_entry_id bigint not null references journal_entries on delete restrict,
  position         integer not null check (position > 0),
  ledger_account   text not null,
  amount           numeric not null check (amount <> 0),   -- debit positive, credit negative
  primary key (journal_entry_id, position)
);
create function journal_entry_balances() returns trigger language plpgsql as $$
begin
  if (select coalesce(sum(amount), 0) from postings where journal_entry_id = new.journal_entry_id) <> 0 then
    raise exception 'journal entry % does not balance', new.journal_entry_id using errcode = 'check_violation';
  end if;
  return null;
end $$;
create constraint trigger postings_balance after insert on postings
  deferrable initially deferred for each row execute function journal_entry_balances();

create table erp_postings (                         -- one document on its way into one ERP
  id            bigint generated always as identity primary key,
  invoice_id    bigint not null references invoices on delete restrict,
  connection_id text not null references erp_connections on delete restrict,
  external_key  text not null check (external_key ~ '^[A-Za-z0-9_-]{1,35}$'),
  state         text not null default 'planned'
                check (state in ('planned', 'sending', 'unknown', 'confirmed', 'rejected', 'superseded')),
  lease_no      integer not null default 0,
  lease_until   timestamptz,
  draft_ref     text,
  erp_ref       text,
  erp_number    text,
  not_found     integer not null default 0,         -- look-ups after the quiet time that found nothing
  code          text,
  read_net      numeric,                            -- what the ERP itself said when it was read back
  read_tax      numeric,
  read_gross    numeric,
  read_lines    integer,
  updated_at    timestamptz not null default now(),
  confirmed_at  timestamptz,
  reconciled_at timestamptz,
  unique (connection_id, external_key),
  check ((state = 'confirmed') = (confirmed_at is not null))
);
create unique index erp_postings_one on erp_postings (invoice_id) where state <> 'superseded';
create table erp_attempts (                         -- append-only: what was asked and what came back
  id             bigint generated always as identity primary key,
  erp_posting_id bigint not null references erp_postings on delete restrict,
  lease_no       integer not null,
  call           text not null,
  outcome        text not null,
  request        jsonb not null,
  answer         jsonb not null,
  is_stale       boolean not null default false,
  attempted_at   timestamptz not null default now()
);
create index erp_attempts_posting on erp_attempts (erp_posting_id);
create table notices (                              -- what notify owes to whom; a body is built when the fact is known
  id          bigint generated always as identity primary key,
  exchange    text not null check (exchange in ('tallyline', 'refusals')),
  routing_key text not null check (length(routing_key) between 1 and 255),
  key         text collate "C" not null unique,     -- sent by prefix, so it sorts by bytes
  body        jsonb not null,
  created_at  timestamptz not null default now(),
  sent_at     timestamptz
);
create index notices_unsent on notices (id) where sent_at is null;

-- ------------------------------------------------------------------------------------------------- rights
revoke all on all tables in schema public from public;
grant usage on schema public to tallyline_app;
grant select, insert on all tables in schema public to tallyline_app;
grant usage on all sequences in schema public to tallyline_app;
grant execute on function ensure_event_month(date) to tallyline_app;
-- What may change is named; events, attributions, exclusions, rated usage, postings, entries and attempts never do.
grant update, delete on work to tallyline_app;
grant update on exceptions, billing_periods, batches, aggregates, aggregate_values, source_hours, billing_runs,
  invoices, number_series, erp_postings, notices to tallyline_app;
grant delete on aggregate_values, control_totals to tallyline_app;
grant update on erp_connections, legal_entities, accounts, billing_cycles, subscriptions, sources, meters, metrics,
  exclusion_rules to tallyline_app;
grant update (superseded_at, ends_at) on contract_versions, mappings to tallyline_app;
grant update (ends_on) on tax_rates to tallyline_app;
grant delete on source_users to tallyline_app;
