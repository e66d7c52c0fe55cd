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
