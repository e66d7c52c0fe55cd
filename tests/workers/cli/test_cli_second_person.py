"""Ways around the second person, each closed: wider tokens, other deployments, more by the time it is granted."""

import json
import threading
from dataclasses import replace
from decimal import Decimal

import pytest
from operator_bench import departure
from two_people import begin, request_of

from domain.approvals import ApprovalClosed, ApprovalStale
from domain.authority import PersonUnknown, TokenInvalid
from workers import replaying
from workers.cli.reach import forget
from workers.deeds import doing
from workers.deeds.deed import Order
from workers.store import acting as names
from workers.store import allowances, audit, people, replays
from workers.store.acting import Named
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


def test_parts_that_are_each_below_a_limit_pass_it_no_more_than_the_whole(airports, lines):
    airports("send", lines(*(departure(number, subject="ZZ") for number in range(1, 4))))
    begin(airports)
    airports.run("delete from approval_policies where action = 'exceptions.write_off'")
    airports.run(LIMIT.replace("replay.business", "exceptions.write_off").replace("10,", "600,"))
    airports("exceptions")
    worth = dict(airports.rows("select event_id, sum(money_at_risk) from exceptions group by 1"))
    assert all(250 < each < 350 for each in worth.values()), worth
    ids = {name: airports.rows("select id from exceptions where event_id = :id order by id", id=name) for name in worth}

    def write_off(name, person):
        numbers = [row[0] for row in ids[name]]
        return airports("replay", "write-off", *numbers, "--reason", "a test", "--yes", "--as", person).code

    assert [write_off(name, "finance") for name in sorted(worth)] == [0, 0, 4]
    (request,) = airports.json("approve")
    assert request["effect"] == {"USD": str(worth["UA/3"])}
    airports.run("insert into people (id, name, created_by) values ('other', 'other', 'test')")
    airports.run("insert into person_roles (person_id, role, granted_by) values ('other', 'finance', 'test')")
    airports("approve", request["id"], "--refuse", "--note", "no", "--as", "approver")
    assert write_off("UA/3", "other") == 0


def test_what_was_moved_alone_a_day_ago_counts_no_more(airports):
    with engine().begin() as conn:
        names.name(conn, Named("ann", "a test"))
        allowances.use(conn, "x", ["exceptions.dismiss"], {"USD": Decimal("-7.5")})
        allowances.use(conn, "x", ["exceptions.dismiss"], {"USD": Decimal(2), "EUR": Decimal(1)})
        assert allowances.used(conn, "ann", ["exceptions.dismiss", "x"]) == {"USD": Decimal("9.5"), "EUR": Decimal(1)}
        assert allowances.used(conn, "ann", ["replay.business"]) == {}
        assert allowances.used(conn, "bob", ["exceptions.dismiss"]) == {}
    airports.run("""set local session_replication_role = replica;
      update audit_log set recorded_at = recorded_at - interval '25 hours'""")
    with engine().connect() as conn:
        assert allowances.used(conn, "ann", ["exceptions.dismiss"]) == {}


@pytest.mark.parametrize(
    "words",
    [
        ("exceptions", "assign", "1", "finance", "--reason", "x"),
        ("exceptions", "deadline", "1", "-", "--reason", "x"),
    ],
)
def test_a_policy_that_wants_a_second_person_is_not_passed_by_a_command_that_can_ask_none(airports, lines, words):
    airports("send", lines(departure(1, **UNKNOWN)))
    begin(airports)
    airports.run("update approval_policies set needs = 'always' where action = 'exceptions.assign'")

    refused = airports(*words, "--as", "operator")

    assert (refused.code, "a policy wants a second person for exceptions.assign" in text_of(refused)) == (1, True)
    airports.run("delete from approval_policies where action = 'exceptions.assign'")
    assert "no policy says" in text_of(airports(*words, "--as", "operator"))
    assert airports.one("select assigned_to from exceptions") is None


def test_what_a_repair_does_and_which_dates_a_run_gets_is_in_the_audit_log(airports, lines, tmp_path):
    chart = tmp_path / "ledgers" / "ledger-newark" / "declarations"
    chart.mkdir(parents=True)
    (chart / "chart.journal").write_text("account nothing\n")
    airports("send", lines(departure(1)))
    airports("close", "newark", "2013-01", "--as", "ann")
    airports("close", "newark", "2013-01", "--posting-on", "2013-02-28", "--as", "ann")
    airports("close", "newark", "2013-01", "--approve", "--as", "ann")
    number = airports.one("select number_text from invoices where number_text is not null order by id limit 1")

    for _ in range(2):
        airports("repair", number, "--void", "--reason", "wrong chart", "--as", "ann")

    found = airports.rows("""select action, person, after ->> 'posting_on', after ->> 'number' from audit_log
      where action in ('billing_runs.request', 'billing_runs.redate', 'documents.void') order by no""")
    assert found == [
        ("billing_runs.request", "ann", None, None),
        ("billing_runs.redate", "ann", "2013-02-28", None),
        ("documents.void", "ann", None, number),
    ]


def test_an_admin_gives_no_roles_to_themselves(two):
    refused = two("people", "add", "admin", "--role", "finance", "--role", "approver", "--as", "admin")

    assert (refused.code, "gives no roles to themselves" in text_of(refused)) == (1, True)
    assert two.rows("select role from person_roles where person_id = 'admin'") == [("admin",)]
    assert two("people", "add", "admin", "--name", "Ada", "--role", "admin", "--as", "admin").code == 0


def asked_for(two):
    return request_of(two("people", "disable", "viewer", "--as", "admin"))


@pytest.mark.parametrize("act", ["submit", "grant", "refuse"])
def test_who_was_disabled_or_lost_the_token_while_the_command_waited_does_nothing(two, act):
    two.run("update approval_policies set needs = 'always' where action = 'people.change'")
    request = asked_for(two)
    two("people", "token", "approver", "--scope", "*", "--as", "approver")
    two("people", "token", "admin", "--scope", "*", "--as", "admin")
    who = "admin" if act == "submit" else "approver"
    holder = replace(acting(who), token_id=two.one("select id from api_tokens where person_id = :id", id=who))
    acts = {
        "submit": lambda: doing.submit(holder, "people.disable", Order("admin", "r", {"person": "finance"})),
        "grant": lambda: doing.grant(holder, request),
        "refuse": lambda: doing.refuse(holder, request, note="no"),
    }

    two.run("update api_tokens set revoked_at = now(), revoked_by = 'x'")
    with pytest.raises(TokenInvalid, match="revoked or expired by now"):
        acts[act]()
    two.run("update api_tokens set revoked_at = null, revoked_by = null")
    two.run("update people set disabled_at = now(), disabled_by = 'x'")
    with pytest.raises(PersonUnknown, match="is disabled"):
        acts[act]()
    two.run("update people set disabled_at = null, disabled_by = null")
    acts[act]()


def test_of_two_grants_at_once_one_does_it(two):
    two.run("update approval_policies set needs = 'always' where action = 'people.change'")
    two.run("insert into people (id, name, created_by) values ('second', 'Second', 'test')")
    two.run("insert into person_roles (person_id, role, granted_by) values ('second', 'approver', 'test')")
    request, found = asked_for(two), []

    def grant(person):
        try:
            found.append(doing.grant(acting(person), request).plan.summary)
        except ApprovalClosed as closed:
            found.append(closed.sentence)

    with engine().begin() as conn:
        audit.hold(conn)
        both = [threading.Thread(target=grant, args=(each,)) for each in ("approver", "second")]
        for each in both:
            each.start()
        while two.one("select count(*) from pg_locks where not granted and locktype = 'advisory'") < len(both):
            assert all(each.is_alive() for each in both)
    for each in both:
        each.join(20)

    assert sorted(found) == ["disable viewer", f"request {request} is granted"]
    assert two.one("select count(*) from approval_decisions") == 1


def test_an_edit_of_an_exception_that_waits_for_somebody_is_not_asked_for_again(airports, lines):
    begin(airports)
    airports("send", lines(departure(1, data={"distance": "far"})))
    edit = ("replay", "edit", 1, "--reason", "typed wrong", "--yes", "--as", "finance", "--set")

    number = request_of(airports(*edit, "data.distance=1400"))
    again = airports(*edit, "data.distance=1500")

    assert again.code == 1
    assert f"request {number} already asks for that" in text_of(again)
    assert airports.one("select count(*) from approval_requests") == 1
    assert airports.rows("select state from replays order by id") == [("planned",), ("cancelled",)]
    assert airports("approve", number, "--as", "approver").code == 0
    assert airports.one("select data ->> 'distance' from usage_events") == "1400"


def test_an_edit_is_not_granted_once_it_does_not_help_any_more(airports, lines):
    begin(airports)
    airports("send", lines(departure(1, data={"distance": "far"})))
    edit = ("replay", "edit", 1, "--reason", "typed wrong", "--yes", "--as", "finance", "--set")
    number = request_of(airports(*edit, "data.distance=1400"))
    airports.run("update replays set forecast = null")
    airports.run("update replays set edited = jsonb_set(edited, '{data,distance}', '\"further\"')")

    ran = airports("approve", number, "--as", "approver")

    assert ran.code == 1
    assert "the edit does not help exception 1" in text_of(ran)
    assert airports.one("select state from exceptions") == "open"
