"""The table of outages is whole: each part goes on or waits, never both, and outages are known by when they began."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.degradation import BY_DEPENDENCY, ROWS, TIERS, Outage, tier_of
from domain.notices import dependency_away, dependency_back

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.dependency)
def test_a_part_goes_on_or_waits_and_never_both(row):
    assert not set(row.goes_on) & set(row.waits)
    with pytest.raises(AssertionError, match="goes on or waits"):
        replace(row, goes_on=(*row.goes_on, "post"), waits=(*row.waits, "post"))


def test_a_replay_comes_last_whatever_its_step():
    assert {tier_of(step, "replay") for step in ("validate", "post", "notify")} == {TIERS[-1]}
    assert tier_of("post", "close") == tier_of("post", "live") == TIERS[2]


def test_a_step_without_a_tier_is_no_step_of_ours():
    with pytest.raises(KeyError):
        tier_of("publish", "live")


def test_what_waits_drains_in_order_of_tier_and_what_does_not_wait_has_nothing_to_drain():
    assert [tier.number for tier in BY_DEPENDENCY["postgresql"].tiers] == [1, 2, 3, 4, 5]
    assert [tier.number for tier in BY_DEPENDENCY["erp"].tiers] == [3, 5]
    assert BY_DEPENDENCY["sentry"].tiers == ()


def test_outages_of_one_dependency_sort_by_time_and_apart_from_those_of_a_longer_name():
    first = Outage("erp", NOON, "books")
    later = Outage("erp", NOON + timedelta(microseconds=1), "books")
    other = Outage("erp", NOON, "books-2")

    assert first.key < later.key
    assert first.key.startswith("outage/erp.books/")
    assert not other.key.startswith("outage/erp.books/")
    assert Outage("redis", NOON).label == "redis"


def test_operations_are_told_what_waits_and_then_how_it_drains():
    outage = Outage("erp", NOON, "books")

    away, back = dependency_away(outage), dependency_back(outage, until=NOON + timedelta(hours=1))

    assert (away.type, away.subject) == ("tallyline.dependency.away", "erp.books")
    assert away.particulars["waits"] == ["post"]
    assert str(away.particulars["sentence"]).startswith("An ERP is away. Postings of this connection alone.")
    assert (back.type, back.particulars["until"]) == ("tallyline.dependency.back", "2026-03-01T13:00:00+00:00")
    assert back.particulars["since"] == away.particulars["since"] == "2026-03-01T12:00:00+00:00"
