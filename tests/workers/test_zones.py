"""Zones come from the pinned database, whatever the host has."""

import zoneinfo

import pytest

import workers

pytestmark = pytest.mark.fast


def test_no_zone_file_of_the_host_is_read():
    assert workers.__doc__
    assert zoneinfo.TZPATH == ()
    assert str(zoneinfo.ZoneInfo("America/New_York")) == "America/New_York"
