from dataclasses import fields
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from domain.closing import (
    CONDITIONS,
    STAGES,
    CloseBlocked,
    Facts,
    OverrideInvalid,
    StageOutOfOrder,
    blockers,
    entered,
    next_stage,
    overridden,
)
from domain.codes import CODES

pytestmark = pytest.mark.fast

NOW = datetime(2026, 2, 1, tzinfo=UTC)
CLEAR = Facts()
EXCEPTED = Facts(
    exceptions_open={"quantity_missing": 3, "price_not_found": 0}, money_at_risk={"quantity_missing": "12.50"}
)


def test_with_nothing_in_the_way_a_run_passes_every_stage_in_order():
    for current, following in pairwise(STAGES):
        assert next_stage(current) == following
        assert entered(current, following, facts=CLEAR) == following
    assert next_stage("closed") is None


@pytest.mark.parametrize(
    ("current", "stage"), [("open", "drafted"), ("frozen", "open"), ("posted", "posted"), ("closed", "open")]
)
def test_no_stage_is_skipped_or_gone_back_to(current, stage):
    with pytest.raises(StageOutOfOrder):
        entered(current, stage, facts=CLEAR)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: f"{condition.stage}-{condition.code}")
def test_each_condition_blocks_its_stage_and_says_what_to_do(condition):
    (blocker,) = blockers(condition.stage, Facts(**{condition.code: 2}))

    assert (blocker.code, blocker.count, blocker.is_overridable) == (condition.code, 2, condition.is_overridable)
    assert (blocker.meaning, blocker.fix) == (CODES[condition.code].meaning, CODES[condition.code].fix)


def test_every_count_of_the_facts_blocks_some_stage():
    counted = {field.name for field in fields(Facts)} - {"exceptions_open", "money_at_risk"}

    assert {condition.code for condition in CONDITIONS} == counted


def test_open_exceptions_block_the_freeze_by_code_with_the_money_at_risk():
    with pytest.raises(CloseBlocked) as refused:
        entered("open", "frozen", facts=EXCEPTED)

    (blocker,) = refused.value.blockers
    assert (blocker.code, blocker.count, blocker.money_at_risk) == ("quantity_missing", 3, "12.50")
    assert refused.value.facts == {"stage": "frozen", "blockers": ["quantity_missing"]}
    assert blockers("drafted", EXCEPTED) == ()


def test_an_override_lets_as_many_pass_as_it_was_given_for():
    (blocker,) = blockers("frozen", EXCEPTED)
    override = overridden(blocker, person=" ana ", reason="diverted flights", overridden_at=NOW)
    more = Facts(exceptions_open={"quantity_missing": 4})

    assert (override.person, override.reason, override.count, override.overridden_at) == (
        "ana",
        "diverted flights",
        3,
        NOW,
    )
    assert entered("open", "frozen", facts=EXCEPTED, overrides=[override]) == "frozen"
    assert [found.count for found in blockers("frozen", more, [override])] == [4]


def test_what_cannot_be_overridden_still_blocks_with_an_override_of_its_name():
    facts = Facts(receipts_unaggregated=1)
    (blocker,) = blockers("frozen", facts)

    with pytest.raises(OverrideInvalid):
        overridden(blocker, person="ana", reason="in a hurry", overridden_at=NOW)


@pytest.mark.parametrize(("person", "reason"), [("", "why"), ("ana", " ")])
def test_an_override_has_a_person_and_a_reason(person, reason):
    (blocker,) = blockers("frozen", EXCEPTED)

    with pytest.raises(OverrideInvalid):
        overridden(blocker, person=person, reason=reason, overridden_at=NOW)
