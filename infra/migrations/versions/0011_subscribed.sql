-- Charges without usage: a metric that no meter feeds reads what a subscription has, its seats or simply itself.
alter table metrics alter meter_id drop not null;
alter table metrics drop constraint metrics_aggregation_check;
alter table metrics drop constraint metrics_check;
alter table metrics add constraint metrics_aggregation_check
  check (aggregation in ('count', 'sum', 'unique_count', 'min', 'max', 'latest', 'average', 'weighted_sum', 'percentile',
    'register', 'each', 'charged', 'peaks', 'subscribed'));
alter table metrics add constraint metrics_property_check
  check (aggregation = 'subscribed' or (property is null) = (aggregation = 'count'));
alter table metrics add constraint metrics_meter_check
  check ((meter_id is null) = (aggregation = 'subscribed')
    and (meter_id is not null or (requires = '{}' and dimensions = '{}')));
