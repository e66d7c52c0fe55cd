-- Price books: what was published, when and by whom; and which charge of a book a contract's price was copied from.

create table price_book_versions (                  -- valid from a day until the next day from which a version is
  id          integer generated always as identity primary key,
  book        text not null check (book ~ '^[a-z][a-z0-9-]{0,30}$'),
  version     integer not null check (version > 0),
  currency    char(3) not null check (currency ~ '^[A-Z]{3}$'),
  valid_from  date not null check (valid_from between '0001-01-01' and '9999-12-31'),
  recorded_at timestamptz not null default now(),
  recorded_by text not null check (length(recorded_by) between 1 and 200),
  file_sha256 bytea not null check (length(file_sha256) = 32),
  unique (book, version),
  unique (book, valid_from, recorded_at)
);
create table price_book_plans (
  id         integer generated always as identity primary key,
  version_id integer not null references price_book_versions on delete restrict,
  name       text not null check (name ~ '^[a-z][a-z0-9-]{0,30}$'),
  title      text not null check (length(title) between 1 and 255),
  unique (version_id, name)
);
create table price_book_charges (
  id              integer generated always as identity primary key,
  plan_id         integer not null references price_book_plans on delete restrict,
  metric_id       integer not null references metrics on delete restrict,
  terms           jsonb not null check (terms ? 'model'),
  tax_category    text not null check (length(tax_category) between 1 and 64),
  revenue_account text not null check (length(revenue_account) between 1 and 255),
  unique (plan_id, metric_id)                       -- two prices for one metric are never in force
);
alter table prices add book_charge_id integer references price_book_charges on delete restrict;
create index prices_book_charge on prices (book_charge_id) where book_charge_id is not null;

-- ------------------------------------------------------------------------------------------------- a version is whole
-- Nothing is recorded as of another time than now, so nothing that was known at a time changes afterwards.
create function price_book_version_is_of_now() returns trigger language plpgsql as $$
begin
  new.recorded_at := now();
  return new;
end $$;
create trigger price_book_of_now before insert on price_book_versions
  for each row execute function price_book_version_is_of_now();

-- Plans and charges come in the transaction that records their version, and never later.
create function price_book_part_is_of_now() returns trigger language plpgsql as $$
declare
  of_version integer := case tg_table_name when 'price_book_plans' then (to_jsonb(new) ->> 'version_id')::integer
    else (select p.version_id from price_book_plans p where p.id = (to_jsonb(new) ->> 'plan_id')::integer) end;
begin
  if not exists (select from price_book_versions v where v.id = of_version and v.recorded_at = now()) then
    raise exception 'version % of a price book is published and never changes', of_version
      using errcode = 'check_violation', hint = 'Publish another version of the book.';
  end if;
  return new;
end $$;
create trigger price_book_of_now before insert on price_book_plans
  for each row execute function price_book_part_is_of_now();
create trigger price_book_of_now before insert on price_book_charges
  for each row execute function price_book_part_is_of_now();

create function price_book_is_not_empty() returns trigger language plpgsql as $$
begin
  if tg_table_name = 'price_book_versions' and not exists (select from price_book_plans p where p.version_id = new.id)
    or tg_table_name = 'price_book_plans' and not exists (select from price_book_charges c where c.plan_id = new.id) then
    raise exception 'a price book has plans, and a plan has charges' using errcode = 'check_violation';
  end if;
  return null;
end $$;
create constraint trigger price_book_not_empty after insert on price_book_versions
  deferrable initially deferred for each row execute function price_book_is_not_empty();
create constraint trigger price_book_not_empty after insert on price_book_plans
  deferrable initially deferred for each row execute function price_book_is_not_empty();

-- A price that names a charge is that charge, in the currency of its contract.
create function price_is_its_charge() returns trigger language plpgsql as $$
begin
  if not exists (
    select from price_book_charges c join price_book_plans p on p.id = c.plan_id
    join price_book_versions b on b.id = p.version_id
    join contract_versions v on v.id = new.contract_version_id join contracts k on k.id = v.contract_id
    where c.id = new.book_charge_id and b.currency = k.currency and c.metric_id = new.metric_id
      and (c.terms, c.tax_category, c.revenue_account) = (new.terms, new.tax_category, new.revenue_account))
  then
    raise exception 'a price differs from the charge % that it names', new.book_charge_id
      using errcode = 'check_violation', hint = 'Copy the charge as it is, or name none.';
  end if;
  return new;
end $$;
create trigger price_is_its_charge before insert or update on prices
  for each row when (new.book_charge_id is not null) execute function price_is_its_charge();

-- ------------------------------------------------------------------------------------------------- audit and rights
do $$
declare
  governed record;
begin
  for governed in select * from (values
    ('price_book_versions', 'id', $q$r.book || '/' || r.version$q$),
    ('price_book_plans', 'id', $q$(select v.book || '/' || v.version from price_book_versions v
       where v.id = r.version_id) || '/' || r.name$q$),
    ('price_book_charges', 'id', $q$(select v.book || '/' || v.version || '/' || p.name from price_book_plans p
       join price_book_versions v on v.id = p.version_id where p.id = r.plan_id)
       || '/' || (select m.name from metrics m where m.id = r.metric_id)$q$)
  ) as t (name, keys, subject)
  loop
    call audit_govern(governed.name, governed.keys, governed.subject);
    execute format('create trigger price_book_stays before update or delete or truncate on %I for each statement
      execute function audit_is_append_only()', governed.name);
    execute format('revoke all on %I from public', governed.name);
    execute format('grant select, insert on %I to tallyline_app', governed.name);
  end loop;
end $$;
