"""A price that needs more than its metric keeps is found before it is applied."""

from datetime import UTC, datetime

import pytest
from domain_strategies import DIMENSION, FALLING, RISING, usage_of
from hypothesis import given
from hypothesis import strategies as st

from domain.metrics import Kept as KeptOfWindow
from domain.metrics import parse_metric
from domain.metrics.aggregation import Span
from domain.periods import MonthlyCycle
from domain.prices import Measured, NotMeasured, parse_price
from domain.prices.needs import PART_OF, Kept, misfit, needs

pytestmark = pytest.mark.fast

PER_UNIT = {"model": "per_unit", "unit_amount": "1"}
PERCENTAGE = {"model": "percentage", "rate_percent": "1", "fixed_amount": "1"}
LIMITS = [{"amount": "1", "limits": {"cores": None, "memory": None}}]
MATRIX = {"model": "matrix", "dimensions": ["region"], "default": {"unit_amount": "1"}}


@pytest.mark.parametrize(
    ("terms", "parts"),
    [
        (PER_UNIT, set()),
        ({"model": "percentage", "rate_percent": "1"}, set()),
        (PERCENTAGE, {"events"}),
        ({"model": "dynamic"}, {"amount"}),
        ({"model": "capacity", "tiers": LIMITS, "zero_usage": "none"}, {"peaks"}),
        ({"model": "capacity", "tiers": [{"amount": "1", "limits": {"cores": None}}], "zero_usage": "none"}, set()),
        ({"model": "bucketed", "price": PER_UNIT}, {"buckets"}),
        ({"model": "converted", "pricing_unit": "credits", "conversion_rate": "1", "price": PERCENTAGE}, {"events"}),
        ({**MATRIX, "cells": [{"values": ["eu"], "price": PERCENTAGE}]}, {"events"}),
        ({**MATRIX, "default": {"price": PERCENTAGE}}, {"events"}),
        ({**PERCENTAGE, "adjustments": {"percentage": "10"}}, {"events"}),
    ],
)
def test_what_a_price_needs_follows_from_its_terms(terms, parts):
    price = parse_price(terms)

    assert needs(price).parts == parts
    assert misfit(price, Kept(frozenset(parts), frozenset({"region"}))) is None


def test_a_misfit_is_told_with_the_field_and_the_fix():
    count = Kept.by("count", has_buckets=False, dimensions=("zone",))

    events, region = (misfit(parse_price(terms), count) for terms in (PERCENTAGE, MATRIX))

    assert (str(events), events.fix) == (
        "model: percentage needs what each event came to", "price a metric with the aggregation each",
    )  # fmt: skip
    assert (str(region), region.fix) == (
        "dimensions: the metric is not kept apart by region", "name dimensions of the metric: zone",
    )  # fmt: skip
    none = misfit(parse_price(MATRIX), Kept())
    assert none.fix == "name dimensions of the metric: it has none"


def test_a_commitment_for_each_window_needs_windows():
    price = parse_price({**PER_UNIT, "adjustments": {"windowed": {"amount": "5", "true_up": True}}})

    error = misfit(price, Kept())

    assert (error.field, error.fix) == (
        "adjustments.windowed", "price a metric with a bucket, or commit the billing period with `minimum`",
    )  # fmt: skip
    assert misfit(price, Kept(frozenset({"buckets"}))) is None


def test_an_aggregation_keeps_what_is_said_of_it():
    options = {"charged": {"amount": "fee"}, "peaks": {"by": "name"}}
    for aggregation, part in PART_OF.items():
        fields = {"name": "m", "meter": "m", "aggregation": aggregation, "property": "n", "unit": "u"}
        metric = parse_metric(fields | options.get(aggregation, {}))

        june = MonthlyCycle("UTC").period_at(datetime(2026, 6, 1, tzinfo=UTC))
        measured = metric.measured([KeptOfWindow()], Span.whole(june))

        assert getattr(measured, part) is not None
        assert part in Kept.by(aggregation, has_buckets=False, dimensions=()).parts
    assert Kept.by("sum", has_buckets=True, dimensions=()).parts == {"buckets"}


@given(st.one_of(*RISING.values(), *FALLING.values()))
def test_what_has_all_that_a_price_needs_can_be_priced_and_what_lacks_it_cannot(price):
    needed, usage = needs(price), usage_of([], "eu")
    kept = {part: getattr(usage, part) for part in needed.parts}
    dimensions = {DIMENSION: "eu"} if needed.dimensions else None

    price.price(Measured(usage.quantity, **kept, dimensions=dimensions))
    if "buckets" in needed.parts or "amount" in needed.parts or needed.dimensions:
        with pytest.raises(NotMeasured):
            price.price(Measured(usage.quantity))
