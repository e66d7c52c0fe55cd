from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.aggregation import Attribution, WindowKey, kept_windows, measured_windows, recomputed
from domain.metrics import Kept, Span, parse_metric
from domain.periods import month_periods
from domain.prices import Measured

pytestmark = pytest.mark.fast

NOON = datetime(2013, 1, 5, 12, tzinfo=UTC)
SPANS = {period.days.first_on: Span.whole(period) for period in month_periods("Europe/Berlin", date(2013, 1, 1), 3)}
METRICS = {
    "distance": parse_metric(
        {"name": "distance", "meter": "f", "aggregation": "sum", "property": "miles", "unit": "mile"}
    ),
    "aircraft": parse_metric(
        {"name": "aircraft", "meter": "f", "aggregation": "unique_count", "property": "tail", "unit": "aircraft"}
    ),
}


def key(metric: str, subscription: str = "s") -> WindowKey:
    return WindowKey(subscription, 1, metric, "", date(2013, 1, 1))


@st.composite
def histories(draw: st.DrawFn) -> list[Attribution]:
    """Attributions, some of which are taken back later, in the same lot or the next."""
    history = []
    for _ in range(draw(st.integers(0, 15))):
        name = draw(st.sampled_from(sorted(METRICS)))
        data = {"miles": draw(st.integers(0, 99)), "tail": draw(st.sampled_from("abc"))}
        contribution = METRICS[name].contribution(data, happened_at=NOON)
        window = key(name, draw(st.sampled_from(["s", "t"])))
        lot = draw(st.integers(1, 2))
        history.append(Attribution(window, lot, contribution))
        if draw(st.booleans()):
            history.append(Attribution(window, draw(st.integers(lot, 3)), contribution, -1))
    return history


@given(histories(), st.integers(1, 6), st.randoms())
def test_batches_in_any_order_give_what_a_full_recompute_gives(history, batch_size, random):
    shuffled = random.sample(history, len(history))
    kept: dict[WindowKey, Kept] = {}
    remaining = iter(shuffled)

    while batch := list(islice(remaining, batch_size)):
        for window, held in kept_windows(batch, through_lot=3).items():
            kept[window] = kept.get(window, Kept()) + held

    assert measured_windows(kept, METRICS, SPANS) == recomputed(history, METRICS, SPANS, through_lot=3)


@given(histories())
def test_lots_add_up_to_the_whole(history):
    by_lot = [kept_windows([a for a in history if a.lot == lot], through_lot=3) for lot in (1, 2, 3)]

    whole = kept_windows(history, through_lot=3)

    assert whole == {
        window: sum((lot.get(window, Kept()) for lot in by_lot), Kept())
        for window in {w for lot in by_lot for w in lot}
    }


def test_a_sealed_lot_does_not_see_what_came_later():
    one, other = (METRICS["aircraft"].contribution({"tail": tail}, happened_at=NOON) for tail in "ab")
    history = [Attribution(key("aircraft"), 1, one), Attribution(key("aircraft"), 2, other)]

    assert recomputed(history, METRICS, SPANS, through_lot=1) == {key("aircraft"): Measured(Decimal(1))}
    assert recomputed(history, METRICS, SPANS, through_lot=2) == {key("aircraft"): Measured(Decimal(2))}


SEATS = parse_metric(
    {"name": "seats", "meter": "m", "aggregation": "sum", "property": "n", "unit": "seat", "recurring": True}
)
HOURLY = parse_metric(
    {"name": "hourly", "meter": "m", "aggregation": "max", "property": "n", "unit": "kW", "bucket": "hour"}
)


def seats(month: int, number: int, *, lot: int = 1, dimensions: str = "") -> Attribution:
    window = WindowKey("s", month, "seats", dimensions, date(2013, month, 1))
    return Attribution(window, lot, SEATS.contribution({"n": number}, happened_at=NOON))


def test_what_carries_over_counts_in_later_periods_under_any_version_and_only_of_its_dimensions():
    history = [seats(1, 5), seats(1, 2, dimensions='{"o": 1}'), seats(2, -2), seats(3, 1)]

    found = recomputed(history, {"seats": SEATS}, SPANS, through_lot=1)

    by_month = {(key.period_starts_on.month, key.dimensions): each.quantity for key, each in found.items()}
    assert by_month == {(1, ""): 5, (1, '{"o": 1}'): 2, (2, ""): 3, (3, ""): 4}


def test_the_buckets_of_a_period_are_measured_by_themselves_in_their_order():
    def hour(at: int, number: int) -> Attribution:
        window = WindowKey("s", 1, "hourly", "", date(2013, 1, 1), NOON.replace(hour=at))
        return Attribution(window, 1, HOURLY.contribution({"n": number}, happened_at=NOON))

    found = recomputed([hour(9, 4), hour(7, 1), hour(9, 3), hour(8, 2)], {"hourly": HOURLY}, SPANS, through_lot=1)

    buckets, starts = (Decimal(1), Decimal(2), Decimal(4)), tuple(NOON.replace(hour=at) for at in (7, 8, 9))
    assert list(found.values()) == [Measured(Decimal(7), buckets=buckets, bucket_starts=starts)]
