"""One reason for each subscription without a document."""

from typing import get_args

import pytest

from domain.unbilled import MEANINGS, Reason, Usage, reason_of


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Usage(is_active=False), "not_active"),
        (Usage(is_active=True), "nothing_due"),
        (Usage(is_active=True, excluded={"test flights": 3}), "all_excluded"),
        (Usage(is_active=True, usages=2, excluded={"test flights": 3}), "left_to_next_run"),
        (Usage(is_active=True, is_left_out=True), "left_to_next_run"),
        (Usage(is_active=True, usages=2, is_owed=True), "on_its_way"),
        (Usage(is_active=True, usages=2, is_owed=True, is_stopped=True), "run_blocked"),
        (Usage(is_active=True, is_stopped=True), "nothing_due"),
        (Usage(is_active=True, usages=2, has_draft=True), "draft_held"),
        (Usage(is_active=True, usages=2, has_draft=True, exceptions={"price_not_found": 1}), "in_exception"),
        (Usage(is_active=False, exceptions={"quantity_missing": 1}), "in_exception"),
    ],
)
def test_the_reason_that_a_person_can_act_on_comes_first(found, reason):
    assert reason_of(found) == reason


def test_every_reason_has_words():
    assert set(MEANINGS) == set(get_args(Reason))
