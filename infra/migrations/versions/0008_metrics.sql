-- All aggregations, which events a metric takes, what it carries over, and the hours, days and months it is taken by.
alter table metrics drop constraint metrics_aggregation_check;
alter table metrics add constraint metrics_aggregation_check check (aggregation in ('count', 'sum', 'unique_count',
  'min', 'max', 'latest', 'average', 'weighted_sum', 'percentile', 'register', 'each', 'charged', 'peaks'));
alter table metrics
  add column options jsonb not null default '{}'        -- what its definition says beyond the other columns, as read
    constraint metrics_options_check check (jsonb_typeof(options) = 'object'),
  -- What the statements of the line look at, row by row.
  add column also_needed text[] not null
    generated always as (array_remove(requires || array[options ->> 'amount', options ->> 'by'], null)) stored,
  add column operation text generated always as (options ->> 'operation') stored,
  add column is_filtered boolean not null generated always as (options ? 'filter') stored,
  add column is_recurring boolean not null
    generated always as (aggregation = 'register' or coalesce(options -> 'recurring' = 'true', false)) stored,
  add column bucket text
    constraint metrics_bucket_check check (bucket in ('hour', 'day', 'month'))
    generated always as (options ->> 'bucket') stored,
  -- Whose quantity is a sum or a count of what its windows keep, so that the database reads it itself.
  add column is_plain boolean not null
    generated always as (aggregation in ('count', 'sum', 'unique_count') and options - 'filter' = '{}') stored,
  add constraint metrics_bucket_not_recurring check (bucket is null or not (options -> 'recurring' = 'true'));

alter table attributions add column grain_start timestamptz;   -- of a metric with buckets; null: the whole period
alter table exclusions alter column rule_id drop not null;     -- null: no metric's filter takes the event

-- Made once from the cycle's calendar, as the periods are: SQL compares instants and knows no zone.
create table buckets (
  cycle_id  integer not null references billing_cycles on delete restrict,
  bucket    text not null check (bucket in ('hour', 'day', 'month')),
  starts_at timestamptz not null,
  ends_at   timestamptz not null check (ends_at > starts_at),
  primary key (cycle_id, bucket, starts_at)
);
revoke all on buckets from public;
grant select, insert on buckets to tallyline_app;
