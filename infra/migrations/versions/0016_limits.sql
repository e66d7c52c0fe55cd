-- Limits on whatever can be measured, and alerts that no usage brings about.

-- What a metric came to when its limit was last looked at, where that is no plain sum; a projection, measured anew at any time.
create table entitlement_measures (
  subscription_id   integer not null references subscriptions on delete restrict,
  feature_id        integer not null references features on delete restrict,
  billing_period_id integer not null references billing_periods on delete restrict,
  quantity          numeric not null check (abs(quantity) < 'Infinity'),
  measured_at       timestamptz not null,
  primary key (subscription_id, feature_id, billing_period_id)
);

-- A limit that is to be judged again from an instant on. Whoever changes what it is judged by adds a row and waits for
-- nobody; a tick takes all rows of a limit together. Without a period, all of them are measured again.
create table entitlement_looks (
  id                bigint generated always as identity primary key,
  subscription_id   integer not null,
  feature_id        integer not null,
  billing_period_id integer,                         -- the first one that may hold something else than before
  due_at            timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0.02);
create index entitlement_looks_due on entitlement_looks (due_at, id);
create index entitlement_looks_of on entitlement_looks (subscription_id, feature_id, due_at);

-- The limits that a subscription has, or once had: its own, and those of its contract's versions.
create view limited_features as
  select e.subscription_id, e.feature_id from entitlements e where e.subscription_id is not null and e.kind = 'metered'
  union
  select s.id, e.feature_id from entitlements e join contract_versions v on v.id = e.contract_version_id
  join subscriptions s on s.contract_id = v.contract_id where e.kind = 'metered';

-- Now, if there is anything that it could have reached, and whenever the change begins or ends.
create function look_again(subscriptions integer[], features integer[], starts timestamptz[], ends timestamptz[])
returns void language sql as $$
  insert into entitlement_looks (subscription_id, feature_id, due_at)
  select distinct t.subscription_id, t.feature_id, w.due_at
  from unnest(subscriptions, features, starts, ends) as t (subscription_id, feature_id, starts_at, ends_at)
  join features f on f.id = t.feature_id join metrics m on m.id = f.metric_id
  cross join lateral (values (now(), true), (t.starts_at, false), (t.ends_at, false)) as w (due_at, is_now)
  where w.due_at < '9999-12-31 00:00:00+00' and (w.due_at > now() and not w.is_now
    or w.is_now and (m.aggregation = 'subscribed'
      or exists (select from aggregates g where g.subscription_id = t.subscription_id)))
  order by 1, 2, 3;
$$;

create function entitlements_are_looked_at() returns trigger language plpgsql as $$
begin
  perform look_again(array_agg(t.subscription_id), array_agg(t.feature_id), array_agg(t.starts_at), array_agg(t.ends_at))
  from (
    select c.subscription_id, c.feature_id, c.starts_at, c.ends_at from changed c
    where c.subscription_id is not null and c.kind = 'metered'
    union all
    select s.id, c.feature_id, v.starts_at, v.ends_at from changed c
    join contract_versions v on v.id = c.contract_version_id join subscriptions s on s.contract_id = v.contract_id
    where c.kind = 'metered') t;
  return null;
end $$;
create trigger entitlements_look_new after insert on entitlements referencing new table as changed
  for each statement execute function entitlements_are_looked_at();
create trigger entitlements_look_changed after update on entitlements referencing new table as changed
  for each statement execute function entitlements_are_looked_at();

create function grants_are_looked_at() returns trigger language plpgsql as $$
begin
  perform look_again(array_agg(c.subscription_id), array_agg(c.feature_id), array_agg(c.starts_at), array_agg(c.ends_at))
  from changed c;
  return null;
end $$;
create trigger entitlement_grants_look_new after insert on entitlement_grants referencing new table as changed
  for each statement execute function grants_are_looked_at();
create trigger entitlement_grants_look_changed after update on entitlement_grants referencing new table as changed
  for each statement execute function grants_are_looked_at();

create function versions_are_looked_at() returns trigger language plpgsql as $$
begin
  perform look_again(array_agg(s.id), array_agg(l.feature_id), array_agg(c.starts_at), array_agg(c.ends_at))
  from changed c join subscriptions s on s.contract_id = c.contract_id join limited_features l on l.subscription_id = s.id;
  return null;
end $$;
create trigger contract_versions_look_changed after update on contract_versions referencing new table as changed
  for each statement execute function versions_are_looked_at();

create function subscriptions_are_looked_at() returns trigger language plpgsql as $$
begin
  perform look_again(array_agg(c.id), array_agg(l.feature_id), array_agg(c.starts_at), array_agg(c.ends_at))
  from changed c join limited_features l on l.subscription_id = c.id;
  return null;
end $$;
create trigger subscriptions_look_changed after update on subscriptions referencing new table as changed
  for each statement execute function subscriptions_are_looked_at();

create function quantities_are_looked_at() returns trigger language plpgsql as $$
begin
  perform look_again(array_agg(c.subscription_id), array_agg(f.id), array_agg(c.starts_on::timestamp at time zone y.zone),
    array_agg(case when c.ends_on < '9999-12-31' then c.ends_on::timestamp at time zone y.zone else 'infinity' end))
  from changed c join subscriptions s on s.id = c.subscription_id join billing_cycles y on y.id = s.cycle_id
  join metrics m on m.aggregation = 'subscribed' and m.property = c.item join features f on f.metric_id = m.id;
  return null;
end $$;
create trigger subscription_quantities_look_new after insert on subscription_quantities referencing new table as changed
  for each statement execute function quantities_are_looked_at();
create trigger subscription_quantities_look_changed after update on subscription_quantities referencing new table as changed
  for each statement execute function quantities_are_looked_at();

-- What stood before there were looks.
select look_again(array_agg(t.subscription_id), array_agg(t.feature_id), array_agg(t.starts_at), array_agg(t.ends_at))
from (
  select e.subscription_id, e.feature_id, e.starts_at, e.ends_at from entitlements e
  where e.subscription_id is not null and e.kind = 'metered' and e.superseded_at = '9999-12-31 00:00:00+00'
  union all
  select s.id, e.feature_id, v.starts_at, v.ends_at from entitlements e
  join contract_versions v on v.id = e.contract_version_id and v.superseded_at = '9999-12-31 00:00:00+00'
  join subscriptions s on s.contract_id = v.contract_id where e.kind = 'metered'
  union all
  select g.subscription_id, g.feature_id, g.starts_at, g.ends_at from entitlement_grants g
  where g.superseded_at = '9999-12-31 00:00:00+00') t;

revoke all on entitlement_measures, entitlement_looks, limited_features from public;
grant select, insert, update, delete on entitlement_measures to tallyline_app;
grant select, insert, update, delete on entitlement_looks to tallyline_app;   -- `for update` takes the right to update
grant select on limited_features to tallyline_app;
grant usage on all sequences in schema public to tallyline_app;

-- ------------------------------------------------------------------------------------------------- prepaid credits
-- What grants hold, kept by the entries themselves: nobody sums up the entries of all time to find those that hold something.
create table credit_balances (
  grant_id integer primary key references credit_grants on delete restrict,
  held     numeric not null check (held >= 0)
) with (fillfactor = 70);
create index credit_balances_held on credit_balances (grant_id) where held > 0;
insert into credit_balances select grant_id, sum(amount) from credit_entries group by 1;

-- An end that is booked follows what is drawn and comes back afterwards, so both of its entries may have either sign; what
-- was carried into a grant grows no larger than the one it comes from.
alter table credit_entries drop constraint credit_entries_check;
alter table credit_entries add constraint credit_entries_check
  check (amount <> 0 and case when kind in ('granted', 'returned') then amount > 0 when kind = 'drawn' then amount < 0 else true end);
create or replace function credit_entries_are_covered() returns trigger language plpgsql
security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  now_held numeric;
  most numeric;
begin
  insert into credit_balances (grant_id, held) values (new.grant_id, 0) on conflict do nothing;
  select b.held + new.amount into now_held from credit_balances b where b.grant_id = new.grant_id for update;
  select coalesce(o.amount, g.amount) into most from credit_grants g left join credit_grants o on o.id = g.carried_from
  where g.id = new.grant_id;
  if now_held < 0 or now_held > most then
    raise exception 'credit grant % would hold %', new.grant_id, now_held using errcode = 'check_violation';
  end if;
  update credit_balances set held = now_held where grant_id = new.grant_id;
  return null;
end $$;
revoke all on credit_balances from public;
grant select on credit_balances to tallyline_app;
