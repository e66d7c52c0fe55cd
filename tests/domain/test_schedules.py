from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.schedules import OPEN_DAY, SPELLS_MAX, Said, ScheduleInvalid, Spell, held, revised

pytestmark = pytest.mark.fast

JAN, FEB, MAR, APR, MAY = (date(2026, month, 1) for month in range(1, 6))


def after(in_force, revision):
    return sorted(
        [*(spell for spell in in_force if spell not in revision.superseded), *revision.made],
        key=lambda spell: spell.starts_on,
    )


def seats(*parts):
    return [Spell(*part) for part in parts]


def test_an_entry_without_an_end_lasts_until_the_next():
    revision = revised([], [Said(JAN, None, 10), Said(MAR, None, 12)])

    assert list(revision.made) == seats((JAN, MAR, 10), (MAR, OPEN_DAY, 12))


def test_the_order_in_which_it_is_said_does_not_matter():
    said = [Said(JAN, None, 10), Said(MAR, None, 12)]

    assert revised([], said) == revised([], said[::-1])


def test_the_same_said_again_revises_nothing():
    said = [Said(JAN, None, 10), Said(MAR, None, 12)]
    first = revised([], said)

    again = revised(first.made, said)

    assert (again.superseded, again.made, again.same) == ((), (), 2)


def test_only_the_first_part_said_again_leaves_the_later_one():
    in_force = seats((JAN, MAR, 10), (MAR, OPEN_DAY, 12))

    assert revised(in_force, [Said(JAN, None, 10)]).made == ()


def test_a_change_from_a_day_on_supersedes_what_held_and_keeps_what_was_before():
    in_force = seats((JAN, OPEN_DAY, 10))

    revision = revised(in_force, [Said(FEB, None, 11)])

    assert list(revision.superseded) == in_force
    assert list(revision.made) == seats((JAN, FEB, 10), (FEB, OPEN_DAY, 11))


def test_a_backdated_change_ends_where_the_next_known_one_starts():
    in_force = seats((JAN, MAR, 10), (MAR, OPEN_DAY, 12))

    revision = revised(in_force, [Said(FEB, None, 11)])

    assert after(in_force, revision) == seats((JAN, FEB, 10), (FEB, MAR, 11), (MAR, OPEN_DAY, 12))


def test_a_change_for_some_days_leaves_what_held_before_and_after():
    in_force = seats((JAN, OPEN_DAY, 10))

    revision = revised(in_force, [Said(FEB, MAR, 25)])

    assert after(in_force, revision) == seats((JAN, FEB, 10), (FEB, MAR, 25), (MAR, OPEN_DAY, 10))


def test_what_starts_the_same_day_replaces_it():
    in_force = seats((JAN, MAR, 10), (MAR, OPEN_DAY, 12))

    assert after(in_force, revised(in_force, [Said(MAR, None, 13)])) == seats((JAN, MAR, 10), (MAR, OPEN_DAY, 13))


def test_two_changes_within_one_spell_leave_what_is_between_them():
    in_force = seats((JAN, OPEN_DAY, 10))

    revision = revised(in_force, [Said(JAN, FEB, 1), Said(MAR, APR, 2)])

    assert after(in_force, revision) == seats((JAN, FEB, 1), (FEB, MAR, 10), (MAR, APR, 2), (APR, OPEN_DAY, 10))


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ([Said(JAN, MAR, 1), Said(FEB, None, 2)], "[1].from"),
        ([Said(FEB, None, 2), Said(JAN, MAR, 1)], "[0].from"),
        ([Said(JAN, None, 1), Said(JAN, None, 2)], "[1].from"),
        ([Said(JAN, MAR, 1), Said(JAN, MAY, 2)], "[1].from"),
        ([Said(FEB, FEB, 1)], "[0].to"),
        ([Said(FEB, JAN, 1)], "[0].to"),
        ([Said(OPEN_DAY, None, 1)], "[0].to"),
        ([Said(JAN + timedelta(n), None, 1) for n in range(SPELLS_MAX + 1)], ""),
    ],
)
def test_entries_that_contradict_one_another_are_refused_with_their_place(said, field):
    with pytest.raises(ScheduleInvalid) as refused:
        revised([], said)

    assert refused.value.field == field
    assert refused.value.fix


DAYS = st.integers(0, 40).map(lambda n: JAN + timedelta(n))


@st.composite
def sayings(draw):
    """Entries that do not contradict one another."""
    starts = sorted(draw(st.sets(DAYS, min_size=1, max_size=5)))
    said = []
    for first, following in pairwise([*starts, starts[-1] + timedelta(20)]):
        ends = draw(st.none() | st.integers(1, (following - first).days).map(lambda n, at=first: at + timedelta(n)))
        said.append(Said(first, ends, draw(st.integers(0, 3))))
    return said


@given(st.lists(sayings(), max_size=4), sayings())
def test_every_day_has_what_was_said_of_it_last(earlier, last):
    in_force: list[Spell[int]] = []
    for said in earlier:
        in_force = after(in_force, revised(in_force, said))

    result = after(in_force, revised(in_force, last))

    assert all(one.ends_on <= other.starts_on for one, other in pairwise(result))
    starts = sorted({each.starts_on for each in last} | {spell.starts_on for spell in in_force})
    for day in (JAN + timedelta(n) for n in range(80)):
        said = [
            each.value
            for each in last
            if each.starts_on <= day < (each.ends_on or next((at for at in starts if at > each.starts_on), OPEN_DAY))
        ]
        assert held(result, on=day) == (said[0] if said else held(in_force, on=day))


@given(sayings(), sayings())
def test_saying_it_twice_is_saying_it_once(earlier, said):
    in_force = after([], revised([], earlier))
    once = after(in_force, revised(in_force, said))

    again = revised(once, said)

    assert (again.superseded, again.made) == ((), ())
