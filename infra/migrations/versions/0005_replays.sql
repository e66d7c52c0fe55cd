-- Replays as objects: what they hold, how far they are, who may stop them.

create table replays (
  id           bigint generated always as identity primary key,
  kind         text not null check (kind in ('replay', 'edit', 'dismiss', 'write_off')),
  selection    jsonb not null,                      -- the filter or the ids that were asked for
  edited       jsonb,                               -- the whole event that takes the place of the one that was refused
  reason       text not null check (length(reason) between 1 and 2000),
  requested_by text not null check (length(requested_by) between 1 and 64),
  requested_at timestamptz not null default now(),
  approval_id  bigint references approval_requests on delete restrict,
  state        text not null default 'planned' check (state in ('planned', 'running', 'paused', 'done', 'cancelled')),
  forecast     jsonb,                               -- what it would come to, as of when; null: too large to say exactly
  total        integer not null default 0 check (total between 0 and 100000),
  portions     integer not null default 0,          -- released so far
  released_at  timestamptz,
  started_at   timestamptz,
  ended_at     timestamptz,
  check ((kind = 'edit') = (edited is not null)),
  check ((state in ('done', 'cancelled')) = (ended_at is not null))
);
create index replays_under_way on replays (id) where state in ('running', 'paused');
create table replay_items (
  replay_id    bigint not null references replays on delete restrict,
  exception_id bigint not null references exceptions on delete restrict,
  sort         text check (sort in ('work', 'event', 'usage')),   -- what is sent again; null: nothing is left of it
  state        text not null default 'waiting' check (state in ('waiting', 'sent', 'done', 'refused', 'skipped')),
  portion      integer,
  work_id      bigint,                              -- the work that does it
  receipt_id   bigint,                              -- where a refused event was received anew
  position     integer,
  outcome      text,
  primary key (replay_id, exception_id),
  check ((receipt_id is null) = (position is null))
);
create index replay_items_waiting on replay_items (replay_id, exception_id) where state = 'waiting';
create index replay_items_sent on replay_items (replay_id, exception_id) where state = 'sent';
create index replay_items_exception on replay_items (exception_id);

-- What stands in for the data of an accepted event when the usage of one metric is decided again; the newest counts.
create table amendments (
  id           bigint generated always as identity primary key,
  event_no     bigint not null,
  metric_id    integer not null references metrics on delete restrict,
  exception_id bigint not null references exceptions on delete restrict,
  replay_id    bigint not null references replays on delete restrict,
  data         jsonb not null check (jsonb_typeof(data) = 'object'),
  person       text not null,
  reason       text not null,
  amended_at   timestamptz not null default now()
);
create index amendments_usage on amendments (event_no, metric_id, id);

-- Dismissed: no billable usage. Written off: billable, and the loss is ours; its money at risk is the loss.
alter table exceptions add column resolution text check (resolution in ('dismissed', 'written_off'));
create index exceptions_written_off on exceptions (currency, closed_at) where resolution = 'written_off';
create function exception_resolution_ends() returns trigger language plpgsql as $$
begin
  new.resolution := null;
  return new;
end $$;
create trigger exception_resolution before update on exceptions for each row
  when (old.resolution is not null and new.state <> 'dismissed') execute function exception_resolution_ends();

revoke all on replays, replay_items, amendments from public;
grant select, insert on replays, replay_items, amendments to tallyline_app;
grant update (approval_id, state, forecast, total, portions, released_at, started_at, ended_at) on replays to tallyline_app;
grant update (state, portion, work_id, receipt_id, position, outcome) on replay_items to tallyline_app;
grant usage on all sequences in schema public to tallyline_app;
