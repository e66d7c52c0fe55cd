"""Parked accounts at the command line: what is held, why, and how it is let go."""

import json

import pytest
from operator_bench import departure


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


@pytest.fixture
def parked(airports, lines):
    """January at Newark with one departure of UA, whose draft has more lines than a day may have."""
    airports("send", lines(departure(1)))
    airports.run("""update legal_entities set breakers = '{"lines_max": 1}' where id = 'newark'""")
    airports("close", "newark", "2013-01")
    return airports


def test_where_nothing_is_held_it_says_so(airports):
    assert "Nothing is parked." in text_of(airports("parked", "list"))


def test_what_is_held_is_listed_with_why_and_how_much(parked):
    (told,) = json.loads(parked("parked", "list", "--json").out)["parked"]

    assert (told["account"], told["breaker"], told["released_by"]) == ("UA", "lines_too_many", None)
    assert told["sentence"].endswith("lines in a day, more than 1")
    assert "lines_too_many" in text_of(parked("parked", "list"))


def test_a_close_tells_that_something_is_parked_and_where_to_look(parked):
    ran = parked("close", "newark", "2013-01")

    assert "parked" in ran.out
    assert "tallyline parked list" in text_of(ran)


def test_approved_without_it_nothing_of_it_is_sent(parked):
    parked("close", "newark", "2013-01", "--approve", "--as", "ann")

    assert parked.rows("select state, number from invoices where account_id = 'UA'") == [("void", None)]
    assert "accounts_parked" in text_of(parked("calendar", "newark"))


def test_released_it_is_billed(parked):

    ran = parked("parked", "release", "1", "--reason", "a new carrier", "--as", "ann")
    parked("close", "newark", "2013-01", "--approve", "--as", "ann")

    assert ran.code == 0
    assert "released hold 1: release UA" in text_of(ran)
    assert parked.rows("select state from invoices where account_id = 'UA'") == [("posted",)]
    (told,) = json.loads(parked("parked", "list", "--all", "--json").out)["parked"]
    assert (told["released_by"], told["reason"]) == ("ann", "a new carrier")


def test_a_release_takes_a_second_person_where_the_policy_says_so(parked):
    parked.run("update approval_policies set needs = 'always' where action = 'runs.release'")
    ran = parked("parked", "release", "1", "--reason", "a new carrier", "--as", "ann")

    assert ran.code == 4
    assert parked.one("select released_at from account_holds") is None


def test_what_is_not_held_is_refused_in_a_sentence(parked):
    parked("parked", "release", "1", "--reason", "x", "--as", "ann")

    again = parked("parked", "release", "1", "--reason", "x", "--as", "ann", "--json")
    other = parked("parked", "release", "77", "--reason", "x", "--as", "ann")

    assert (again.code, other.code) == (2, 2)
    assert "ann has released hold 1 before" in text_of(again)
    assert "there is no hold 77" in text_of(other)


def test_limits_are_master_data(airports, tmp_path):
    book = tmp_path / "limits.yaml"
    book.write_text("""legal_entities:
  newark:
    name: Newark
    currency: USD
    zone: America/New_York
    jurisdiction: us-nj
    connection: ledger-newark
    breakers: {lines_max: 500, jump_percent: "33.5", jump_from: 1000, usage_missing: true}
""")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(book.read_text().replace("33.5", "-1"))

    assert airports("master", "load", str(book)).code == 0
    assert airports.one("select breakers from legal_entities where id = 'newark'") == {
        "lines_max": 500, "jump_percent": "33.5", "jump_from": "1000", "usage_missing": True,
    }  # fmt: skip
    refused = airports("master", "load", str(wrong))
    assert refused.code != 0
    assert "jump_percent" in text_of(refused)
