-- What a whole document gives or asks beside its lines: coupons, and the minimum and maximum of a contract.

-- ------------------------------------------------------------------------------------------------- master data
create table coupons (                              -- a percentage or an amount; who has it stands in contract_coupons
  id         integer generated always as identity primary key,
  name       text not null unique check (length(name) between 1 and 64),
  title      text not null check (length(title) between 1 and 255),       -- what a document calls it
  percent    numeric check (percent > 0 and percent <= 100),
  amount     numeric check (amount > 0 and amount < 'Infinity'),
  currency   char(3) check (currency ~ '^[A-Z]{3}$'),
  is_in_all  boolean not null default false,        -- the amount is given once in all, not in each billing period
  products   text[] check (cardinality(products) between 1 and 1000 and array_position(products, null) is null),
  metrics    text[] check (cardinality(metrics) between 1 and 1000 and array_position(metrics, null) is null),
  uses       integer check (uses > 0),              -- billing periods that it gives something in; null: for ever
  expires_on date,                                  -- the first day on which it gives nothing
  check (num_nonnulls(percent, amount) = 1),
  check ((amount is null) = (currency is null)),
  check (not is_in_all or amount is not null)
);
create function coupon_is_for_what_there_is() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if exists (select from unnest(new.products) n where not exists (select from products p where p.id = n))
    or exists (select from unnest(new.metrics) n where not exists (select from metrics m where m.name = n)) then
    raise exception 'coupon % is for a product or metric that is not there', new.name using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger coupon_is_for_what_there_is before insert or update on coupons
  for each row execute function coupon_is_for_what_there_is();

create table contract_coupons (                     -- that a contract has a coupon over whole days, or has it no more
  id            integer generated always as identity primary key,
  contract_id   integer not null references contracts on delete restrict,
  coupon_id     integer not null references coupons on delete restrict,
  place         integer not null check (place between 1 and 1000),        -- the lowest gives first
  is_given      boolean not null,
  starts_on     date not null,
  ends_on       date not null default '9999-12-31' check (ends_on > starts_on),
  recorded_at   timestamptz not null default now(),
  recorded_by   text not null,
  superseded_at timestamptz not null default '9999-12-31 00:00:00+00' check (superseded_at >= recorded_at),
  exclude using gist (int4range(contract_id, contract_id, '[]') with &&, int4range(coupon_id, coupon_id, '[]') with &&,
    daterange(starts_on, ends_on) with &&) where (superseded_at = '9999-12-31 00:00:00+00')
);
create index contract_coupons_known on contract_coupons (contract_id, coupon_id, starts_on);
create function contract_coupon_is_in_its_currency() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if exists (select from coupons p join contracts c on c.id = new.contract_id
    where p.id = new.coupon_id and p.currency <> c.currency) then
    raise exception 'coupon % is in another currency than contract %', new.coupon_id, new.contract_id
      using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger contract_coupon_is_in_its_currency before insert on contract_coupons
  for each row execute function contract_coupon_is_in_its_currency();

create table contract_limits (                      -- what a version asks for at least and at most of a billing period
  contract_version_id integer primary key references contract_versions on delete restrict,
  minimum             numeric check (minimum > 0 and minimum < 'Infinity'),
  maximum             numeric check (maximum > 0 and maximum < 'Infinity'),
  tax_category        text check (length(tax_category) between 1 and 64),         -- of what is topped up
  revenue_account     text check (length(revenue_account) between 1 and 255),
  check (num_nonnulls(minimum, maximum) > 0),
  check (minimum <= maximum),
  check (num_nonnulls(tax_category, revenue_account) = 2 * (minimum is not null)::integer)
);

-- ------------------------------------------------------------------------------------------------- documents
-- Beside the lines, never in their nets: one for each giver, tax treatment and revenue account. Contract and period are
-- those of the document, here so that what a contract was given of a coupon is found without its documents.
create table invoice_adjustments (
  id                  bigint generated always as identity primary key,
  invoice_id          bigint not null references invoices on delete restrict,
  position            integer not null check (position > 0),
  contract_id         integer not null references contracts on delete restrict,
  billing_period_id   integer not null references billing_periods on delete restrict,
  kind                text not null check (kind in ('coupon', 'maximum', 'minimum')),
  coupon_id           integer references coupons on delete restrict,
  contract_version_id integer references contract_versions on delete restrict,
  description         text not null check (length(description) > 0),
  net                 numeric not null check (net <> 0 and abs(net) < 'Infinity'),  -- below zero where it gives
  tax_category        text not null,
  tax_rate            numeric not null,
  tax_evidence        jsonb not null,
  revenue_account     text not null,
  service_starts_on   date not null,
  service_ends_on     date not null check (service_ends_on > service_starts_on),    -- exclusive
  trace               jsonb not null,
  unique (invoice_id, position),
  check ((coupon_id is not null) = (kind = 'coupon')),
  check ((contract_version_id is not null) = (kind <> 'coupon'))
);
create index invoice_adjustments_given on invoice_adjustments (contract_id, billing_period_id);
create function invoice_adjustment_is_of_its_document() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
begin
  if not exists (select from invoices i join billing_runs r on r.id = i.billing_run_id
    where i.id = new.invoice_id and i.contract_id = new.contract_id and r.billing_period_id = new.billing_period_id) then
    raise exception 'an adjustment is of the contract and period of its document' using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger invoice_adjustment_is_of_its_document before insert on invoice_adjustments
  for each row execute function invoice_adjustment_is_of_its_document();

-- ------------------------------------------------------------------------------------------------- audit and rights
do $$
declare
  governed record;
begin
  for governed in select * from (values
    ('coupons', 'id', 'r.name'),
    ('contract_coupons', 'id', $q$(select c.ref from contracts c where c.id = r.contract_id) || '/'
       || (select p.name from coupons p where p.id = r.coupon_id) || '/' || r.starts_on$q$),
    ('contract_limits', 'contract_version_id', $q$(select c.ref || '/' || v.version from contract_versions v
       join contracts c on c.id = v.contract_id where v.id = r.contract_version_id)$q$)
  ) as t (name, keys, subject)
  loop
    call audit_govern(governed.name, governed.keys, governed.subject);
  end loop;
end $$;
revoke all on coupons, contract_coupons, contract_limits, invoice_adjustments from public;
grant select, insert on coupons, contract_coupons, contract_limits, invoice_adjustments to tallyline_app;
grant update (title) on coupons to tallyline_app;
grant update (superseded_at) on contract_coupons to tallyline_app;
grant usage on all sequences in schema public to tallyline_app;
