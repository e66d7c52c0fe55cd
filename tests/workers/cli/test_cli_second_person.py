"""Ways around the second person, each closed: wider tokens, other deployments, more by the time it is granted."""

import json

import pytest
from operator_bench import departure
from two_people import begin, request_of

from domain.approvals import ApprovalStale
from workers import replaying
from workers.cli.reach import forget
from workers.deeds import doing
from workers.deeds.deed import Order
from workers.store import people, replays
from workers.store.database import engine
from workers.store.replay_selection import Selection
from workers.store.replays import Wanted

UNKNOWN = {"source": "/ops/bos"}
LIMIT = """insert into approval_policies (action, role, needs, currency, money_max, decided_by, recorded_by)
  values ('replay.business', 'finance', 'above_limit', 'USD', 10, 'approver', 'test')"""


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


@pytest.fixture
def two(operator):
    begin(operator)
    return operator


@pytest.fixture
def with_token(two, monkeypatch):
    """Runs a command with a token."""

    def run(secret, *words):
        monkeypatch.setenv("TALLYLINE_TOKEN", secret)
        forget()
        try:
            return two(*words)
        finally:
            monkeypatch.delenv("TALLYLINE_TOKEN")
            forget()

    return run


def test_a_token_makes_no_token_that_opens_more_than_itself(two, with_token):
    narrow = two.json("people", "token", "finance", "--scope", "read.*", "--scope", "replay.technical",
                      "--as", "finance")["token"]  # fmt: skip

    for scope in ("*", "replay.*", "documents.repair"):
        refused = with_token(narrow, "people", "token", "finance", "--scope", scope)
        assert (refused.code, "so it makes none that has" in text_of(refused)) == (1, True)

    assert with_token(narrow, "people", "token", "finance", "--scope", "read.*").code == 0
    assert two.one("select count(*) from api_tokens") == 2


def test_a_token_of_somebody_else_needs_whom_changes_of_people_need(two, with_token):
    two.run("update approval_policies set needs = 'always' where action = 'people.change'")

    asked = two("people", "token", "approver", "--scope", "*", "--as", "admin", "--json")

    told = json.loads(asked.out)
    assert (asked.code, sorted(told)) == (4, ["person", "request", "token"])
    assert with_token(told["token"], "people", "token", "approver", "--scope", "*").code == 1
    assert two.one("select count(*) from api_tokens") == 0
    assert two("approve", told["request"], "--as", "approver").code == 0
    assert with_token(told["token"], "people", "token", "approver", "--scope", "*").code == 0
    assert "waits for somebody else" in text_of(two("people", "token", "viewer", "--scope", "*", "--as", "admin"))


def test_who_acts_on_a_bootstrapped_deployment_proves_it_whatever_the_environment_says(operator, monkeypatch):
    operator.run("truncate people, person_roles, api_tokens cascade")
    monkeypatch.setenv("TALLYLINE_MODE", "fleet")
    forget()
    first = operator.json("people", "bootstrap", "root")["token"]
    monkeypatch.delenv("TALLYLINE_MODE")
    forget()

    for as_ in ((), ("--as", "root")):
        refused = operator("people", "add", "eve", "--role", "admin", *as_)
        assert (refused.code, "no token is named" in text_of(refused)) == (2, True)

    assert operator.rows("select id from people") == [("root",)]
    monkeypatch.setenv("TALLYLINE_TOKEN", first)
    forget()
    assert operator("people", "add", "bob", "--role", "viewer").code == 0


def acting(person):
    with engine().begin() as conn:
        return people.acting_as(conn, person)


@pytest.fixture
def paused(airports, lines):
    """Replay 1 of refused events: started by one person when it moved no money, paused before anything was sent."""
    airports("send", lines(*(departure(number, **UNKNOWN) for number in range(1, 6))))
    begin(airports)
    airports.run("delete from approval_policies where action = 'replay.business'")
    airports.run(LIMIT)
    with engine().begin() as conn:
        wanted = Wanted("replay", Selection(code="source_unknown"), "finance", "a test")
        number = replays.plan(conn, wanted)
        replays.keep_forecast(conn, number, replaying.forecast(conn, number))
    doing.submit(acting("finance"), "replay.start", Order("finance", "a test", {"replay": number}))
    assert "is paused" in text_of(airports("replay", "pause", number, "--as", "finance"))
    return airports


def test_a_replay_that_would_move_more_money_than_when_it_was_started_is_not_resumed(paused):
    assert paused.rows("select state, forecast -> 'effect' from replays") == [("paused", {})]
    paused.run("insert into sources (name, owner) values ('/ops/bos', 'test')")
    paused.run("insert into source_users select id, 'demo' from sources where name = '/ops/bos'")
    paused.run("""insert into mappings (source_id, subject, subscription_id, recorded_by)
      select s.id, 'UA', u.id, 'me' from sources s, subscriptions u
      where s.name = '/ops/bos' and u.ref = 'newark-UA-usage'""")

    refused = paused("replay", "resume", 1, "--as", "finance")

    assert (refused.code, "would move more money by now" in text_of(refused)) == (1, True)
    assert paused.rows("select state from replays") == [("paused",)]
    assert paused.one("select count(*) from attributions") == 0
    assert "is cancelled" in text_of(paused("replay", "cancel", 1, "--as", "finance"))
    asked = paused("replay", "--code", "source_unknown", "--yes", "--as", "finance")
    assert paused("approve", request_of(asked), "--as", "approver").code == 0
    assert paused.one("select count(*) from usage_events") == 5


def test_a_replay_that_moves_no_more_goes_on(paused):
    assert "is running" in text_of(paused("replay", "resume", 1, "--as", "finance"))
    assert paused.rows("select state from replays") == [("done",)]


@pytest.fixture
def in_the_way(airports, lines):
    """A run that one diverted flight blocks, and the request to let it pass, which needs a second person."""
    airports("send", lines(departure(1), departure(2, data={"air_time": None})))
    begin(airports)
    airports.run("update approval_policies set needs = 'always' where action = 'runs.override'")
    words = ("close", "newark", "2013-01", "--override", "quantity_missing", "--reason", "diverted", "--as", "finance")
    return airports, words, request_of(airports(*words))


def test_more_in_the_way_than_was_seen_is_not_let_pass(in_the_way, lines):
    operator, words, request = in_the_way
    operator("send", lines(departure(3, data={"air_time": None})))
    operator("close", "newark", "2013-01", "--as", "finance")

    refused = operator("approve", request, "--as", "approver")

    assert (refused.code, "2 quantity_missing are in the way of run 1 by now, 1 were seen" in text_of(refused)) == (
        1,
        True,
    )
    assert operator.one("select count(*) from billing_overrides") == 0
    assert operator.rows("select state from approval_requests") == [("stale",)]
    assert operator("approve", request_of(operator(*words)), "--as", "approver").code == 0
    assert operator.rows("select exceptions, person from billing_overrides") == [(2, "finance")]


def test_what_was_seen_is_let_pass_when_it_is_granted(in_the_way):
    operator, _, request = in_the_way

    assert operator("approve", request, "--as", "approver").code == 0
    assert operator.rows("select exceptions, person from billing_overrides") == [(1, "finance")]


def test_whoever_overrides_alone_lets_no_more_pass_than_was_seen(in_the_way, lines):
    operator, _, _ = in_the_way
    operator.run("update approval_policies set needs = 'nothing' where action = 'runs.override'")

    with pytest.raises(ApprovalStale, match="1 quantity_missing are in the way of run 1 by now, 0 were seen"):
        doing.submit(acting("finance"), "runs.override",
                     Order("finance", "r", {"run_id": 1, "code": "quantity_missing", "count": 0}))  # fmt: skip
