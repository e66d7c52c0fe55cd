-- Parties: what more of them is known.

-- ------------------------------------------------------------------------------------------------- debtors
-- What the ERP calls whoever pays: an identity of the account in the connection's system, of one kind.
alter table erp_connections
  add column debtor_system text check (length(debtor_system) between 1 and 255),   -- null: the connection's own name
  add column debtor_kind   text not null default 'debtor' check (debtor_kind ~ '^[a-z][a-z0-9_]{0,30}$'),
  add column needs_debtor  boolean not null default false;                         -- no document goes out without one
grant update (debtor_system, debtor_kind, needs_debtor) on erp_connections to tallyline_app;
alter table erp_postings
  add column debtor text check (length(debtor) between 1 and 255);                 -- what the last call named

-- ------------------------------------------------------------------------------------------------- contracts that end
-- A contract whose last term does not renew ends with it, and so do its subscriptions; one that would have gone on keeps
-- its own end beside the effective one, so that it goes on if the contract does.
alter table contracts
  add column ends_at timestamptz not null default '9999-12-31 00:00:00+00';
create index contracts_ending on contracts (ends_at) where ends_at < '9999-12-31 00:00:00+00';
alter table subscriptions
  add column own_ends_at timestamptz check (own_ends_at > ends_at);
grant update (ends_at) on contracts to tallyline_app;
grant update (own_ends_at) on subscriptions to tallyline_app;

-- ------------------------------------------------------------------------------------------------- priced phases
-- A subscription with phases that have prices of their own has a timeline of its own from the first of them on: its
-- contract's versions cut into stretches, each with the prices of the phase that lies over it, or else with those of the
-- version. Derived, never said.
alter table subscription_phases
  add column plan   text check (length(plan) between 3 and 63),
  add column prices text check (jsonb_typeof(prices::jsonb) = 'object'),
  add check (plan is null or prices is null);
alter table contract_versions
  add column subscription_id integer references subscriptions on delete restrict,       -- null: the contract's own
  add column copy_of  integer references contract_versions on delete restrict,          -- the version it is a stretch of
  add column phase_id integer references subscription_phases on delete restrict,        -- whose prices it has
  add column own_of   integer not null generated always as (coalesce(subscription_id, 0)) stored,
  add check ((subscription_id is null) = (copy_of is null)),
  add check (phase_id is null or subscription_id is not null);
alter table contract_versions drop constraint contract_versions_contract_id_version_key;
create unique index contract_versions_numbered on contract_versions (contract_id, version) where subscription_id is null;
drop index contract_versions_in_force;
create unique index contract_versions_in_force on contract_versions (contract_id, own_of, starts_at)
  where superseded_at = '9999-12-31 00:00:00+00';
create index contract_versions_contract on contract_versions (contract_id);
create index contract_versions_copies on contract_versions (copy_of) where copy_of is not null;
alter table subscriptions                            -- from when on it follows its own timeline, before that its contract's
  add column terms_from timestamptz not null default '9999-12-31 00:00:00+00';
grant update (terms_from) on subscriptions to tallyline_app;

-- ------------------------------------------------------------------------------------------------- messages that wait
-- Looks that end unexpectedly come further and further apart, so that a fault of ours makes no message poison at once.
alter table master_messages add column due_at timestamptz not null default now();
grant update (due_at) on master_messages to tallyline_app;
