-- Metrics: readings that say of themselves that the register was reset.
alter table metrics
  add column reset text generated always as (options ->> 'reset') stored;   -- as `operation`, looked at row by row
