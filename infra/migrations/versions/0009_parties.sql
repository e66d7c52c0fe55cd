-- Accounts in every system, products, who may write what.

-- A text as a range, for exclusion constraints without an extension: two texts of one owner that hash alike are refused
-- to overlap, of 2^63 there is never such a pair.
create function key_range(key text) returns int8range language sql immutable parallel safe as
  $$ select int8range(hashtextextended(key, 0) / 2, hashtextextended(key, 0) / 2, '[]') $$;

-- ------------------------------------------------------------------------------------------------- schedules
-- What holds from day to day. A row is never edited: it is superseded, so what was known at any time stays.
create table subscription_quantities (
  id              integer generated always as identity primary key,
  subscription_id integer not null references subscriptions on delete restrict,
  item            text not null check (length(item) between 1 and 64),
  quantity        numeric not null check (quantity >= 0),
  starts_on       date not null,
  ends_on         date not null default '9999-12-31' check (ends_on > starts_on),
  recorded_at     timestamptz not null default now(),
  recorded_by     text not null,
  superseded_at   timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at),
  exclude using gist (int4range(subscription_id, subscription_id, '[]') with &&, key_range(item) with &&,
    daterange(starts_on, ends_on) with &&) where (superseded_at = '9999-12-31 00:00:00+00')
);
create index subscription_quantities_known on subscription_quantities (subscription_id, item, starts_on);

create table account_identities (                   -- what another system calls an account
  id            integer generated always as identity primary key,
  system        text not null check (length(system) between 1 and 255),
  identifier    text not null check (length(identifier) between 1 and 255),
  kind          text not null check (kind ~ '^[a-z][a-z0-9_]{0,30}$'),
  account_id    text not null references accounts on delete restrict,
  starts_on     date not null,
  ends_on       date not null default '9999-12-31' check (ends_on > starts_on),
  recorded_at   timestamptz not null default now(),
  recorded_by   text not null,
  superseded_at timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at),
  exclude using gist (key_range(system || chr(10) || identifier) with &&, daterange(starts_on, ends_on) with &&)
    where (superseded_at = '9999-12-31 00:00:00+00')
);
create index account_identities_known on account_identities (system, identifier, starts_on);
create index account_identities_account on account_identities (account_id);
create table tax_registrations (                    -- the numbers under which a legal entity pays tax
  id              integer generated always as identity primary key,
  legal_entity_id text not null references legal_entities on delete restrict,
  country         char(2) not null check (country ~ '^[A-Z]{2}$'),
  number          text not null check (length(number) between 1 and 64),
  is_checked      boolean not null,                 -- false: nobody here knows how numbers of the country are made
  starts_on       date not null,
  ends_on         date not null default '9999-12-31' check (ends_on > starts_on),
  recorded_at     timestamptz not null default now(),
  recorded_by     text not null,
  superseded_at   timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at),
  exclude using gist (key_range(legal_entity_id || chr(10) || country) with &&, daterange(starts_on, ends_on) with &&)
    where (superseded_at = '9999-12-31 00:00:00+00')
);
create index tax_registrations_known on tax_registrations (legal_entity_id, country, starts_on);

-- ------------------------------------------------------------------------------------------------- contracts in time
create table contract_renewals (                    -- from the first day on, terms of so many months one after the other
  id            integer generated always as identity primary key,
  contract_id   integer not null references contracts on delete restrict,
  term_months   integer not null check (term_months between 1 and 1200),
  auto_renew    boolean not null,
  notice_days   integer not null check (notice_days between 0 and 3660),
  starts_on     date not null,
  ends_on       date not null default '9999-12-31' check (ends_on > starts_on),
  recorded_at   timestamptz not null default now(),
  recorded_by   text not null,
  superseded_at timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at),
  exclude using gist (int4range(contract_id, contract_id, '[]') with &&, daterange(starts_on, ends_on) with &&)
    where (superseded_at = '9999-12-31 00:00:00+00')
);
create table subscription_phases (                  -- what a subscription goes through: a trial, a ramp, its regular time
  id              integer generated always as identity primary key,
  subscription_id integer not null references subscriptions on delete restrict,
  phase           text not null check (length(phase) between 1 and 64),
  is_trial        boolean not null,
  starts_on       date not null,
  ends_on         date not null default '9999-12-31' check (ends_on > starts_on),
  recorded_at     timestamptz not null default now(),
  recorded_by     text not null,
  superseded_at   timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at),
  exclude using gist (int4range(subscription_id, subscription_id, '[]') with &&, daterange(starts_on, ends_on) with &&)
    where (superseded_at = '9999-12-31 00:00:00+00')
);
create table subscription_cancellations (           -- one in force at most; one that is taken back is superseded
  id              integer generated always as identity primary key,
  subscription_id integer not null references subscriptions on delete restrict,
  ends_on         date not null,                    -- the first day without it
  reason          text not null check (length(reason) between 1 and 1000),
  recorded_at     timestamptz not null default now(),
  recorded_by     text not null,
  superseded_at   timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at)
);
create unique index subscription_cancellations_in_force on subscription_cancellations (subscription_id)
  where superseded_at = '9999-12-31 00:00:00+00';
alter table subscriptions add column activated_on date;

-- ------------------------------------------------------------------------------------------------- accounts
alter table accounts
  add column parent_id  text references accounts on delete restrict check (parent_id <> id),
  add column bill_to_id text references accounts on delete restrict check (bill_to_id <> id);
create index accounts_parent on accounts (parent_id) where parent_id is not null;
create index accounts_bill_to on accounts (bill_to_id) where bill_to_id is not null;

-- Whoever writes accounts holds the audit log until the commit, so of two changes at once the second sees the first.
create function account_families_are_trees() returns trigger language plpgsql set search_path = pg_catalog, public as $$
declare
  above text := new.parent_id;
  steps integer := 0;
begin
  while above is not null loop
    steps := steps + 1;
    if above = new.id then
      raise exception 'account % would be above itself', new.id using errcode = 'check_violation',
        constraint = 'accounts_no_cycle';
    elsif steps > 32 then
      raise exception 'account % has more than 32 accounts above it', new.id using errcode = 'check_violation',
        constraint = 'accounts_depth';
    end if;
    select parent_id into above from accounts where id = above;
  end loop;
  return null;
end $$;
create constraint trigger accounts_no_cycle after insert or update on accounts deferrable initially immediate
  for each row when (new.parent_id is not null) execute function account_families_are_trees();

-- Documents go one step: whoever receives those of others receives its own. So no chain has to be followed.
create function account_receivers_receive() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if exists (select from accounts a where a.id = new.bill_to_id and a.bill_to_id is not null)
    or exists (select from accounts a where a.bill_to_id = new.id) then
    raise exception 'documents of account % would go on from their receiver', new.id using errcode = 'check_violation',
      constraint = 'accounts_bill_to_one_step';
  end if;
  return null;
end $$;
create constraint trigger accounts_bill_to_one_step after insert or update on accounts deferrable initially immediate
  for each row when (new.bill_to_id is not null) execute function account_receivers_receive();

-- ------------------------------------------------------------------------------------------------- products
create table products (
  id   text primary key check (length(id) between 1 and 64),
  name text not null check (length(name) between 1 and 255)
);
alter table metrics add column product_id text references products on delete restrict;
create index metrics_product on metrics (product_id) where product_id is not null;

-- ------------------------------------------------------------------------------------------------- systems
create table systems (                              -- other systems that keep master data, and may send it
  id        text primary key check (length(id) between 1 and 64),
  owner     text not null check (length(owner) between 1 and 255),
  users     text[] not null default '{}',           -- broker users that may speak for it
  person_id text references people on delete restrict   -- who asks where it takes an approval
);
create table field_owners (                         -- which system may write a field; nobody else may
  kind      text not null check (length(kind) between 1 and 64),
  field     text not null check (length(field) between 1 and 64),
  system_id text not null references systems on delete restrict,
  primary key (kind, field)
);
create table master_messages (                      -- what systems sent, as it came, and what became of it
  id          bigint generated always as identity primary key,
  received_at timestamptz not null default now(),
  body        bytea not null,
  properties  jsonb not null,
  hash        bytea,
  state       text not null default 'received'
              check (state in ('received', 'applied', 'unchanged', 'ignored', 'refused', 'waiting')),
  system      text,
  message_id  text,
  kind        text,
  object      text,
  version     bigint check (version > 0),
  code        text,
  sentence    text,
  request_id  bigint references approval_requests on delete restrict,
  tried_no    bigint not null default 0,            -- how far the audit log was when it was last tried
  starts      integer not null default 0,           -- looks at it since it was last settled
  decided_at  timestamptz,
  erased_at   timestamptz,
  body_hash   bytea,
  check ((state = 'refused') = (code is not null)),
  check ((state = 'waiting') <= (request_id is not null)),
  check ((erased_at is null) = (body_hash is null)),
  check (erased_at is null or (body = '' and state in ('applied', 'unchanged', 'ignored')))
);
alter table master_messages alter column body set storage external;
create index master_messages_open on master_messages (id) where state in ('received', 'waiting')
  or (state = 'refused' and code = 'master_reference_missing');
create unique index master_messages_once on master_messages (system, message_id, version)
  where state in ('applied', 'unchanged', 'waiting');
create index master_messages_said on master_messages (system, message_id, version);
create index master_messages_object on master_messages (system, kind, object, version);
create index master_messages_kept on master_messages (decided_at)
  where erased_at is null and state in ('applied', 'unchanged', 'ignored');
-- Bodies hold names and contacts. One goes when nobody can need it any more: what it says is applied, or never will be.
create function erase_messages(days integer, portion integer) returns table (message_id bigint, bytes bigint)
language sql volatile security definer set search_path = pg_catalog, public as $$
  update master_messages m set body_hash = sha256(m.body), body = '', erased_at = now()
  from (select id, octet_length(body)::bigint as bytes from master_messages
    where erased_at is null and state in ('applied', 'unchanged', 'ignored')
      and decided_at < now() - make_interval(days => greatest(days, 1))
    order by decided_at limit least(portion, 10000) for update) gone
  where m.id = gone.id returning m.id, gone.bytes $$;
revoke all on function erase_messages(integer, integer) from public;
grant execute on function erase_messages(integer, integer) to tallyline_app;
revoke all on master_messages from public;
grant select, insert on master_messages to tallyline_app;
grant update (state, hash, system, message_id, kind, object, version, code, sentence, request_id, tried_no, starts,
  decided_at) on master_messages to tallyline_app;

-- ------------------------------------------------------------------------------------------------- audit and rights
-- Puts a table under the audit log: the key of a row, and what it is called there, as expressions over the row `r`.
create procedure audit_govern(governed text, keys text, subject text) language plpgsql as $$
begin
  execute format('create trigger audit_queue before insert or delete or update on %I for each statement
    execute function audit_queue()', governed);
  execute format('create trigger audit_insert after insert on %I referencing new table as new_rows
    for each statement execute function audit_rows(%L, %L, %L)', governed, keys, subject, 'to_jsonb(r)');
  execute format('create trigger audit_update after update on %I referencing old table as old_rows
    new table as new_rows for each statement execute function audit_rows(%L, %L, %L)', governed, keys, subject,
    'to_jsonb(r)');
  execute format('create trigger audit_delete after delete on %I referencing old table as old_rows
    for each statement execute function audit_rows(%L, %L, %L)', governed, keys, subject, 'to_jsonb(r)');
  execute format('create trigger audit_truncate before truncate on %I for each statement
    execute function audit_truncation()', governed);
end $$;
revoke all on procedure audit_govern(text, text, text) from public;

do $$
declare
  governed record;
begin
  for governed in select * from (values
    ('subscription_quantities', 'id', $q$(select s.ref from subscriptions s where s.id = r.subscription_id)
       || '/' || r.item || '/' || r.starts_on$q$),
    ('contract_renewals', 'id', $q$(select c.ref from contracts c where c.id = r.contract_id) || '/' || r.starts_on$q$),
    ('subscription_phases', 'id', $q$(select s.ref from subscriptions s where s.id = r.subscription_id)
       || '/' || r.phase || '/' || r.starts_on$q$),
    ('subscription_cancellations', 'id', $q$(select s.ref from subscriptions s where s.id = r.subscription_id)
       || '/' || r.ends_on$q$),
    ('account_identities', 'id', $q$r.system || ' ' || r.identifier$q$),
    ('tax_registrations', 'id', $q$r.legal_entity_id || '/' || r.country || '/' || r.starts_on$q$),
    ('products', 'id', 'r.id'),
    ('systems', 'id', 'r.id'),
    ('field_owners', 'kind,field', $q$r.kind || '.' || r.field$q$)
  ) as t (name, keys, subject)
  loop
    call audit_govern(governed.name, governed.keys, governed.subject);
    execute format('revoke all on %I from public', governed.name);
    execute format('grant select, insert on %I to tallyline_app', governed.name);
  end loop;
end $$;
grant update (superseded_at) on subscription_quantities, account_identities, tax_registrations, contract_renewals,
  subscription_phases, subscription_cancellations to tallyline_app;
grant update (activated_on) on subscriptions to tallyline_app;
grant update (name) on products to tallyline_app;
grant update (owner, users, person_id) on systems to tallyline_app;
grant delete on field_owners to tallyline_app;
grant update (parent_id, bill_to_id) on accounts to tallyline_app;
grant update (product_id) on metrics to tallyline_app;
