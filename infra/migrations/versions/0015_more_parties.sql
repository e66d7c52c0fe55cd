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
