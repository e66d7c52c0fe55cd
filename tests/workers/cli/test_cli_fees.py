"""Metrics that no meter feeds, in a file of master data."""

import pytest

SEATS = "metrics:\n  seats: {aggregation: subscribed, property: seats, unit: seat}\n"
KEPT = "select name, aggregation, property, unit, meter_id, owner from metrics where meter_id is null order by 1"


def test_a_fee_and_seats_need_no_meter(load):
    done = load.done(SEATS + "  base: {aggregation: subscribed, unit: month, owner: ann}\n")

    assert done["new"] == {"metrics": 2}
    assert load.operator.rows(KEPT) == [
        ("base", "subscribed", None, "month", None, "ann"),
        ("seats", "subscribed", "seats", "seat", None, "finance"),
    ]


def test_the_same_file_twice_changes_nothing(load):
    load.done(SEATS)

    again = load.done(SEATS)

    assert (again["new"], again["changed"], again["same"]) == ({}, {}, {"metrics": 1})


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("{aggregation: subscribed, meter: phone.call, unit: seat}", "meter: is given, but no event feeds this metric"),
        ("{aggregation: subscribed, requires: [x], unit: seat}", "requires: is given, but no event feeds this metric"),
        ("{aggregation: count, unit: call}", "has no meter"),
    ],
)
def test_a_metric_that_nothing_or_two_things_feed_is_refused(load, metric, says):
    assert says in load.refused(f"metrics:\n  odd: {metric}\n")
    assert load.operator.rows(KEPT) == []
