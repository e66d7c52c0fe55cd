"""Whatever a command is asked about that is not there: exit code 2, a sentence that names it, and a way out."""

import pytest
from operator_bench import departure

#: Each command that takes a name or a number, with one that is not there, and what it must repeat.
COMMANDS = [
    (("trace", "99"), "99"),
    (("trace", "/ops/ewr", "nope"), "nope"),
    (("trace", "--line", "99"), "99"),
    (("trace", "--invoice", "NOPE-1"), "NOPE-1"),
    (("explain", "NOPE-1"), "NOPE-1"),
    (("exceptions", "list", "--code", "nope"), "nope"),
    (("exceptions", "show", "99"), "99"),
    (("exceptions", "assign", "99", "ann", "--reason", "x"), "99"),
    (("exceptions", "deadline", "99", "2099-01-01", "--reason", "x"), "99"),
    (("repair", "NOPE-1"), "NOPE-1"),
    (("repair", "NOPE-1", "--void", "--reason", "x"), "NOPE-1"),
    (("replay", "99", "--yes"), "99"),
    (("replay", "dry-run", "99"), "99"),
    (("replay", "--code", "nope", "--yes"), "nope"),
    (("replay", "edit", "99", "--set", "data.x=1", "--reason", "x"), "99"),
    (("replay", "dismiss", "99", "--reason", "x", "--yes"), "99"),
    (("replay", "write-off", "99", "--reason", "x", "--yes"), "99"),
    (("replay", "reopen", "99", "--reason", "x"), "99"),
    (("replay", "show", "99"), "99"),
    (("replay", "pause", "99"), "99"),
    (("replay", "resume", "99"), "99"),
    (("replay", "cancel", "99"), "99"),
    (("close", "nope", "2013-01"), "nope"),
    (("close", "newark", "2013-01-15"), "2013-01-15"),
    (("close", "newark", "2013-01", "--cycle", "nope"), "nope"),
    (("approve", "99"), "99"),
    (("approve", "99", "--show"), "99"),
    (("approve", "99", "--withdraw"), "99"),
    (("approve", "99", "--refuse", "--note", "x"), "99"),
    (("sources", "gaps", "/nope"), "/nope"),
    (("people", "revoke", "nope", "--role", "viewer"), "nope"),
    (("people", "disable", "nope"), "nope"),
    (("people", "token", "nope", "--scope", "*"), "nope"),
    (("people", "add", "zed", "--role", "nope"), "nope"),
    (("people", "revoke-token", "99"), "99"),
    (("policies", "set", "nope.nope", "finance", "nothing"), "nope.nope"),
    (("close", "newark", "2013-01", "--as", "nope"), "nope"),
    (("meters", "show", "nope"), "nope"),
    (("meters", "schema", "nope"), "nope"),
    (("entitlements", "check", "nope", "nope"), "nope"),
    (("entitlements", "list", "nope"), "nope"),
    (("credits", "list", "nope"), "nope"),
    (("credits", "show", "99"), "99"),
    (("work", "--step", "nope"), "nope"),
    (("master", "load", "nope.yaml"), "nope.yaml"),
    (("master", "messages", "--state", "nope"), "nope"),
    (("master", "retry", "99"), "99"),
    (("send", "nope.jsonl"), "nope.jsonl"),
    (("usage", "import", "nope.csv", "--source", "/x"), "nope.csv"),
]


@pytest.mark.parametrize(("words", "name"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_a_name_that_is_not_there_ends_with_2_and_a_way_out(airports, words, name):
    ran = airports(*words)

    assert ran.code == 2, (ran.out, ran.err)
    assert name in " ".join(ran.err.split())
    assert "fix" in ran.err or "Usage" in ran.err, ran.err


def test_a_person_who_is_not_there_is_no_assignee(airports, lines):
    airports("send", lines(departure(1, source="/ops/none")))

    ran = airports("exceptions", "assign", 1, "nope", "--reason", "x")

    assert ran.code == 2
    assert "'nope' is not registered" in ran.err


def test_a_person_who_is_there_and_disabled_may_not(airports):
    airports("people", "add", "zed", "--role", "finance")
    airports("people", "disable", "zed")

    ran = airports("close", "newark", "2013-01", "--as", "zed")

    assert ran.code == 1
    assert "zed is disabled" in ran.err


def test_a_list_that_holds_nothing_of_a_subscription_that_is_there_is_well(airports):
    ran = airports("entitlements", "list", "newark-UA-usage")

    assert ran.code == 0
    assert "newark-UA-usage has no entitlements." in ran.out
