from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.aggregation import Attribution, WindowKey, kept_windows, recomputed
from domain.metrics import Kept, parse_metric

pytestmark = pytest.mark.fast

NOON = datetime(2013, 1, 5, 12, tzinfo=UTC)
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

    quantities = {window: METRICS[window.metric].aggregation.quantity(held) for window, held in kept.items()}
    assert quantities == recomputed(history, METRICS, through_lot=3)


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

    assert recomputed(history, METRICS, through_lot=1) == {key("aircraft"): Decimal(1)}
    assert recomputed(history, METRICS, through_lot=2) == {key("aircraft"): Decimal(2)}
