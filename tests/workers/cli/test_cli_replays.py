"""The group `tallyline replay`: what is asked for, shown, watched, stopped, edited, dismissed and granted."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from operator_bench import TOKEN, departure

from workers.cli import replay_ask
from workers.cli.reach import forget
from workers.store import identity
from workers.store.database import snapshot

UNKNOWN = {"source": "/ops/bos"}
LOST = {"subject": "ZZ"}


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def assert_identity() -> None:
    with snapshot() as conn:
        assert identity.differences(conn) == []


def map_lost(operator) -> None:
    operator.run("""insert into mappings (source_id, subject, subscription_id, recorded_by)
      select s.id, 'ZZ', u.id, 'me' from sources s, subscriptions u
      where s.name = '/ops/ewr' and u.ref = 'newark-UA-usage' on conflict do nothing""")


@pytest.fixture
def trouble(airports, lines):
    """Two events of an unknown source, and one whose subject nobody has mapped."""
    airports("send", lines(departure(1, **UNKNOWN), departure(2, **UNKNOWN), departure(3, **LOST)))
    return airports


def test_the_money_is_told_by_account_and_invoice_before_anything_is_done(trouble):
    map_lost(trouble)

    told = trouble("replay", "--code", "subscription_not_found", "--dry-run")
    money = trouble.json("replay", "dry-run", "--code", "subscription_not_found")["money"]

    (document,) = money["documents"]
    assert (document["before"], document["document"]) == ("0.00", "invoice of the next run")
    assert document["difference"] in told.out
    assert "Money by account" in told.out
    assert "Money by invoice" in told.out
    assert money["effect"] == {document["currency"]: document["difference"]}
    assert trouble.one("select count(*) from replays") == 0


def test_a_replay_is_listed_and_shown_with_what_became_of_it(trouble):
    map_lost(trouble)

    done = trouble.json("replay", "--code", "subscription_not_found", "--yes", "--reason", "mapped")
    shown = trouble.json("replay", "show", done["replay"])

    assert (shown["state"], shown["done"], shown["reason"]) == ("done", 3, "mapped")
    assert {each["outcome"] for each in shown["items"]} == {"billable"}
    assert [each["id"] for each in trouble.json("replay", "list", "--state", "done")] == [done["replay"]]
    assert "mapped" in trouble("replay", "list").out
    assert "3 done" in text_of(trouble("replay", "show", done["replay"], "--watch"))
    assert "no such replay" in text_of(trouble("replay", "list", "--state", "paused"))
    assert_identity()


def test_a_replay_that_is_not_there_is_said_so(trouble):
    ran = trouble("replay", "show", 99)

    assert ran.code == 2
    assert "there is no replay 99" in text_of(ran)


def test_a_replay_is_paused_resumed_and_cancelled(trouble):
    trouble.run("""insert into replays (kind, selection, reason, requested_by, state, started_at)
      values ('replay', '{}', 'a test', 'me', 'running', now())""")
    trouble.run("""insert into replay_items (replay_id, exception_id, sort)
      select 1, id, 'event' from exceptions where code = 'source_unknown'""")

    assert "replay 1 is paused" in text_of(trouble("replay", "pause", 1))
    assert trouble("replay", "pause", 1).code == 1
    assert "replay 1 is running" in text_of(trouble("replay", "resume", 1))
    assert trouble.rows("select state from replays") == [("done",)]
    assert "it takes no cancel" in text_of(trouble("replay", "cancel", 1))


def test_an_event_is_edited_and_sent_again(airports, lines):
    airports("send", lines(departure(1, data={"distance": "far"})))

    ran = airports("replay", "edit", 1, "--set", "data.distance=1400", "--reason", "typed wrong", "--yes")

    assert "sent again: 1 event" in text_of(ran)
    assert airports.one("select data ->> 'distance' from usage_events") == "1400"
    assert airports.rows("select state, reason from exceptions") == [("replayed", "typed wrong")]
    shown = airports.json("exceptions", "show", 1)
    assert (shown["body"]["data"]["distance"], shown["edits"][0]["edited"]["data"]["distance"]) == ("far", 1400)
    assert "edited by" in airports("exceptions", "show", 1).out
    assert_identity()


def test_an_edit_of_accepted_usage_is_told_by_the_trace_of_its_event(airports, lines):
    airports("send", lines(departure(1, data={"air_time": None})))
    exception = airports.one("select min(id) from exceptions")

    airports("replay", "edit", exception, "--set", "data.air_time=227", "--reason", "from the log", "--yes")

    assert "from the log" in airports("trace", "/ops/ewr", "UA/1").out
    (amendment,) = airports.json("trace", "/ops/ewr", "UA/1")["amendments"]
    assert (amendment["data"]["air_time"], amendment["exception"]) == (227, exception)
    assert_identity()


def test_an_event_is_edited_by_a_whole_file(airports, lines, tmp_path):
    airports("send", lines(departure(1, data={"distance": "far"})))
    file = tmp_path / "new.json"
    file.write_text(json.dumps(departure(1)))

    told = airports.json("replay", "edit", 1, "--file", file, "--reason", "r", "--dry-run")["forecast"]

    assert [each["would_be"] for each in told] == ["accepted"]
    assert airports.one("select count(*) from usage_events") == 0


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        ([], "nothing is to be changed", 2),
        (["--set", "data.distance"], "names no member and value", 2),
        (["--set", "source=/ops/jfk"], "source cannot be edited", 1),
        (["--file", "/no/such.json"], "cannot be read as an event", 2),
    ],
)
def test_an_edit_that_cannot_be_is_refused(airports, lines, words, says, code):
    airports("send", lines(departure(1, data={"distance": "far"})))

    ran = airports("replay", "edit", 1, "--reason", "r", "--yes", *words)

    assert (ran.code, says in text_of(ran)) == (code, True)


@pytest.mark.parametrize("text", ["[]", "{"])
def test_a_file_that_holds_no_event_is_refused(airports, tmp_path, text):
    file = tmp_path / "new.json"
    file.write_text(text)

    assert airports("replay", "edit", 1, "--reason", "r", "--file", file).code == 2


@pytest.mark.parametrize(("command", "resolution"), [("dismiss", "dismissed"), ("write-off", "written_off")])
def test_usage_is_decided_upon_and_opened_again(trouble, command, resolution):
    told = trouble("replay", command, "--code", "subscription_not_found", "--reason", "a test", "--dry-run")
    loss = trouble.one("select sum(money_at_risk) from exceptions where event_no is not null")
    assert f"money at risk: {loss} USD" in text_of(told)
    refused = trouble("replay", command, "1", "--reason", "a test", "--dry-run")
    assert "money at risk: nothing known; of 1 exceptions nobody knows it" in text_of(refused)
    assert trouble.one("select count(*) from exceptions where resolution is not null") == 0

    trouble.json("replay", command, "--code", "subscription_not_found", "--reason", "a test", "--yes")

    assert trouble.rows("select distinct state, resolution, reason from exceptions where event_no is not null") == [
        ("dismissed", resolution, "a test")
    ]
    assert trouble.one("select sum(money_at_risk) from exceptions where resolution = :kept", kept=resolution) == loss
    assert_identity()
    listed = trouble.json("exceptions", "list", "--state", resolution)
    other = {"dismissed": "written_off", "written_off": "dismissed"}[resolution]
    assert {each["state"] for each in listed} == {resolution}
    assert trouble.json("exceptions", "list", "--state", other) == []
    written_off = {code: Decimal(amount) for code, amount in trouble.json("status")["written_off"].items()}
    assert written_off == ({"USD": loss} if resolution == "written_off" else {})
    assert ("Written off: USD" in trouble("status").out) == (resolution == "written_off")
    ids = [row[0] for row in trouble.rows("select id from exceptions where state = 'dismissed' order by id")]
    map_lost(trouble)
    assert "open again: 3" in text_of(trouble("replay", "reopen", *ids, "--reason", "after all"))
    assert trouble.rows("select distinct state, resolution from exceptions where event_no is not null") == [
        ("resolved", None)
    ]
    assert "is not dismissed" in text_of(trouble("replay", "reopen", ids[0], "--reason", "again"))
    assert_identity()


def test_a_decision_needs_a_second_person_where_nobody_knows_the_money(trouble):
    trouble.run("delete from approval_policies where recorded_by = 'test' and action = 'exceptions.dismiss'")
    trouble.run("""insert into approval_policies (action, role, needs, currency, money_max, decided_by, recorded_by)
      values ('exceptions.dismiss', 'finance', 'above_limit', 'USD', 1000, 'approver', 'test')""")
    trouble("people", "add", "fay", "--name", "Fay", "--role", "finance")
    trouble("people", "add", "abe", "--name", "Abe", "--role", "approver")

    asked = trouble("replay", "dismiss", "1", "--reason", "a test", "--yes", "--as", "fay")

    assert "nothing is done yet" in text_of(asked)
    assert trouble.rows("select state from replays") == [("planned",)]
    assert trouble.rows("select state from exceptions where id = 1") == [("open",)]
    request = trouble.one("select id from approval_requests")
    assert trouble("approve", request, "--as", "abe").code == 0
    assert trouble.rows("select state, closed_by from exceptions where id = 1") == [("dismissed", "fay")]
    assert trouble.rows("select state, approval_id from replays") == [("done", request)]


@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_replay_above_the_limit_waits_for_a_second_person_with_its_money(trouble, monkeypatch, is_fresh):
    if not is_fresh:
        monkeypatch.setattr("workers.replaying.FRESH", timedelta(0))
    map_lost(trouble)
    trouble.run("delete from approval_policies where recorded_by = 'test' and action = 'replay.business'")
    trouble.run("""insert into approval_policies (action, role, needs, currency, money_max, decided_by, recorded_by)
      values ('replay.business', 'finance', 'above_limit', 'USD', 1, 'approver', 'test')""")
    trouble("people", "add", "fay", "--name", "Fay", "--role", "finance")
    trouble("people", "add", "abe", "--name", "Abe", "--role", "approver")

    trouble("replay", "--code", "subscription_not_found", "--yes", "--as", "fay")

    (effect,) = trouble.rows("select effect ->> 'USD' from approval_requests")[0]
    assert trouble.rows("select forecast -> 'effect' ->> 'USD', state from replays") == [(effect, "planned")]
    assert trouble("approve", 1, "--as", "abe").code == 0
    trouble("replay", "show", 1, "--watch")
    assert trouble.rows("select state from replays") == [("done",)]
    assert trouble.one("select count(*) from attributions") == 3
    assert_identity()


def test_a_replay_that_its_person_may_not_start_is_cancelled(trouble):
    trouble("people", "add", "opi", "--name", "Opi", "--role", "operator")

    ran = trouble("replay", "1", "--yes", "--as", "opi")

    assert ran.code == 1
    assert trouble.rows("select state from replays") == [("cancelled",)]
    assert trouble.rows("select state from exceptions where id = 1") == [("open",)]


@pytest.mark.parametrize("verb", [(), ("dismiss",), ("write-off",)])
def test_who_may_do_none_of_it_makes_nobody_look(trouble, monkeypatch, verb):
    trouble("people", "add", "vic", "--name", "Vic", "--role", "viewer")
    secret = trouble.json("people", "token", "vic", "--scope", "*")["token"]

    refused = trouble("replay", *verb, "1", "--reason", "x", "--yes", "--as", "vic")

    assert (refused.code, "vic may not" in text_of(refused)) == (1, True)
    monkeypatch.setenv("TALLYLINE_MODE", "fleet")
    monkeypatch.setenv("TALLYLINE_TOKEN", secret)
    forget()
    looked = trouble("replay", *verb, "1", "--reason", "x", "--dry-run")
    assert (looked.code, "vic may not" in text_of(looked)) == (1, True)
    assert trouble.one("select count(*) from replays") == 0
    monkeypatch.setenv("TALLYLINE_TOKEN", TOKEN)
    forget()
    assert trouble("replay", *verb, "1", "--reason", "x", "--dry-run").code == 0


def test_an_age_is_written_in_hours_or_days(trouble):
    assert "write hours or days" in text_of(trouble("replay", "--older-than", "soon"))
    assert "no exception is open with what was selected" in text_of(trouble("replay", "--older-than", "7d"))


def test_help_teaches_every_command(operator):
    told = operator("replay", "--help").out

    for name in (
        "new",
        "dry-run",
        "edit",
        "dismiss",
        "write-off",
        "reopen",
        "list",
        "show",
        "pause",
        "resume",
        "cancel",
    ):
        assert name in told
    assert "Example" in operator("replay", "edit", "--help").out


def test_an_edit_that_would_be_refused_again_is_not_asked_for(airports, lines):
    airports("send", lines(departure(1, data={"distance": "far"})))

    ran = airports("replay", "edit", 1, "--set", "data.distance=further", "--reason", "r", "--yes")
    told = airports("replay", "edit", 1, "--set", "data.distance=further", "--reason", "r", "--dry-run")

    assert ran.code == 1
    assert "the edit does not help exception 1: it would be refused: field_invalid" in text_of(ran)
    assert airports.rows("select state from replays") == [("cancelled",)]
    assert airports.one("select count(*) from approval_requests") == 0
    assert airports.one("select state from exceptions") == "open"
    assert told.code == 0
    assert "it would be refused again: field_invalid" in text_of(told)


def test_an_edit_that_leaves_the_usage_where_it_is_is_not_asked_for(airports, lines):
    airports("send", lines(departure(1, data={"air_time": None})))
    exception = airports.one("select max(id) from exceptions")

    ran = airports("replay", "edit", exception, "--set", "data.tail_number=N9", "--reason", "r", "--yes")

    assert ran.code == 1
    assert airports.one("select state from exceptions") == "open"
    assert airports.one("select count(*) from replays where state <> 'cancelled'") == 0


def test_a_person_who_is_asked_is_told_before_the_question_that_an_edit_does_not_help(airports, lines, monkeypatch):
    airports("send", lines(departure(1, data={"distance": "far"})))
    monkeypatch.setattr(replay_ask, "is_terminal", lambda: True)

    ran = airports("replay", "edit", 1, "--set", "data.distance=further", "--reason", "r")

    assert ran.code == 1
    assert "the edit does not help exception 1" in text_of(ran)
    assert airports.one("select count(*) from replays") == 0
