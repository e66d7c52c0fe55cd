-- Sequence numbers of sources: what came, and what is missing.

alter table sources
  add column sequence_start bigint check (sequence_start between 0 and 999999999999999999),   -- null: 1
  add column gap_grace_s    integer check (gap_grace_s between 0 and 2592000);                -- null: as the fleet has it

-- What an exception is about happened between `happened_at` and this, if it is not one moment.
alter table exceptions
  add column happened_until timestamptz,
  add check (happened_until >= happened_at);
create index exceptions_gaps on exceptions (source_id) where code = 'sequence_gap' and state in ('open', 'dismissed');

create table sequence_marks (                       -- numbers as validate saw them; appended, and folded into runs
  id        bigint generated always as identity primary key,
  source_id integer not null,
  first     bigint not null check (first >= 0),
  last      bigint not null check (last >= first and last <= 999999999999999999),
  first_at  timestamptz not null,                   -- when the event with the first number happened
  last_at   timestamptz not null,
  seen_at   timestamptz not null
);
create table sequence_runs (                        -- numbers of a source that came without a break
  source_id integer not null references sources on delete restrict,
  first     bigint not null check (first >= 0),
  last      bigint not null check (last >= first and last <= 999999999999999999),
  first_at  timestamptz not null,
  last_at   timestamptz not null,
  seen_at   timestamptz not null,                   -- when the first of them was seen
  primary key (source_id, first),
  exclude using gist (int4range(source_id, source_id, '[]') with &&, int8range(first, last, '[]') with &&)
);

revoke all on sequence_marks, sequence_runs from public;
grant select, insert, delete on sequence_marks, sequence_runs to tallyline_app;
grant update (sequence_start, gap_grace_s) on sources to tallyline_app;
