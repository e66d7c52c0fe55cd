-- A cycle's periods: so many months each, from an anchor; when their runs are asked for, and when they are due.
alter table billing_cycles
  add column months smallint not null default 1 check (months in (1, 2, 3, 4, 6, 12)),
  add column anchor_day smallint not null default 1 check (anchor_day between 1 and 31),
  add column anchor_month smallint not null default 1 check (anchor_month between 1 and 12),
  add column bill_after_days smallint check (bill_after_days between 0 and 90),     -- null: a person asks for it
  add column deadline_days smallint check (deadline_days between 1 and 90);
grant update (bill_after_days, deadline_days) on billing_cycles to tallyline_app;
