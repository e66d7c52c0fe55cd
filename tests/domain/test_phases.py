"""Phases with prices lie over the versions of a contract and cut them."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.periods import OPEN_END, Window
from domain.phases import stretches

pytestmark = pytest.mark.fast


def at(day):
    return datetime(2026, 1, day, tzinfo=UTC)


def window(first, end=None):
    return Window(at(first), OPEN_END if end is None else at(end))


def told(versions, phases):
    found = stretches(versions, phases)
    return [(each.window.starts_at.day, each.window.ends_at.day, each.version, each.phase) for each in found]


def test_a_trial_at_the_start_is_followed_by_the_prices_of_the_version():
    assert told([(window(1), "v1")], [(window(1, 15), "trial")]) == [(1, 15, "v1", "trial"), (15, 31, "v1", None)]


def test_what_lies_before_the_first_phase_is_left_to_the_contract():
    assert told([(window(1), "v1")], [(window(10, 15), "ramp")]) == [(10, 15, "v1", "ramp"), (15, 31, "v1", None)]


def test_a_new_version_under_a_phase_cuts_it():
    versions = [(window(12), "v2"), (window(1, 12), "v1")]

    found = told(versions, [(window(10, 15), "ramp"), (window(15), "regular")])

    assert found == [(10, 12, "v1", "ramp"), (12, 15, "v2", "ramp"), (15, 31, "v2", "regular")]


def test_where_no_version_is_in_force_a_phase_prices_nothing():
    assert told([(window(10, 20), "v1")], [(window(5, 25), "ramp")]) == [(10, 20, "v1", "ramp")]


def test_without_phases_there_is_nothing_to_derive():
    assert stretches([(window(1), "v1")], []) == []


days = st.lists(st.integers(1, 30), min_size=2, max_size=8, unique=True).map(sorted)


@given(days, days)
def test_stretches_cover_what_versions_cover_from_the_first_phase_on(cuts, phased):
    versions = [(window(a, b), a) for a, b in pairwise(cuts)]
    phases = [(window(a, b), a) for a, b in pairwise(phased)][::2]
    found = stretches(versions, phases)

    for day in range(1, 31):
        mine = [each for each in found if each.window.starts_at <= at(day) < each.window.ends_at]
        over = next((name for each, name in phases if each.starts_at <= at(day) < each.ends_at), None)
        is_covered = cuts[0] <= day < cuts[-1] and day >= phased[0]
        assert len(mine) == is_covered
        assert all(each.phase == over for each in mine)
