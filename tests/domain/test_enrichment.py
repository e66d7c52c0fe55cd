from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from domain_strategies import json_values
from hypothesis import given
from hypothesis import strategies as st

from domain.enrichment import (
    Condition,
    Excepted,
    Excluded,
    ExclusionRule,
    ExclusionRuleInvalid,
    Match,
    Usage,
    fate,
    parse_exclusion_rule,
    usages,
)
from domain.events import UsageEvent
from domain.metrics import Increment, parse_metric

pytestmark = pytest.mark.fast

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DEPARTURES = parse_metric({"name": "departures", "meter": "flight", "aggregation": "count", "unit": "flight"})
DISTANCE = parse_metric(
    {
        "name": "distance",
        "meter": "flight",
        "aggregation": "sum",
        "property": "miles",
        "requires": ["air_time"],
        "unit": "mile",
    }
)
CANCELLED = ExclusionRule(
    "cancelled", "flight", "a cancelled flight did not depart", (Condition("dep_time", "is_null"),)
)
MATCH = Match("sub-1", "con-1", 1)
FLOWN = {"dep_time": 517, "miles": 1400, "air_time": 227}


def event(data: dict[str, object] | None = None, **changes: object) -> UsageEvent:
    return UsageEvent(
        **{
            "source": "/airport",
            "event_id": "1",
            "type": "flight",
            "subject": "UA",
            "happened_at": NOON,
            "dataschema": None,
            "data": FLOWN if data is None else data,
            **changes,
        }
    )


def fates(of: UsageEvent, *, match: Match | None = MATCH) -> list[object]:
    found = usages(of, metrics=[DEPARTURES, DISTANCE], rules=[CANCELLED], match=match)
    return [usage.fate for usage in found]


def test_each_metric_of_the_meter_is_a_usage_of_its_own():
    found = usages(event(), metrics=[DEPARTURES, DISTANCE], rules=[CANCELLED], match=MATCH)

    assert found == (Usage("departures", Increment(Decimal(1))), Usage("distance", Increment(Decimal(1400))))


def test_a_cancelled_flight_is_excluded_before_its_missing_quantity_is_seen():
    excluded = Excluded("cancelled", "a cancelled flight did not depart")

    assert fates(event({"dep_time": None, "miles": 1400})) == [excluded, excluded]


def test_a_diverted_flight_counts_as_a_departure_and_is_an_exception_for_its_distance():
    departure, distance = fates(event({"dep_time": 517, "miles": 1400}))

    assert departure == Increment(Decimal(1))
    assert isinstance(distance, Excepted)
    assert (distance.code, distance.waits_for) == ("quantity_missing", None)


def test_a_quantity_that_is_no_number_is_an_exception():
    _, distance = fates(event({**FLOWN, "miles": "far"}))

    assert isinstance(distance, Excepted)
    assert distance.code == "quantity_invalid"


def test_a_missing_quantity_comes_before_a_contract_that_is_not_in_force():
    departure, distance = fates(event({"dep_time": 517, "miles": 1400}), match=Match("sub-1", "con-1", None))

    assert isinstance(departure, Excepted)
    assert isinstance(distance, Excepted)
    assert (departure.code, departure.waits_for) == ("contract_not_in_force", "contract")
    assert distance.code == "quantity_missing"


def test_an_event_without_a_subscription_waits_for_its_mapping():
    departure, distance = fates(event(), match=None)

    assert departure == distance
    assert isinstance(departure, Excepted)
    assert (departure.code, departure.waits_for) == ("subscription_not_found", "mapping")
    assert departure.fix


def test_an_event_whose_meter_has_no_metric_is_one_usage_that_waits_for_one_or_is_excluded():
    found = [usages(of, metrics=[], rules=[CANCELLED], match=MATCH) for of in (event(), event({"dep_time": None}))]

    assert [len(usages) for usages in found] == [1, 1]
    assert isinstance(found[0][0].fate, Excepted)
    assert (found[0][0].fate.code, found[0][0].fate.waits_for) == ("metric_not_found", "metric")
    assert found[1][0] == Usage(None, Excluded("cancelled", CANCELLED.reason))


def test_a_rule_holds_for_its_meter_metric_and_time_only():
    rule = ExclusionRule(
        "d", "flight", "r", CANCELLED.conditions, metric="distance", starts_at=NOON, ends_at=NOON + timedelta(hours=1)
    )
    cancelled = {"dep_time": None}

    assert rule.excludes(event(cancelled), "distance")
    assert not rule.excludes(event(cancelled), "departures")
    assert not rule.excludes(event(cancelled), None)
    assert not rule.excludes(event(cancelled, type="train"), "distance")
    assert not rule.excludes(event(cancelled, happened_at=NOON + timedelta(hours=1)), "distance")
    assert not rule.excludes(event(cancelled, happened_at=NOON - timedelta(microseconds=1)), "distance")


def test_of_two_rules_the_first_gives_its_name():
    second = ExclusionRule("second", "flight", "r", CANCELLED.conditions)

    (usage, *_) = usages(event({"dep_time": None}), metrics=[DEPARTURES], rules=[second, CANCELLED], match=MATCH)

    assert usage.fate == Excluded("second", "r")


@pytest.mark.parametrize(
    ("operator", "values", "passing", "failing"),
    [
        ("equals", ("1",), [1, Decimal("1.0"), "1"], [2, True, None, "1.0"]),
        ("equals", ("true",), [True, "true"], [False, 1]),
        ("equals", ("x",), ["x"], ["X", None]),
        ("not_equals", ("1",), [2, "x", True], [1, Decimal("1.0"), "1", None]),
        ("in", ("JFK", "7"), ["JFK", 7, "7"], ["LGA", None]),
        ("is_null", (), [None], [0, "", False, []]),
        ("is_not_null", (), [0, "", False, []], [None]),
        ("less", ("5",), [4, Decimal("4.9"), "4"], [5, "x", True, None, []]),
        ("at_most", ("5",), [5, "5.0"], [Decimal("5.1"), None]),
        ("greater", ("0.5",), [1, "0.50001"], [Decimal("0.5"), "NaN", True]),
        ("at_least", ("0",), [0, "-0"], [-1, False, "1e3"]),
    ],
)
def test_a_condition_compares_texts_or_numbers(operator, values, passing, failing):
    condition = Condition("p", operator, values)

    assert [value for value in (*passing, *failing) if condition.holds({"p": value})] == passing
    assert condition.holds({}) == (operator == "is_null")


@given(json_values(), st.sampled_from(["0", "x", "true", "0.5"]))
def test_what_is_not_null_either_equals_or_does_not(value, other):
    properties = {"p": value}
    equals, differs = (Condition("p", operator, (other,)).holds(properties) for operator in ("equals", "not_equals"))

    assert (equals, differs) == ((False, False) if value is None else (equals, not equals))
    assert Condition("p", "in", (other,)).holds(properties) == equals


@given(st.integers(-5, 5), st.integers(-5, 5))
def test_of_less_equal_and_greater_exactly_one_holds(value, other):
    held = [Condition("p", operator, (str(other),)).holds({"p": value}) for operator in ("less", "equals", "greater")]

    assert held.count(True) == 1
    assert Condition("p", "at_most", (str(other),)).holds({"p": value}) == (held[0] or held[1])
    assert Condition("p", "at_least", (str(other),)).holds({"p": value}) == (held[1] or held[2])


def test_a_rule_is_read_from_its_definition():
    rule = parse_exclusion_rule(
        {
            "name": "cargo",
            "meter": "flight",
            "metric": "distance",
            "reason": "billed elsewhere",
            "conditions": [
                {"property": "carrier", "op": "in", "value": ["5X", "FX"]},
                {"property": "miles", "op": "less", "value": "100"},
                {"property": "dep_time", "op": "is_not_null"},
            ],
        }
    )

    assert rule.metric == "distance"
    assert rule.conditions == (
        Condition("carrier", "in", ("5X", "FX")),
        Condition("miles", "less", ("100",)),
        Condition("dep_time", "is_not_null"),
    )


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        ({"property": "p", "op": "like", "value": "x"}, "conditions[0].op"),
        ({"op": "is_null"}, "conditions[0].property"),
        ({"property": "p", "op": "equals"}, "conditions[0].value"),
        ({"property": "p", "op": "equals", "value": 1}, "conditions[0].value"),
        ({"property": "p", "op": "in", "value": []}, "conditions[0].value"),
        ({"property": "p", "op": "in", "value": "JFK"}, "conditions[0].value"),
        ({"property": "p", "op": "in", "value": ["JFK", 1]}, "conditions[0].value"),
        ({"property": "p", "op": "is_null", "value": "x"}, "conditions[0].value"),
        ({"property": "p", "op": "greater", "value": "five"}, "conditions[0].value"),
        ({"property": "p", "op": "is_null", "negate": True}, "conditions[0].negate"),
    ],
)
def test_a_bad_condition_is_refused_with_the_field(condition, field):
    with pytest.raises(ExclusionRuleInvalid) as refused:
        parse_exclusion_rule({"name": "n", "meter": "m", "reason": "r", "conditions": [condition]})

    assert refused.value.field == field


def test_a_rule_without_conditions_would_exclude_everything_and_is_refused():
    with pytest.raises(ExclusionRuleInvalid) as refused:
        parse_exclusion_rule({"name": "n", "meter": "m", "reason": "r", "conditions": []})

    assert refused.value.field == "conditions"


EUROPE = parse_metric(
    {"name": "europe", "meter": "flight", "aggregation": "count", "unit": "flight", "filter": {"region": ["europe"]}}
)
ASIA = parse_metric(
    {"name": "asia", "meter": "flight", "aggregation": "count", "unit": "flight", "filter": {"region": ["asia"]}}
)


@pytest.mark.parametrize(
    ("region", "metrics", "taken"),
    [
        ("europe", [EUROPE, ASIA], ["europe"]),
        ("europe", [EUROPE, ASIA, DEPARTURES], ["europe", "departures"]),
        ("africa", [EUROPE, DEPARTURES], ["departures"]),
    ],
)
def test_an_event_is_usage_of_the_metrics_that_take_it(region, metrics, taken):
    found = usages(event({"region": region}), metrics=metrics, rules=[], match=MATCH)

    assert [usage.metric for usage in found] == taken


def test_an_event_that_no_metric_takes_is_one_usage_excluded_by_name():
    (africa,) = usages(event({"region": "africa"}), metrics=[EUROPE, ASIA], rules=[CANCELLED], match=MATCH)
    (cancelled,) = usages(event({"dep_time": None}), metrics=[EUROPE, ASIA], rules=[CANCELLED], match=MATCH)

    assert (africa.metric, africa.fate.rule) == (None, "cancelled")
    assert cancelled.fate == Excluded("cancelled", "a cancelled flight did not depart")
    (open_flight,) = usages(event({"dep_time": 1}), metrics=[EUROPE], rules=[CANCELLED], match=MATCH)
    assert (open_flight.metric, open_flight.fate.rule) == (None, "filter")


def test_usage_whose_amended_data_its_metric_does_not_take_is_excluded():
    found = fate(event({"region": "africa"}), EUROPE, rules=[], match=MATCH)

    assert isinstance(found, Excluded)
    assert found.rule == "filter"
