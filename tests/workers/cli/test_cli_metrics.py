"""Metrics of every aggregation in a file of master data."""

import pytest

METER = """
meters:
  vm: {owner: product, versions: [{version: 1, fields: [{name: n, kind: decimal}, {name: who, kind: string},
    {name: op, kind: string, is_required: false}, {name: money, kind: decimal}, {name: zone, kind: integer}]}]}
metrics:
"""
EVERY = """
  least: {meter: vm, aggregation: min, property: n, unit: u}
  greatest: {meter: vm, aggregation: max, property: n, unit: u, recurring: true}
  last: {meter: vm, aggregation: latest, property: n, unit: u, negative: zero}
  mean: {meter: vm, aggregation: average, property: n, unit: u, convert: {divisor: 1000, rounding: up, scale: 2}}
  level: {meter: vm, aggregation: weighted_sum, property: n, unit: u, recurring: true}
  burst: {meter: vm, aggregation: percentile, property: n, percent: 99.9, unit: u}
  register: {meter: vm, aggregation: register, property: n, roll_over_at: 100000, unit: u}
  single: {meter: vm, aggregation: each, property: n, unit: u}
  charged: {meter: vm, aggregation: charged, property: n, amount: money, unit: u}
  peaks: {meter: vm, aggregation: peaks, property: n, by: who, unit: u}
  members: {meter: vm, aggregation: unique_count, property: who, operation: op, unit: u}
  here: {meter: vm, aggregation: count, filter: {zone: [1, "2"]}, bucket: hour, unit: u}
"""
KEPT = {
    "least": {}, "greatest": {"recurring": True}, "last": {"negative": "zero"},
    "mean": {"convert": {"divisor": "1000", "rounding": "up", "scale": 2}}, "level": {"recurring": True},
    "burst": {"percent": "99.9"}, "register": {"roll_over_at": "100000"}, "single": {}, "charged": {"amount": "money"},
    "peaks": {"by": "who"}, "members": {"operation": "op"}, "here": {"filter": {"zone": ["1", "2"]}, "bucket": "hour"},
}  # fmt: skip


def test_every_aggregation_is_kept_as_it_is_defined_and_the_same_again_changes_nothing(load):
    first = load.done(METER + EVERY)
    again = load.done(METER + EVERY)

    assert first["new"]["metrics"] == len(KEPT)
    assert (again["new"], again["changed"]) == ({}, {})
    kept = dict(load.operator.rows("select name, options from metrics where name <> 'calls'"))
    assert kept == KEPT


def test_a_later_file_with_another_version_of_the_meter_must_feed_every_metric(load):
    load.done(METER + EVERY)

    says = load.refused("""
meters:
  vm: {owner: product, versions: [{version: 2, from: 2026-02-01, fields: [{name: n, kind: decimal},
    {name: who, kind: string}, {name: op, kind: string}, {name: money, kind: string}]}]}
""")

    assert "say that money is a string, which charged cannot add up" in says
    assert "has no zone, which here reads" in says


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("{meter: vm, aggregation: median, property: n, unit: u}", "aggregation: is 'median'"),
        ("{meter: vm, aggregation: max, property: who, unit: u}", "who is a string, which odd cannot add up"),
        ("{meter: vm, aggregation: max, unit: u}", "property: is not a text"),
        ("{meter: vm, aggregation: max, property: n, percent: 5, unit: u}", "percent: is not used by max"),
        ("{meter: vm, aggregation: percentile, property: n, percent: 101, unit: u}", "percent: is 101"),
        ("{meter: vm, aggregation: average, property: n, recurring: true, unit: u}", "recurring: is not known to"),
        ("{meter: vm, aggregation: count, filter: {region: [a]}, unit: u}", "has no region, which odd reads"),
        ("{meter: vm, aggregation: count, filter: {zone: []}, unit: u}", "zone: is not a list of single values"),
        ("{meter: vm, aggregation: count, filter: {}, unit: u}", "filter: names no property"),
        ("{meter: vm, aggregation: sum, property: n, convert: {divisor: 0}, unit: u}", "divisor: is 0"),
        ("{meter: vm, aggregation: sum, property: n, bucket: week, unit: u}", "bucket: is 'week'"),
        ("{meter: vm, aggregation: charged, property: n, amount: fee, unit: u}", "has no fee, which odd reads"),
        ("{meter: vm, aggregation: peaks, property: n, by: 5, unit: u}", "by"),
    ],
)
def test_a_definition_that_is_wrong_is_refused_by_field(load, metric, says):
    assert says in load.refused(f"{METER}  odd: {metric}\n")


def test_what_a_metric_counts_is_not_edited(load):
    load.done(METER + EVERY)

    says = load.refused(METER + EVERY.replace("percent: 99.9", "percent: 95"))

    assert "quantities rest on that; add another metric" in says


USED = """
metrics:
  minutes: {meter: call.ended, aggregation: sum, property: minutes, unit: minute}
meters:
  call.ended: {owner: operations, versions: [{version: 2, from: 2026-02-01, fields: [{name: minutes, kind: decimal}]}]}
"""


def used(load) -> None:
    """A subscription with three calls in the present month and one with calls long ago."""
    load.operator.run("""insert into billing_periods (cycle_id, starts_on, ends_on, starts_at, ends_at)
      select id, d, d + 30, d, d + 30 from billing_cycles,
        (values (current_date - 10), (current_date - 300)) v (d);
      insert into aggregates (subscription_id, billing_period_id, metric_id, contract_version_id, lot, grain_start,
        dimensions, quantity, events)
      select s.id, p.id, m.id, v.id, 1, p.starts_at, '', 3, case when p.id = 1 then 3 else 70 end
      from subscriptions s, billing_periods p, metrics m, contract_versions v""")


def test_a_preview_names_whose_usage_new_metrics_and_meters_touch_and_loads_nothing(load):
    used(load)

    told = load.operator.json("master", "preview", load.file(USED))

    assert told["new"] == {"meter_versions": 1, "metrics": 1}
    touch = {"subscription": "S-1", "account": "A", "usages": 3}
    assert told["touches"] == [
        {**touch, "change": "meter call.ended version 2", "is_priced": None},
        {**touch, "change": "metric minutes", "is_priced": False},
    ]
    assert load.operator.rows("select name from metrics") == [("calls",)]
    printed = load.operator("master", "preview", load.file(USED))
    assert all(word in printed.out for word in ("metric minutes", "S-1", "would load", "no"))


def test_a_preview_of_a_file_that_brings_its_prices_or_nothing_new_says_so(load):
    used(load)
    prices = """
contracts:
  C-1: {account: A, legal_entity: us, currency: USD, versions: [{version: 2, from: 2026-02-01, prices: {
    minutes: {terms: {model: per_unit, unit_amount: "1"}, tax_category: service, revenue_account: revenue},
    calls: {terms: {model: per_unit, unit_amount: "1"}, tax_category: service, revenue_account: revenue}}}]}
"""

    told = load.operator.json("master", "preview", load.file(USED + prices))
    assert [each["is_priced"] for each in told["touches"]] == [None, True]
    load.done(USED)
    assert load.operator.json("master", "preview", load.file(USED))["touches"] == []
    assert "nobody has used a meter" in load.operator("master", "preview", load.file(USED)).out
    assert load.operator("master", "preview", load.file("metrics: {odd: {unit: u}}")).code == 2
