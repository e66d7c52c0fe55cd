-- Taxes: what proves each of them, who owes them, and what an electronic invoice must say of either party.

-- ------------------------------------------------------------------------------------------------- rates and contracts
-- The VAT category is that of EN 16931 (domain/vat.py); null: S where tax is asked for, else Z.
alter table tax_rates
  add column vat_category     text check (vat_category in ('S', 'Z', 'E', 'AE', 'K', 'G', 'O')),
  add column exemption_code   text check (length(exemption_code) between 1 and 64),
  add column exemption_reason text check (length(exemption_reason) between 1 and 1000),
  add column parts            jsonb check (jsonb_typeof(parts) = 'array'),   -- pairs of name and percent; `rate` is all
  add column is_compound      boolean not null default false,                -- each part on the net and those before it
  add check (vat_category is null or (vat_category = 'S') = (rate > 0)),
  add check (coalesce(vat_category, 'S') not in ('S', 'Z') or num_nonnulls(exemption_code, exemption_reason) = 0),
  add check (vat_category is distinct from 'E' or num_nonnulls(exemption_code, exemption_reason) > 0),
  add check (parts is not null or not is_compound);
alter table contracts
  add column prices_include_tax boolean not null default false,
  add column payment_days       integer check (payment_days between 0 and 3660);   -- null: those of the legal entity
alter table legal_entities
  add column payment_days       integer check (payment_days between 0 and 3660);   -- from the invoice date to the due date
grant update (payment_days) on contracts, legal_entities to tallyline_app;

-- ------------------------------------------------------------------------------------------------- documents
alter table invoice_lines add column asked numeric;     -- the net and the tax that the price included; null: it did not
alter table invoice_taxes
  add column vat_category     text check (vat_category in ('S', 'Z', 'E', 'AE', 'K', 'G', 'O')),   -- null as in tax_rates
  add column exemption_code   text,
  add column exemption_reason text,
  add column parts            jsonb check (jsonb_typeof(parts) = 'array');   -- pairs of name and amount that sum to `tax`
-- One category may be exempt on one line and reverse-charged on another that corrects an earlier month.
alter table invoice_taxes drop constraint invoice_taxes_pkey;
create unique index invoice_taxes_once on invoice_taxes (invoice_id, category, rate, vat_category) nulls not distinct;

-- ------------------------------------------------------------------------------------------------- parties
create table account_tax_registrations (            -- the numbers under which an account pays tax
  id            integer generated always as identity primary key,
  account_id    text not null references accounts on delete restrict,
  country       char(2) not null check (country ~ '^[A-Z]{2}$'),
  number        text not null check (length(number) between 1 and 64),
  is_checked    boolean not null,                   -- false: nobody here knows how numbers of the country are made
  starts_on     date not null,
  ends_on       date not null default '9999-12-31' check (ends_on > starts_on),
  recorded_at   timestamptz not null default now(),
  recorded_by   text not null,
  superseded_at timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at),
  exclude using gist (key_range(account_id || chr(10) || country) with &&, daterange(starts_on, ends_on) with &&)
    where (superseded_at = '9999-12-31 00:00:00+00')
);
create index account_tax_registrations_known on account_tax_registrations (account_id, country, starts_on);
create table account_tax_exemptions (               -- that an account pays no tax of a category, and what proves it
  id               integer generated always as identity primary key,
  account_id       text not null references accounts on delete restrict,
  jurisdiction     text not null check (length(jurisdiction) between 1 and 64),
  category         text not null check (length(category) between 1 and 64),      -- *: every one
  vat_category     text not null check (vat_category in ('Z', 'E', 'K', 'G', 'O')),
  exemption_code   text check (length(exemption_code) between 1 and 64),
  exemption_reason text check (length(exemption_reason) between 1 and 1000),
  certificate      text not null check (length(certificate) between 1 and 255),
  starts_on        date not null,
  ends_on          date not null default '9999-12-31' check (ends_on > starts_on),
  recorded_at      timestamptz not null default now(),
  recorded_by      text not null,
  superseded_at    timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at),
  check (vat_category <> 'E' or num_nonnulls(exemption_code, exemption_reason) > 0),
  check (vat_category <> 'Z' or num_nonnulls(exemption_code, exemption_reason) = 0),
  exclude using gist (key_range(account_id || chr(10) || jurisdiction || chr(10) || category) with &&,
    daterange(starts_on, ends_on) with &&) where (superseded_at = '9999-12-31 00:00:00+00')
);
create index account_tax_exemptions_known on account_tax_exemptions (account_id, jurisdiction, category, starts_on);
create table account_addresses (                    -- where an account is, as it stands on its invoices
  id            integer generated always as identity primary key,
  account_id    text not null references accounts on delete restrict,
  line1         text check (length(line1) between 1 and 255),
  line2         text check (length(line2) between 1 and 255),
  city          text check (length(city) between 1 and 255),
  postal_code   text check (length(postal_code) between 1 and 64),
  subdivision   text check (length(subdivision) between 1 and 255),
  country       char(2) not null check (country ~ '^[A-Z]{2}$'),
  starts_on     date not null,
  ends_on       date not null default '9999-12-31' check (ends_on > starts_on),
  recorded_at   timestamptz not null default now(),
  recorded_by   text not null,
  superseded_at timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at),
  exclude using gist (key_range(account_id) with &&, daterange(starts_on, ends_on) with &&)
    where (superseded_at = '9999-12-31 00:00:00+00')
);
create index account_addresses_known on account_addresses (account_id, starts_on);
create table legal_entity_addresses (               -- where a legal entity of ours is
  id              integer generated always as identity primary key,
  legal_entity_id text not null references legal_entities on delete restrict,
  line1           text check (length(line1) between 1 and 255),
  line2           text check (length(line2) between 1 and 255),
  city            text check (length(city) between 1 and 255),
  postal_code     text check (length(postal_code) between 1 and 64),
  subdivision     text check (length(subdivision) between 1 and 255),
  country         char(2) not null check (country ~ '^[A-Z]{2}$'),
  starts_on       date not null,
  ends_on         date not null default '9999-12-31' check (ends_on > starts_on),
  recorded_at     timestamptz not null default now(),
  recorded_by     text not null,
  superseded_at   timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at),
  exclude using gist (key_range(legal_entity_id) with &&, daterange(starts_on, ends_on) with &&)
    where (superseded_at = '9999-12-31 00:00:00+00')
);
create index legal_entity_addresses_known on legal_entity_addresses (legal_entity_id, starts_on);

-- ------------------------------------------------------------------------------------------------- audit and rights
do $$
declare
  governed record;
begin
  for governed in select * from (values
    ('account_tax_registrations', 'id', $q$r.account_id || '/' || r.country || '/' || r.starts_on$q$),
    ('account_tax_exemptions', 'id', $q$r.account_id || '/' || r.jurisdiction || '/' || r.category || '/' || r.starts_on$q$),
    ('account_addresses', 'id', $q$r.account_id || '/' || r.starts_on$q$),
    ('legal_entity_addresses', 'id', $q$r.legal_entity_id || '/' || r.starts_on$q$)
  ) as t (name, keys, subject)
  loop
    call audit_govern(governed.name, governed.keys, governed.subject);
    execute format('revoke all on %I from public', governed.name);
    execute format('grant select, insert on %I to tallyline_app', governed.name);
  end loop;
end $$;
grant update (superseded_at) on account_tax_registrations, account_tax_exemptions, account_addresses,
  legal_entity_addresses to tallyline_app;
grant usage on all sequences in schema public to tallyline_app;
