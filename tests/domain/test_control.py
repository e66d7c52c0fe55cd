from decimal import Decimal

import pytest
from domain_strategies import decimals
from hypothesis import given
from hypothesis import strategies as st

from domain.control import (
    HASH_MODULUS,
    ControlTotal,
    EventTotals,
    Scope,
    UsageTotals,
    compared,
    events_mismatches,
    usage_mismatches,
)

pytestmark = pytest.mark.fast

SCOPE = Scope("/airport", "distance", "2013-01-05T12")
NONE = ControlTotal()


def entries() -> st.SearchStrategy[ControlTotal]:
    return st.builds(ControlTotal.of, decimals(lowest="-1000"), st.integers(0, 2**64 - 1))


@given(st.lists(entries(), max_size=12), st.randoms())
def test_order_never_matters_and_what_is_taken_back_is_gone(totals, random):
    shuffled = random.sample(totals, len(totals))

    assert sum(totals, NONE) == sum(shuffled, NONE)
    assert sum(totals, NONE) - sum(shuffled, NONE) == NONE
    assert 0 <= sum(totals, NONE).hash < HASH_MODULUS


@given(st.lists(st.tuples(entries(), st.integers(0, 3)), max_size=12))
def test_usage_that_is_all_accounted_for_adds_up(usage):
    fates = [sum((total for total, fate in usage if fate == number), NONE) for number in range(4)]
    attributed = sum((total for total, _ in usage), NONE)

    assert usage_mismatches({SCOPE: UsageTotals(attributed, *fates)}) == ()


def test_a_lost_usage_shows_in_count_sum_and_hash():
    one, lost = ControlTotal.of(Decimal(1400), 7), ControlTotal.of(Decimal("0.5"), 9)

    found = usage_mismatches({SCOPE: UsageTotals(one + lost, one, NONE, NONE, NONE)})

    assert [mismatch.measure for mismatch in found] == ["count", "sum", "hash"]
    assert found[1].sentence == "usage of /airport, distance, 2013-01-05T12: sum is 1400 instead of 1400.5 (-0.5)"


def test_a_swap_of_two_equal_usages_shows_in_the_hash_alone():
    (mismatch,) = compared(
        ControlTotal.of(Decimal(1), 7), ControlTotal.of(Decimal(1), 8), identity="usage", scope=SCOPE
    )

    assert mismatch.measure == "hash"


def test_events_are_accepted_duplicate_or_refused_and_nothing_else():
    whole = Scope("/airport", None, "2013-01-05T12")

    found = events_mismatches({SCOPE: EventTotals(10, 7, 2, 1), whole: EventTotals(10, 7, 2, 0)})

    assert [mismatch.sentence for mismatch in found] == [
        "events of /airport, no metric, 2013-01-05T12: count is 9 instead of 10 (-1)"
    ]
