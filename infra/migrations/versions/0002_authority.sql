-- Who may do what: people, the roles they hold, their tokens, policies, and requests for approval with their decisions.
-- Nothing here is deleted: a role, token or policy ends, and the row says when and by whom.

create table people (
  id          text primary key check (id ~ '^[a-z0-9][a-z0-9._@-]{0,63}$'),
  name        text not null check (length(name) between 1 and 200),
  created_at  timestamptz not null default now(),
  created_by  text not null,
  disabled_at timestamptz,
  disabled_by text,
  check ((disabled_at is null) = (disabled_by is null))
);
create table person_roles (
  id         bigint generated always as identity primary key,
  person_id  text not null references people on delete restrict,
  role       text not null check (role in ('viewer', 'operator', 'finance', 'approver', 'admin')),
  granted_at timestamptz not null default now(),
  granted_by text not null,
  revoked_at timestamptz,
  revoked_by text,
  check ((revoked_at is null) = (revoked_by is null))
);
create unique index person_roles_held on person_roles (person_id, role) where revoked_at is null;
create table api_tokens (                           -- only the hash of a token is kept; it is shown once, when made
  id           bigint generated always as identity primary key,
  person_id    text not null references people on delete restrict,
  hash         bytea not null unique check (length(hash) = 32),
  scopes       text[] not null check (cardinality(scopes) > 0),
  label        text not null default '' check (length(label) <= 200),
  created_at   timestamptz not null default now(),
  created_by   text not null,
  expires_at   timestamptz not null check (expires_at > created_at),
  used_at      timestamptz,
  revoked_at   timestamptz,
  revoked_by   text,
  check ((revoked_at is null) = (revoked_by is null))
);
create index api_tokens_person on api_tokens (person_id);
create table approval_policies (                    -- one in force for each action, role and currency
  id            bigint generated always as identity primary key,
  action        text not null check (length(action) between 1 and 64),
  role          text not null check (role in ('viewer', 'operator', 'finance', 'approver', 'admin')),
  needs         text not null check (needs in ('nothing', 'above_limit', 'always')),
  currency      char(3) check (currency ~ '^[A-Z]{3}$'),
  money_max     numeric check (money_max >= 0),
  decided_by    text not null check (decided_by in ('operator', 'finance', 'approver', 'admin')),
  expires_h     integer not null default 72 check (expires_h between 1 and 8760),
  recorded_at   timestamptz not null default now(),
  recorded_by   text not null,
  superseded_at timestamptz,
  superseded_by text,
  check ((needs = 'above_limit') = (currency is not null)),
  check ((currency is null) = (money_max is null)),
  check ((superseded_at is null) = (superseded_by is null))
);
create unique index approval_policies_in_force on approval_policies (action, role, coalesce(currency, '   '))
  where superseded_at is null;
create table approval_requests (                    -- what somebody asks to be allowed to do, exactly as it would be done
  id           bigint generated always as identity primary key,
  deed         text not null check (length(deed) between 1 and 64),
  actions      text[] not null check (cardinality(actions) > 0),
  subject      text not null check (length(subject) between 1 and 300),
  summary      text not null check (length(summary) between 1 and 2000),
  reason       text not null check (length(reason) between 1 and 2000),
  payload      jsonb not null,
  attachment   bytea,
  effect       jsonb not null default '{}',         -- money by currency, as decimal texts; null where nobody can say
  decided_by   text not null check (decided_by in ('operator', 'finance', 'approver', 'admin')),
  requested_by text not null references people on delete restrict,
  requested_at timestamptz not null default now(),
  expires_at   timestamptz not null check (expires_at > requested_at),
  state        text not null default 'open' check (state in ('open', 'granted', 'refused', 'withdrawn', 'expired', 'stale')),
  closed_at    timestamptz,
  outcome      jsonb,
  unique (id, requested_by),
  check ((state = 'open') = (closed_at is null))
);
create index approval_requests_open on approval_requests (id) where state = 'open';
create unique index approval_requests_one on approval_requests (deed, subject) where state = 'open';
create table approval_decisions (                   -- never by the requester: the database holds it, not only the code
  request_id   bigint primary key,
  requested_by text not null,
  decided_by   text not null references people on delete restrict,
  verdict      text not null check (verdict in ('granted', 'refused')),
  note         text not null default '' check (length(note) <= 2000),
  decided_at   timestamptz not null default now(),
  foreign key (request_id, requested_by) references approval_requests (id, requested_by) on delete restrict,
  check (decided_by <> requested_by)
);

revoke all on people, person_roles, api_tokens, approval_policies, approval_requests, approval_decisions from public;
grant select, insert on people, person_roles, api_tokens, approval_policies, approval_requests, approval_decisions
  to tallyline_app;
grant update (name, disabled_at, disabled_by) on people to tallyline_app;
grant update (revoked_at, revoked_by) on person_roles to tallyline_app;
grant update (revoked_at, revoked_by, used_at) on api_tokens to tallyline_app;
grant update (superseded_at, superseded_by) on approval_policies to tallyline_app;
grant update (state, closed_at, outcome) on approval_requests to tallyline_app;
grant usage on all sequences in schema public to tallyline_app;

-- What needs a second person until a deployment decides otherwise. An action that no policy speaks of does not happen.
insert into approval_policies (action, role, needs, decided_by, recorded_by)
select action, role, needs, 'approver', 'tallyline' from (values
  ('prices.publish', 'finance', 'always'), ('mappings.publish', 'finance', 'always'),
  ('mappings.publish', 'operator', 'always'), ('meters.publish', 'operator', 'always'),
  ('taxes.publish', 'finance', 'always'), ('rules.publish', 'finance', 'always'),
  ('parties.publish', 'finance', 'nothing'), ('sources.publish', 'operator', 'nothing'),
  ('sources.publish', 'admin', 'nothing'), ('replay.edit', 'finance', 'always'),
  ('documents.repair', 'finance', 'always'), ('runs.request', 'finance', 'nothing'),
  ('runs.request', 'operator', 'nothing'), ('runs.override', 'finance', 'nothing'),
  ('runs.override_total', 'finance', 'always'), ('runs.approve', 'approver', 'nothing'),
  ('runs.reopen', 'finance', 'always'), ('credits.grant', 'finance', 'always'),
  ('exceptions.assign', 'operator', 'nothing'), ('exceptions.assign', 'finance', 'nothing'),
  ('replay.control', 'operator', 'nothing'), ('replay.control', 'finance', 'nothing'),
  ('retention.erase', 'operator', 'nothing'), ('people.change', 'admin', 'nothing'),
  ('policies.change', 'admin', 'always')) as t (action, role, needs);
insert into approval_policies (action, role, needs, currency, money_max, decided_by, recorded_by)
select action, role, 'above_limit', currency, money_max * factor, 'approver', 'tallyline' from (values
  ('replay.technical', 'operator', 10000), ('replay.technical', 'finance', 10000),
  ('replay.business', 'finance', 10000), ('exceptions.dismiss', 'finance', 1000),
  ('exceptions.write_off', 'finance', 1000)) as t (action, role, money_max)
cross join (values ('EUR', 1), ('USD', 1), ('GBP', 1), ('CHF', 1), ('JPY', 150)) as c (currency, factor);
