"""Times of files that name no offset are those of a zone's clock, unless it showed them twice or never."""

from datetime import UTC, datetime

import pytest

from domain.events import TimeInvalid, TimeNaive
from domain.local_times import instant_in, is_zone

PARIS = "Europe/Paris"


@pytest.mark.parametrize(
    ("text", "zone", "instant"),
    [
        ("2026-01-31T12:00:00", PARIS, datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("2026-07-31 12:00:00", PARIS, datetime(2026, 7, 31, 10, tzinfo=UTC)),
        ("2026-01-31T12:00:00+05:00", PARIS, datetime(2026, 1, 31, 7, tzinfo=UTC)),
        ("2026-01-31T12:00:00Z", None, datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-10-25T03:00:00.5", PARIS, datetime(2026, 10, 25, 2, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_by_its_offset_or_else_by_the_clock_of_the_zone(text, zone, instant):
    assert instant_in(text, zone) == instant


@pytest.mark.parametrize(
    ("text", "zone", "error", "says"),
    [
        ("2026-01-31T12:00:00", None, TimeNaive, "no offset"),
        ("2026-10-25T02:30:00", PARIS, TimeNaive, "comes twice"),
        ("2026-03-29T02:30:00", PARIS, TimeInvalid, "does not exist"),
        ("31.01.2026 12:00", PARIS, TimeInvalid, "no RFC 3339"),
        ("2026-01-31", PARIS, TimeInvalid, "no RFC 3339"),
        ("9999-12-31T23:00:00", "America/New_York", TimeInvalid, "outside the years"),
    ],
)
def test_a_time_that_names_no_instant_or_two_is_refused(text, zone, error, says):
    with pytest.raises(error, match=says):
        instant_in(text, zone)


def test_a_zone_is_known_by_its_name():
    assert is_zone(PARIS)
    assert not is_zone("Mars/Olympus")
