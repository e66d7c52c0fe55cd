"""Deadlines: when a period is billed and closed by, and whether its run will be in time."""

from datetime import UTC, date, datetime, timedelta

import pytest

from domain.deadlines import CloseDays, Drain, Progress, forecast, pace, who_acts

NOW = datetime(2026, 7, 3, 12, tzinfo=UTC)
HOUR, DAY, TEN_MINUTES = timedelta(hours=1), timedelta(days=1), timedelta(minutes=10)
STILL = Drain(0, 0, TEN_MINUTES)
WAITS = Progress(is_closed=False, waits_for_person=True, drain=STILL)


def draining(owed: int, done: int) -> Progress:
    return Progress(is_closed=False, waits_for_person=False, drain=Drain(owed, done, TEN_MINUTES))


def test_days_after_the_end_are_days_of_the_zone():
    days = CloseDays("America/New_York", bill_after_days=2, deadline_days=8)

    assert days.billed_at(date(2026, 3, 1)) == datetime(2026, 3, 3, 5, tzinfo=UTC)
    assert days.closed_by(date(2026, 3, 1)) == datetime(2026, 3, 9, 4, tzinfo=UTC)  # the clocks went forward


def test_nothing_is_due_where_nothing_is_said():
    assert CloseDays("UTC").billed_at(date(2026, 3, 1)) is None
    assert CloseDays("UTC").closed_by(date(2026, 3, 1)) is None


def test_the_forecast_takes_what_is_owed_at_the_speed_of_the_last_minutes():
    assert forecast(draining(owed=6_000, done=1_000), now=NOW) == NOW + HOUR


@pytest.mark.parametrize(
    "progress", [draining(owed=5, done=0), WAITS, Progress(is_closed=True, waits_for_person=False, drain=STILL)]
)
def test_nobody_knows_when_what_stands_still_goes_on(progress):
    assert forecast(progress, now=NOW) is None


def test_what_owes_nothing_and_waits_for_nobody_is_at_its_end():
    assert forecast(draining(owed=0, done=0), now=NOW) == NOW


@pytest.mark.parametrize(
    ("progress", "left", "expected"),
    [
        (draining(6_000, 1_000), 2 * HOUR, "on_time"),
        (draining(6_000, 1_000), HOUR, "at_risk"),
        (draining(6_000, 0), 2 * DAY, "on_time"),
        (draining(6_000, 0), DAY, "at_risk"),
        (WAITS, DAY + HOUR, "on_time"),
        (WAITS, DAY, "at_risk"),
        (WAITS, timedelta(0), "late"),
        (draining(1, 1_000), -HOUR, "late"),
        (Progress(is_closed=True, waits_for_person=False, drain=STILL), -HOUR, "closed"),
    ],
)
def test_a_deadline_is_in_danger_when_the_work_or_a_person_may_come_too_late(progress, left, expected):
    assert pace(progress, closed_by=NOW + left, now=NOW) == expected


@pytest.mark.parametrize(
    ("codes", "waits", "acts"),
    [
        (("work_open",), False, "operations"),
        (("approval_missing",), True, "finance"),
        (("quantity_missing", "work_open"), True, "finance"),
        ((), True, "finance"),
        ((), False, "nobody"),
    ],
)
def test_who_acts_is_whose_matter_the_first_blocker_is(codes, waits, acts):
    assert who_acts(codes, waits_for_person=waits) == acts
