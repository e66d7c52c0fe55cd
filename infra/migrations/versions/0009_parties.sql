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

-- ------------------------------------------------------------------------------------------------- audit and rights
do $$
declare
  governed record;
begin
  for governed in select * from (values
    ('subscription_quantities', 'id', $q$(select s.ref from subscriptions s where s.id = r.subscription_id)
       || '/' || r.item || '/' || r.starts_on$q$)
  ) as t (name, keys, subject)
  loop
    execute format('create trigger audit_queue before insert or delete or update on %I for each statement
      execute function audit_queue()', governed.name);
    execute format('create trigger audit_insert after insert on %I referencing new table as new_rows
      for each statement execute function audit_rows(%L, %L, %L)', governed.name, governed.keys, governed.subject,
      'to_jsonb(r)');
    execute format('create trigger audit_update after update on %I referencing old table as old_rows
      new table as new_rows for each statement execute function audit_rows(%L, %L, %L)', governed.name, governed.keys,
      governed.subject, 'to_jsonb(r)');
    execute format('create trigger audit_delete after delete on %I referencing old table as old_rows
      for each statement execute function audit_rows(%L, %L, %L)', governed.name, governed.keys, governed.subject,
      'to_jsonb(r)');
    execute format('create trigger audit_truncate before truncate on %I for each statement
      execute function audit_truncation()', governed.name);
    execute format('revoke all on %I from public', governed.name);
    execute format('grant select, insert on %I to tallyline_app', governed.name);
  end loop;
end $$;
grant update (superseded_at) on subscription_quantities to tallyline_app;
