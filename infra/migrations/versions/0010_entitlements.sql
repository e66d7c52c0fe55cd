-- What a subscription may use, and what was told of it.

-- ------------------------------------------------------------------------------------------------- master data
create table features (
  id        integer generated always as identity primary key,
  name      text not null unique check (length(name) between 1 and 64),
  kind      text not null check (kind in ('boolean', 'static', 'metered')),
  metric_id integer references metrics on delete restrict,   -- whose quantity a metered feature limits
  owner     text not null check (length(owner) between 1 and 255),
  meaning   text not null default '' check (length(meaning) <= 1000),
  unique (id, kind),
  check ((kind = 'metered') = (metric_id is not null))
);
create index features_metric on features (metric_id) where metric_id is not null;

-- What a contract version gives lasts as long as the version; what a subscription has of its own goes before it.
create table entitlements (
  id                  integer generated always as identity primary key,
  feature_id          integer not null,
  kind                text not null,
  contract_version_id integer references contract_versions on delete restrict,
  subscription_id     integer references subscriptions on delete restrict,
  is_on               boolean,
  text_value          text check (length(text_value) between 1 and 255),
  number_value        numeric check (abs(number_value) < 'Infinity'),
  limit_quantity      numeric check (limit_quantity >= 0 and limit_quantity < 'Infinity'),   -- in each billing period
  enforcement         text check (enforcement in ('hard', 'soft')),
  rollover_max        numeric check (rollover_max >= 0 and rollover_max < 'Infinity'),
  thresholds          integer[] check (cardinality(thresholds) between 1 and 10 and array_position(thresholds, null) is null
                        and 1 <= all (thresholds) and 1000 >= all (thresholds)),             -- percent of the limit
  starts_at           timestamptz not null default '0001-01-01 00:00:00+00',
  ends_at             timestamptz not null default '9999-12-31 00:00:00+00' check (ends_at > starts_at),
  recorded_at         timestamptz not null default now(),
  recorded_by         text not null default coalesce(nullif(current_setting('tallyline.person', true), ''), session_user),
  superseded_at       timestamptz not null default '9999-12-31 00:00:00+00',
  foreign key (feature_id, kind) references features (id, kind) on delete restrict,
  unique (contract_version_id, feature_id),
  check (num_nonnulls(contract_version_id, subscription_id) = 1),
  check (contract_version_id is null or (starts_at = '0001-01-01 00:00:00+00' and ends_at = '9999-12-31 00:00:00+00'
    and superseded_at = '9999-12-31 00:00:00+00')),
  check (num_nonnulls(is_on) = (kind = 'boolean')::integer),
  check (num_nonnulls(text_value, number_value) = (kind = 'static')::integer),
  check (num_nonnulls(limit_quantity, enforcement, rollover_max, thresholds) = 4 * (kind = 'metered')::integer)
);
create unique index entitlements_own on entitlements (subscription_id, feature_id, starts_at)
  where subscription_id is not null and superseded_at = '9999-12-31 00:00:00+00';

-- On top of the limit of a metered feature; never changed: what corrects one supersedes it under the same name.
create table entitlement_grants (
  id              integer generated always as identity primary key,
  subscription_id integer not null references subscriptions on delete restrict,
  feature_id      integer not null,
  kind            text not null default 'metered' check (kind = 'metered'),
  name            text not null check (length(name) between 1 and 64),
  quantity        numeric not null check (quantity >= 0 and quantity < 'Infinity'),          -- zero takes it back
  priority        integer not null check (priority between 0 and 1000),                      -- the lowest is drawn first
  starts_at       timestamptz not null,
  ends_at         timestamptz not null check (ends_at > starts_at),
  rollover_max    numeric check (rollover_max >= 0 and rollover_max < 'Infinity'),           -- null: all that is left
  recorded_at     timestamptz not null default now(),
  recorded_by     text not null default coalesce(nullif(current_setting('tallyline.person', true), ''), session_user),
  superseded_at   timestamptz not null default '9999-12-31 00:00:00+00',
  foreign key (feature_id, kind) references features (id, kind) on delete restrict
);
create unique index entitlement_grants_in_force on entitlement_grants (subscription_id, feature_id, name)
  where superseded_at = '9999-12-31 00:00:00+00';

-- ------------------------------------------------------------------------------------------------- alerts
create table entitlement_alerts (                   -- that usage reached a share of its limit: known, and told, once
  id                bigint generated always as identity primary key,
  subscription_id   integer not null references subscriptions on delete restrict,
  feature_id        integer not null references features on delete restrict,
  billing_period_id integer not null references billing_periods on delete restrict,
  threshold         integer not null check (threshold between 1 and 1000),                   -- percent
  used              numeric not null,
  limit_quantity    numeric not null,
  reached_at        timestamptz not null default now(),
  unique (subscription_id, feature_id, billing_period_id, threshold)
);

-- ------------------------------------------------------------------------------------------------- the audit log
do $$
declare
  governed record;
begin
  for governed in select * from (values
    ('features', 'r.name'),
    ('entitlements', $q$coalesce((select s.ref from subscriptions s where s.id = r.subscription_id),
       (select c.ref || '/' || v.version from contract_versions v join contracts c on c.id = v.contract_id
        where v.id = r.contract_version_id)) || '/' || (select f.name from features f where f.id = r.feature_id)$q$),
    ('entitlement_grants', $q$(select s.ref from subscriptions s where s.id = r.subscription_id) || '/'
       || (select f.name from features f where f.id = r.feature_id) || '/' || r.name$q$)
  ) as t (name, subject)
  loop
    call audit_govern(governed.name, 'id', governed.subject);
  end loop;
end $$;

-- ------------------------------------------------------------------------------------------------- rights
revoke all on features, entitlements, entitlement_grants, entitlement_alerts from public;
grant select, insert on features, entitlements, entitlement_grants, entitlement_alerts to tallyline_app;
grant update (owner, meaning) on features to tallyline_app;
grant update (ends_at, superseded_at) on entitlements to tallyline_app;
grant update (superseded_at) on entitlement_grants to tallyline_app;
grant usage on all sequences in schema public to tallyline_app;

-- What may be used is sold like what it costs: by two people, until a deployment decides otherwise.
insert into approval_policies (action, role, needs, decided_by, recorded_by)
values ('entitlements.publish', 'finance', 'always', 'approver', 'tallyline');
