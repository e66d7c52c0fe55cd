"""Readings of a register become what was used: over resets, over roll-overs, in any order and in any parts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.registers import Reading, Rules, series

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
FIVE_DIGITS = Rules(capacity=Decimal(100_000))


def at(hour: int, value: str | int, *, is_reset: bool = False, line: int = 0) -> Reading:
    return Reading(MONDAY + timedelta(hours=hour), Decimal(value), is_reset, line)


def used(found) -> list[tuple[int, str]]:
    """The hour at which each difference counts, and how much it is."""
    return [((each.reading.at - MONDAY) // timedelta(hours=1), str(each.quantity)) for each in found.differences]


def refused(found) -> list[tuple[str, str]]:
    return [(str(reading.value), why.code) for reading, why in found.refused]


def test_the_first_reading_is_where_counting_begins():
    found = series([at(0, 500), at(1, "512.25"), at(3, "512.25")], rules=Rules())

    assert used(found) == [(1, "12.25"), (3, "0.00")]
    assert found.differences[0].base == 500
    assert found.differences[0].since == MONDAY
    assert found.refused == []


def test_what_was_used_before_counts_on_from_the_last_known_reading():
    found = series([at(5, 530)], rules=Rules(), known=[at(2, 500), at(1, 450)])

    assert used(found) == [(5, "30")]


def test_a_lower_reading_is_a_roll_over_if_the_capacity_makes_that_plausible():
    found = series([at(0, 99_990), at(1, 15)], rules=FIVE_DIGITS)

    assert used(found) == [(1, "25")]
    assert found.differences[0].has_rolled_over
    assert found.segments[0].roll_overs == 1


@pytest.mark.parametrize(
    ("rules", "readings"),
    [
        (Rules(), (99_990, 15)),
        (FIVE_DIGITS, (60_000, 15_000)),  # a roll-over would be 55,000 of 100,000
        (Rules(capacity=Decimal(100_000), jump_max=Decimal(20)), (99_990, 15)),
    ],
)
def test_a_lower_reading_that_nothing_explains_is_refused_as_ambiguous(rules, readings):
    before, after = readings

    found = series([at(0, before), at(1, after)], rules=rules)

    assert refused(found) == [(str(after), "register_reading_ambiguous")]
    assert used(found) == []


def test_a_known_reading_above_the_capacity_makes_a_lower_one_ambiguous():
    found = series([at(1, 15)], rules=FIVE_DIGITS, known=[at(0, 100_000)])

    assert refused(found) == [("15", "register_reading_ambiguous")]


def test_a_roll_over_of_exactly_half_the_capacity_is_still_one():
    assert used(series([at(0, 60_000), at(1, 10_000)], rules=FIVE_DIGITS)) == [(1, "50000")]


def test_a_larger_jump_may_be_allowed():
    rules = Rules(capacity=Decimal(100_000), jump_max=Decimal(60_000))

    assert used(series([at(0, 60_000), at(1, 15_000)], rules=rules)) == [(1, "55000")]


def test_a_marked_reset_starts_from_zero_and_begins_a_segment():
    found = series([at(0, 500), at(1, 520), at(2, 7, is_reset=True), at(3, 9)], rules=Rules())

    assert used(found) == [(1, "20"), (2, "7"), (3, "2")]
    assert [(str(each.first), str(each.last), str(each.quantity)) for each in found.segments] == [
        ("500", "520", "20"),
        ("0", "9", "9"),
    ]
    assert [each.is_after_reset for each in found.segments] == [False, True]


def test_a_register_that_begins_with_a_reset_counts_from_zero():
    found = series([at(0, 7, is_reset=True)], rules=Rules())

    assert used(found) == [(0, "7")]
    assert found.differences[0].since is None


def test_a_register_may_be_read_a_last_time_and_reset_at_the_same_instant():
    found = series([at(1, 0, is_reset=True), at(1, 520), at(0, 500), at(2, 3)], rules=Rules())

    assert used(found) == [(1, "20"), (1, "0"), (2, "3")]


def test_nothing_is_lost_with_a_reading_that_is_refused():
    found = series([at(0, 500), at(1, 0), at(2, 530)], rules=Rules())

    assert refused(found) == [("0", "register_reading_ambiguous")]
    assert used(found) == [(2, "30")]


@pytest.mark.parametrize(
    ("rules", "value", "code"),
    [
        (Rules(), -1, "register_reading_implausible"),
        (FIVE_DIGITS, 100_000, "register_reading_implausible"),
        (Rules(jump_max=Decimal(10)), 511, "register_reading_implausible"),
    ],
)
def test_a_reading_that_cannot_be_right_is_refused(rules, value, code):
    assert refused(series([at(0, 500), at(1, value)], rules=rules)) == [(str(value), code)]


def test_a_reset_that_shows_too_much_is_refused():
    found = series([at(0, 500), at(1, 11, is_reset=True)], rules=Rules(jump_max=Decimal(10)))

    assert refused(found) == [("11", "register_reading_implausible")]


def test_a_reading_before_the_last_known_one_is_late_and_one_that_is_known_is_a_repeat():
    known = [at(0, 500), at(4, 540)]

    found = series([at(0, 500), at(2, 520), at(4, 540), at(5, 541)], rules=Rules(), known=known)

    assert refused(found) == [("520", "register_reading_late")]
    assert found.repeats == 2
    assert used(found) == [(5, "1")]


def test_another_value_at_the_instant_of_the_last_known_reading_is_a_conflict():
    found = series([at(4, 541)], rules=Rules(), known=[at(4, 540)])

    assert refused(found) == [("541", "register_readings_conflict")]


def test_two_readings_that_disagree_are_both_refused_and_those_that_agree_count_once():
    found = series([at(0, 1), at(1, 5), at(1, 6), at(2, 8), at(2, "8.0")], rules=Rules())

    assert refused(found) == [("5", "register_readings_conflict"), ("6", "register_readings_conflict")]
    assert used(found) == [(2, "7")]
    assert found.repeats == 1


def test_readings_that_lie_too_far_apart_are_reported_and_counted_at_the_later_one():
    rules = Rules(gap_max=timedelta(hours=24))

    found = series([at(0, 1), at(24, 2), at(49, 30)], rules=rules)

    assert used(found) == [(24, "1"), (49, "28")]
    assert [(gap.since, gap.until) for gap in found.gaps] == [(at(24, 0).at, at(49, 0).at)]


values = st.decimals(min_value=0, max_value=99_999, places=3)
CAPACITY = Decimal(100_000)


@st.composite
def walks(draw):
    """Readings as a register shows them that is read often enough, what it used, and how often it rolled over."""
    total = draw(values)
    readings, hour = [at(0, total)], 0
    for step in draw(st.lists(st.decimals(min_value=0, max_value=50_000, places=3), max_size=12)):
        hour += draw(st.integers(min_value=1, max_value=90))
        total += step
        readings.append(at(hour, total % CAPACITY))
    return readings, total - readings[0].value


@given(walks())
def test_the_sum_of_the_differences_is_last_minus_first_and_the_roll_overs(walk):
    readings, expected = walk

    found = series(readings, rules=FIVE_DIGITS)

    (segment,) = found.segments
    total = sum(each.quantity for each in found.differences)
    assert found.refused == []
    assert total == expected == segment.quantity
    assert total == segment.last - segment.first + segment.roll_overs * CAPACITY
    assert segment.readings == len(readings)


@st.composite
def rows(draw):
    """Any readings at all, also absurd ones; at most one a place."""
    places = draw(st.lists(st.tuples(st.integers(0, 40), st.booleans()), unique=True, max_size=14))
    return [at(hour, draw(values), is_reset=is_reset) for hour, is_reset in places]


RULES = st.sampled_from([Rules(), FIVE_DIGITS, Rules(capacity=CAPACITY, jump_max=Decimal(70_000))])


@given(rows(), RULES, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(readings, rules, random):
    shuffled = [*readings, *readings[:3]]
    random.shuffle(shuffled)

    found, again = series(readings, rules=rules), series(shuffled, rules=rules)

    assert again.differences == found.differences
    assert again.refused == found.refused
    assert again.segments == found.segments
    assert again.repeats == len(readings[:3])


@given(rows(), RULES, st.integers(0, 14))
def test_a_file_split_anywhere_comes_to_the_same_with_the_last_reading_carried(readings, rules, cut):
    ordered = sorted(readings, key=lambda each: each.place)
    whole = series(ordered, rules=rules)

    first = series(ordered[:cut], rules=rules)
    rest = series(ordered[cut:], rules=rules, known=first.taken[-1:])

    assert first.differences + rest.differences == whole.differences
    assert first.refused + rest.refused == whole.refused


@given(rows(), RULES)
def test_every_reading_is_counted_from_taken_again_or_refused(readings, rules):
    found = series(readings, rules=rules)

    assert len(found.taken) + len(found.refused) + found.repeats == len(readings)
    assert sum(each.quantity for each in found.differences) == sum(each.quantity for each in found.segments)
