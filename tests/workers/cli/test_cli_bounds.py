"""Whatever is given that is too long, too large, too deep or no text ends in a sentence and 2, and nothing is done."""

import json

import pytest
from operator_bench import departure

from workers.cli import console
from workers.cli.console import Failure

LONG, HUGE = "x" * 5_000, 10**23
EDIT = ("replay", "edit", 1, "--reason", "x", "--yes")


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


@pytest.fixture
def refused(airports, lines):
    """A deployment with one refused event."""
    airports("send", lines(departure(1, source="/ops/bos")))
    return airports


@pytest.mark.parametrize(
    "words",
    [
        ("people", "add", "bob", "--role", "viewer", "--reason", LONG),
        ("people", "add", "bob", "--role", "viewer", "--name", "a\ud800b"),
        ("people", "disable", "ann", "--reason", LONG),
        ("policies", "set", "runs.approve", "approver", "above_limit", "--limit", "EUR", "9" * 31),
        ("policies", "set", "runs.approve", "approver", "always", "--reason", LONG),
        ("approve", 1, "--note", LONG),
        ("approve", 1, "--refuse", "--note", " "),
        ("exceptions", "assign", HUGE, "ann", "--reason", "x"),
        ("replay", HUGE, "--dry-run"),
        ("replay", 1, "--reason", "", "--yes"),
        ("replay", 1, "--reason", LONG, "--yes"),
        ("replay", "dismiss", 1, "--reason", " ", "--yes"),
        ("replay", "write-off", 1, "--reason", LONG, "--yes"),
        ("replay", "reopen", HUGE, "--reason", "x"),
        ("replay", "reopen", 1, "--reason", LONG),
        ("replay", "edit", HUGE, "--set", "data.distance=1", "--reason", "x"),
        (*EDIT, "--set", 'data.x="\\u0000"'),
        (*EDIT, "--set", 'data.x="\\ud800"'),
        (*EDIT, "--set", "data.x=1e999999999"),
        (*EDIT, "--set", f"data.x={'[' * 600}{']' * 600}"),
        (*EDIT, "--set", f"data{'.a' * 3000}=1"),
        ("close", "newark", "9999-12"),
        ("close", "newark", "1899-12"),
        ("close", "newark", "2013-01", "--override", "source_unknown", "--reason", LONG),
        ("sources", "add", LONG, "--user", "u"),
        ("sources", "add", "", "--user", "u"),
        ("sources", "add", "/x", "--user", "u", "--owner", LONG),
        ("sources", "add", "/x", "--user", "u", "--quota", HUGE),
    ],
    ids=lambda words: " ".join(str(each)[:20] for each in words)[:60].encode("ascii", "replace").decode(),
)
def test_it_ends_in_a_sentence(refused, words):
    before = refused.rows("select id, state, assigned_to from exceptions order by id")

    ran = refused(*words)

    assert (ran.code, ran.err.startswith("error")) == (2, True), ran.err
    assert refused.rows("select id, state, assigned_to from exceptions order by id") == before
    assert refused.one("select count(*) from replays where state <> 'cancelled'") == 0
    assert refused.one("select count(*) from people") <= 2


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_of_json_is_not_kept_as_nothing(refused, tmp_path, number):
    file = tmp_path / "event.json"
    file.write_text(json.dumps(departure(1)).replace("1400", number))

    assert f"{number} is no number" in text_of(refused("replay", "edit", 1, "--reason", "x", "--file", file))
    ran = refused("replay", "edit", 1, "--set", f"data.distance={number}", "--reason", "x", "--yes")
    assert (ran.code, "it would be refused" in text_of(ran)) == (1, True)
    assert refused.rows("select state, edited #>> '{data,distance}' from replays") == [("cancelled", number)]


def test_an_error_steers_no_terminal(capsys):
    console.fail(Failure("there is no \x1b[2Jdocument \x9b31m", fix="\x1b]0;owned\x07"), as_json=False)

    told = capsys.readouterr().err
    assert "there is no \ufffd[2Jdocument" in told
    assert not {"\x1b", "\x9b", "\x07"} & set(told)
