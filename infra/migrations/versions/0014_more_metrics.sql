-- Metrics: readings that say that the register was reset, quantities by the days they were there, levels by the bucket.
alter table metrics
  -- As `operation` and `is_filtered`: what the statements of the line look at, row by row.
  add column reset text generated always as (options ->> 'reset') stored,
  add column is_prorated boolean not null generated always as (options ? 'prorate') stored,
  -- A level goes on from bucket to bucket, and so from period to period; of other metrics a bucket is measured alone.
  drop constraint metrics_bucket_not_recurring,
  add constraint metrics_bucket_not_recurring
    check (bucket is null or aggregation = 'weighted_sum' or not (options -> 'recurring' = 'true'));
