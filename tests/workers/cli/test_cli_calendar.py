"""The close calendar at the command line: what is not closed yet, until when it is due, and who acts."""

import json

import pytest
from operator_bench import departure


@pytest.fixture
def month(airports, lines):
    """One departure of UA from Newark in January 2013."""
    airports("send", lines(departure(1)))
    return airports


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def test_without_periods_it_says_that_all_are_closed(airports):
    ran = airports("calendar")

    assert ran.code == 0
    assert "Every billing period that has ended is closed." in text_of(ran)


def test_a_period_that_nobody_asked_for_is_told_with_the_command(month):
    ran = month("calendar", "newark", "--json")

    (told,) = json.loads(ran.out)["periods"]
    assert ran.code == 0
    assert (told["legal_entity"], told["starts_on"], told["is_asked_for"]) == ("newark", "2013-01-01", False)
    assert (told["closed_by"], told["pace"], told["acts"]) == (None, None, "finance")
    assert "tallyline close newark 2013-01-01" in text_of(month("calendar", "newark"))


def test_a_late_period_ends_with_1_and_says_what_is_in_the_way_and_who_acts(month):
    month.run("update billing_cycles set deadline_days = 5")
    month("close", "newark", "2013-01")

    ran, shown = month("calendar", "newark", "--json"), month("calendar", "newark")

    (told,) = json.loads(ran.out)["periods"]
    assert (ran.code, shown.code) == (1, 1)
    assert told["closed_by"] == "2013-02-06 05:00:00+00:00"
    assert (told["pace"], told["stage"], told["acts"]) == ("late", "drafted", "finance")
    assert [each["code"] for each in told["in_the_way"]] == ["approval_missing"]
    assert "1 approval_missing: Review the" in text_of(shown)


def test_a_period_that_waits_for_its_day_says_when_it_is_asked_for(month):
    month.run("update billing_cycles set bill_after_days = 90, deadline_days = null")

    assert "asked for from 2013-05-02 04:00 UTC" in text_of(month("calendar", "newark"))


def test_a_closed_period_is_no_longer_listed(month):
    month("close", "newark", "2013-01", "--approve", "--as", "ann")

    assert json.loads(month("calendar", "newark", "--json").out) == {"periods": []}


def test_a_legal_entity_that_is_not_there_is_no_entity_whose_periods_are_all_closed(month):
    ran = month("calendar", "nobody")

    assert ran.code == 2
    assert "there is no legal entity 'nobody' with a cycle" in text_of(ran)
    assert "newark" in text_of(ran)
