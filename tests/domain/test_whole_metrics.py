"""What a limit counts of a metric over all dimensions, and when time alone reaches a threshold."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.entitlement_terms import Limit
from domain.entitlements import Allowance, Used, reached_by_time
from domain.metrics import Kept, Span, parse_metric
from domain.metrics.whole import whole
from domain.periods import MonthlyCycle

pytestmark = pytest.mark.fast

APRIL = MonthlyCycle("UTC").period_at(datetime(2026, 4, 15, tzinfo=UTC))


def of(aggregation: str, east: list[str], west: list[str], **more: object) -> Decimal:
    """What two regions' values come to."""
    fields = {"name": "m", "meter": "x", "unit": "u", "dimensions": ["region"], "aggregation": aggregation, **more}
    metric = parse_metric({**fields, "property": "p"})
    kept = {name: {None: Kept(values=dict.fromkeys(each, 1))} for name, each in {"east": east, "west": west}.items()}
    return whole(metric, kept, Span.whole(APRIL))


def test_a_value_in_two_regions_counts_once_and_a_greatest_one_is_the_greatest_of_all():
    assert of("unique_count", ["ann", "bob"], ["bob", "cid"]) == 3
    assert of("max", ["5", "7"], ["6"]) == 7
    assert of("min", ["5", "7"], ["6"]) == 5
    assert of("average", ["5", "7"], ["9"]) == 7
    assert of("percentile", ["1", "2"], ["3", "4"], percent="75") == 3


def test_levels_and_counters_of_regions_add_up():
    first, last = "2026-04-01T00:00:00.000000Z", "2026-04-16T00:00:00.000000Z"

    assert of("latest", [f"{first} 5", f"{last} 7"], [f"{first} 6"]) == 13
    assert of("weighted_sum", [f"{first} 10"], [f"{last} 10"]) == 15
    assert of("register", [f"{first} 100", f"{last} 130"], [f"{first} 7", f"{last} 10"]) == 33


def test_nothing_comes_to_nothing():
    assert of("latest", [], []) == 0
    assert (
        whole(parse_metric({"name": "m", "meter": "x", "unit": "u", "aggregation": "count"}), {}, Span.whole(APRIL))
        == 0
    )


AT = datetime(2026, 4, 11, tzinfo=UTC)


def when(used: str, then: str, *thresholds: int) -> datetime | None:
    limit, left = Limit(Decimal(30), "hard", thresholds=thresholds), Allowance(Decimal(30), Decimal(used), Decimal(0))
    return reached_by_time(limit, left, at=AT, then=Used(APRIL.window, Decimal(then)))


def test_a_threshold_that_time_reaches_is_told_when_it_does():
    # Ten of the thirty days are over; one a day is used.
    assert when("10", "30", 80, 100) == datetime(2026, 4, 25, tzinfo=UTC)
    assert when("24", "30", 80, 100) == datetime(2026, 5, 1, tzinfo=UTC)
    assert when("0", "10", 10) == datetime(2026, 4, 17, tzinfo=UTC)


@pytest.mark.parametrize(("used", "then"), [("10", "10"), ("10", "5"), ("10", "23"), ("31", "60")])
def test_a_threshold_that_time_does_not_reach_is_not_waited_for(used, then):
    assert when(used, then, 80, 100) is None


@given(st.integers(0, 23), st.integers(24, 10_000))
def test_at_that_instant_it_is_reached_and_a_moment_before_it_is_not(used, then):
    found = when(str(used), str(then), 80)

    assert found is not None
    per_tick = Fraction(then - used, (APRIL.ends_at - AT) // timedelta(microseconds=1))
    ticks = (found - AT) // timedelta(microseconds=1)
    assert used + per_tick * (ticks + 1) >= 24
    assert used + per_tick * (ticks - 2) < 24
