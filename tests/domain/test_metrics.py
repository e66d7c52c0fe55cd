from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from domain_strategies import numbers
from hypothesis import given
from hypothesis import strategies as st

from domain.metrics import Increment, Kept, MetricInvalid, Observation, Span, metric_json, parse_metric
from domain.metrics.aggregation import AggregateNegative, QuantityInvalid
from domain.metrics.metric import QuantityMissing
from domain.periods import MonthlyCycle

pytestmark = pytest.mark.fast

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
JANUARY = Span.whole(MonthlyCycle("UTC").period_at(NOON))
DEPARTURES = {"name": "departures", "meter": "flight", "aggregation": "count", "unit": "flight"}
DISTANCE = {
    "name": "distance",
    "meter": "flight",
    "aggregation": "sum",
    "property": "miles",
    "requires": ["air_time"],
    "dimensions": ["origin"],
    "unit": "mile",
}
AIRCRAFT = {
    "name": "aircraft",
    "meter": "flight",
    "aggregation": "unique_count",
    "property": "tail",
    "unit": "aircraft",
}


@pytest.mark.parametrize("fields", [DEPARTURES, DISTANCE, AIRCRAFT], ids=lambda fields: fields["aggregation"])
def test_what_is_printed_is_read_as_the_same_metric(fields):
    metric = parse_metric(fields)

    assert parse_metric(metric_json(metric)) == metric


def test_a_count_adds_one_for_any_event():
    metric = parse_metric(DEPARTURES)

    assert metric.contribution({}, happened_at=NOON) == Increment(Decimal(1))
    assert metric.dimension_text({"origin": "JFK"}) == ""


def test_a_sum_adds_the_property_and_keeps_dimensions_apart():
    metric = parse_metric(DISTANCE)

    assert metric.contribution({"miles": 1400, "air_time": 227}, happened_at=NOON) == Increment(Decimal(1400))
    assert metric.dimension_text({"origin": "JFK"}) == '{"origin": "JFK"}'
    assert metric.dimension_text({}) == '{"origin": null}'


def test_a_sum_takes_a_decimal_text_for_its_number():
    assert parse_metric(DISTANCE).contribution({"miles": "1400.50", "air_time": 1}, happened_at=NOON) == Increment(
        Decimal("1400.5")
    )


def test_a_producer_that_begins_to_quote_its_numbers_has_no_more_of_them():
    metric = parse_metric(AIRCRAFT)

    values = [metric.contribution({"tail": tail}, happened_at=NOON) for tail in ("1", 1, Decimal("1.0"), "N1")]

    assert values == [Observation("1"), Observation("1"), Observation("1"), Observation("N1")]
    assert metric.measured([Kept.of((value, 1) for value in values)], JANUARY).quantity == 2


@pytest.mark.parametrize(
    ("properties", "missing"),
    [({"miles": 1400}, "air_time"), ({"miles": None, "air_time": 227}, "miles"), ({}, "air_time")],
)
def test_an_event_without_a_needed_property_has_no_quantity(properties, missing):
    with pytest.raises(QuantityMissing) as refused:
        parse_metric(DISTANCE).contribution(properties, happened_at=NOON)

    assert refused.value.facts == {"field": missing, "metric": "distance"}


@pytest.mark.parametrize("value", ["far", "NaN", True, [1400], {"miles": 1}])
def test_what_is_no_number_is_not_summed(value):
    with pytest.raises(QuantityInvalid):
        parse_metric(DISTANCE).contribution({"miles": value, "air_time": 1}, happened_at=NOON)


@given(st.lists(st.tuples(numbers(), st.booleans()), max_size=20), st.randoms())
def test_a_sum_taken_back_is_gone_in_any_order(values, random):
    metric = parse_metric({**DISTANCE, "requires": []})
    signed = []
    for number, is_taken_back in values:
        contribution = metric.contribution({"miles": number}, happened_at=NOON)
        signed += [(contribution, 1), (contribution, -1)] if is_taken_back else [(contribution, 1)]
    random.shuffle(signed)

    left = sum(Fraction(number) for number, is_taken_back in values if not is_taken_back)
    assert Fraction(metric.measured([Kept.of(signed)], JANUARY).quantity) == left


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=20), st.randoms())
def test_a_value_taken_back_as_often_as_it_was_seen_does_not_count(values, random):
    metric = parse_metric(AIRCRAFT)
    signed = []
    for tail, is_taken_back in values:
        contribution = metric.contribution({"tail": tail}, happened_at=NOON)
        signed += [(contribution, 1), (contribution, -1)] if is_taken_back else [(contribution, 1)]
    random.shuffle(signed)

    assert metric.measured([Kept.of(signed)], JANUARY).quantity == len(
        {tail for tail, is_taken_back in values if not is_taken_back}
    )


def test_a_value_taken_back_more_often_than_it_was_seen_is_refused():
    kept = Kept.of([(Observation("x"), 1), (Observation("x"), -1), (Observation("x"), -1)])

    with pytest.raises(AggregateNegative) as refused:
        parse_metric(AIRCRAFT).measured([kept], JANUARY)

    assert refused.value.facts == {"value": "x", "times": -1}


def test_what_one_batch_takes_back_another_has_given():
    given, taken = Kept.of([(Observation("x"), 1)]), Kept.of([(Observation("x"), -1)])

    assert taken + given == Kept()
    assert Kept.of([(Increment(Decimal(2)), 1)]) + Kept.of([(Increment(Decimal(2)), -1)]) == Kept()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"aggregation": "median"}, "aggregation"),
        ({"aggregation": "count"}, "property"),
        ({"property": None}, "property"),
        ({"name": ""}, "name"),
        ({"meter": 7}, "meter"),
        ({"unit": "x" * 256}, "unit"),
        ({"requires": "air_time"}, "requires"),
        ({"requires": ["a", "a"]}, "requires"),
        ({"requires": [""]}, "requires"),
        ({"dimensions": [1]}, "dimensions"),
        ({"filter": {}}, "filter"),
        ({"filter": "europe"}, "filter"),
        ({"filter": {"": ["europe"]}}, "filter"),
        ({"filter": {"region": []}}, "filter.region"),
        ({"filter": {"region": ["europe", None]}}, "filter.region"),
        ({"convert": {"divisor": "0"}}, "convert.divisor"),
        ({"recurring": "yes"}, "recurring"),
        ({"aggregation": "average", "recurring": True}, "recurring"),
        ({"bucket": "week"}, "bucket"),
        ({"aggregation": "peaks", "by": "origin", "bucket": "hour"}, "bucket"),
        ({"prorate": "days", "bucket": "day"}, "bucket"),
        ({"aggregation": "unique_count", "prorate": "days", "bucket": "day"}, "bucket"),
        ({"prorate": "hours"}, "prorate"),
        ({"aggregation": "max", "prorate": "days"}, "prorate"),
        ({"bucket": "day", "recurring": True}, "recurring"),
        ({"negative": "none"}, "negative"),
        ({"aggregation": "percentile"}, "percent"),
        ({"aggregation": "percentile", "percent": "0"}, "percent"),
        ({"aggregation": "percentile", "percent": "100.1"}, "percent"),
        ({"percent": "95"}, "percent"),
        ({"aggregation": "register", "roll_over_at": "-1"}, "roll_over_at"),
        ({"aggregation": "register", "jump_max": "0"}, "jump_max"),
        ({"aggregation": "register", "resets": "marked"}, "resets"),
        ({"resets": "allowed"}, "resets"),
        ({"aggregation": "charged"}, "amount"),
        ({"aggregation": "peaks"}, "by"),
        ({"operation": "op"}, "operation"),
    ],
)
def test_a_bad_definition_is_refused_with_the_field(change, field):
    with pytest.raises(MetricInvalid) as refused:
        parse_metric({**DISTANCE, **change})

    assert refused.value.field == field
