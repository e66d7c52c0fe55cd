from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest

from domain.metrics.buckets import buckets_of
from domain.metrics.prorated import Proration, prorated_sum, prorated_unique
from domain.periods import Days, Window, billing_period, month_containing
from domain.units import Rounding

pytestmark = pytest.mark.fast

MAY = Window(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))


def may(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def test_units_count_from_their_day_on_and_those_before_in_full():
    april, june = datetime(2026, 4, 9, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    units = [(april, Decimal(31)), (may(30, 23), Decimal(31)), (may(1), Decimal(-31)), (june, Decimal(99))]

    assert prorated_sum(units, Proration(MAY, "UTC", 31)) == 31 + 2 - 31


def test_the_day_is_that_of_the_zone_and_the_total_is_rounded_once():
    late = [(datetime(2026, 5, 30, 23, tzinfo=UTC), Decimal(10))]
    berlin = Window(datetime(2026, 4, 30, 22, tzinfo=UTC), datetime(2026, 5, 31, 22, tzinfo=UTC))

    assert prorated_sum(late, Proration(berlin, "Europe/Berlin", 31, Rounding("ceiling", 5))) == Decimal("0.32259")


def test_a_member_counts_for_every_day_on_which_it_was_there_once():
    operations = [
        (may(1, 9), "ann", True), (may(1, 10), "ann", False), (may(1, 11), "ann", True), (may(3), "ann", False),
        (datetime(2026, 4, 1, tzinfo=UTC), "bob", True), (datetime(2026, 4, 2, tzinfo=UTC), "bob", False),
        (datetime(2026, 4, 1, tzinfo=UTC), "cid", True), (may(2, 1), "cid", False), (may(2, 2), "cid", False),
        (may(31), "dan", True), (may(31), "dan", True), (datetime(2026, 6, 1, tzinfo=UTC), "eve", True),
    ]  # fmt: skip

    assert prorated_unique(reversed(operations), Proration(MAY, "UTC", 1)) == 3 + 2 + 1


@pytest.mark.parametrize(
    ("month", "zone", "hours", "days"),
    [
        ("2026-04", "UTC", 720, 30),
        ("2026-03", "Europe/Berlin", 743, 31),
        ("2026-10", "Europe/Berlin", 745, 31),
        ("2026-04", "Australia/Lord_Howe", 721, 30),  # half an hour more
        ("2026-10", "Australia/Lord_Howe", 744, 31),  # one of them is half an hour
        ("2011-12", "Pacific/Apia", 720, 30),  # left out a day
    ],
)
def test_a_month_has_as_many_hours_and_days_as_its_clock_shows(month, zone, hours, days):
    period = month_containing(datetime.fromisoformat(f"{month}-15T00:00:00+00:00"), zone)

    for bucket, count in (("hour", hours), ("day", days), ("month", 1)):
        buckets = buckets_of(period, bucket)
        assert len(buckets) == count
        assert (buckets[0].starts_at, buckets[-1].ends_at) == (period.starts_at, period.ends_at)
        assert all(one.ends_at == other.starts_at for one, other in pairwise(buckets))


def test_the_months_of_a_period_are_cut_off_at_its_ends():
    days = Days(datetime(2026, 1, 15).date(), datetime(2026, 3, 15).date())  # noqa: DTZ001
    period = billing_period("Asia/Kathmandu", days)

    months = buckets_of(period, "month")

    assert [window.starts_at.isoformat() for window in months] == [
        "2026-01-14T18:15:00+00:00", "2026-01-31T18:15:00+00:00", "2026-02-28T18:15:00+00:00",
    ]  # fmt: skip
    assert months[-1].ends_at == period.ends_at
