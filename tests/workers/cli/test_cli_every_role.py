"""Every action that a command has done, asked for in every role: who may not is told so, and nothing has happened."""

import json

import pytest
from operator_bench import ALONE, departure
from two_people import begin

from domain.authority import ACTIONS, ROLES

PARTIES = "accounts: {zz: {name: Zed}}"
MAPPED = "mappings: [{source: /ops/ewr, subject: ZZ, subscription: newark-UA-usage}]"
METERED = """
meters: {airport.arrival: {owner: operations, versions: [{version: 1, fields: [{name: gate, kind: string}]}]}}
"""
TAXED = 'tax_rates: [{jurisdiction: us-ca, category: stand, rate: "1", from: 2013-01-01, source: none}]'
ENTITLED = "features: {lounge: {kind: boolean, owner: product}}"
RULED = (
    "exclusion_rules: {never: {meter: airport.departure, conditions: [{property: flight, op: is_null}], reason: none}}"
)

#: What is in the way of every period, since nobody knows when it happened or whose it is.
OVER = ("--override", "envelope_invalid", "--override", "source_unknown", "--reason", "x")


def technical(operator):
    return operator.one("select min(id) from exceptions where code = 'envelope_invalid'")


def business(operator):
    return operator.one("select min(id) from exceptions where code = 'source_unknown'")


def planned(operator):
    """A replay that somebody has planned and nobody has started."""
    operator.run("update approval_policies set needs = 'always' where action = 'replay.business'")
    assert operator("replay", business(operator), "--yes", "--as", "ann").code == 4
    return operator.one("select max(id) from replays")


def asked(operator):
    """A request of Ann's that anybody with any role but viewer may decide."""
    operator.run("update approval_policies set needs = 'always', decided_by = 'admin' where action = 'runs.request'")
    operator("close", "newark", "2013-06", "--as", "ann")
    operator.run("update approval_policies set needs = 'nothing' where action = 'runs.request'")
    return operator.one("select max(id) from approval_requests")


def drafted(operator):
    operator("close", "newark", "2013-02", *OVER, "--as", "ann")
    return "2013-02"


def numbered(operator):
    return operator.one("select min(number_text) from invoices where number_text is not null")


#: What a person types for each action; the state it needs is made first, by Ann, who may do everything.
COMMANDS = {
    "people.change": lambda _: ("people", "add", "zed", "--role", "viewer"),
    "policies.change": lambda _: ("policies", "set", "credits.grant", "finance", "nothing"),
    "sources.publish": lambda _: ("sources", "add", "/x", "--user", "x"),
    "parties.publish": lambda _: ("master", "load", PARTIES),
    "mappings.publish": lambda _: ("master", "load", MAPPED),
    "meters.publish": lambda _: ("master", "load", METERED),
    "entitlements.publish": lambda _: ("master", "load", ENTITLED),
    "taxes.publish": lambda _: ("master", "load", TAXED),
    "rules.publish": lambda _: ("master", "load", RULED),
    "runs.request": lambda _: ("close", "newark", "2013-03"),
    "runs.approve": lambda operator: ("close", "newark", drafted(operator), "--approve"),
    "replay.technical": lambda operator: ("replay", technical(operator), "--yes"),
    "replay.business": lambda operator: ("replay", business(operator), "--yes"),
    "replay.edit": lambda o: ("replay", "edit", business(o), "--set", "data.distance=7", "--reason", "x", "--yes"),
    "replay.control": lambda operator: ("replay", "cancel", planned(operator)),
    "exceptions.assign": lambda operator: ("exceptions", "assign", business(operator), "ann", "--reason", "x"),
    "exceptions.dismiss": lambda o: ("replay", "dismiss", technical(o), "--reason", "x", "--yes"),
    "exceptions.write_off": lambda o: ("replay", "write-off", business(o), "--reason", "x", "--yes"),
    "documents.repair": lambda operator: ("repair", numbered(operator), "--void", "--reason", "x"),
    "revenue.run": lambda _: ("revenue", "run", "newark", "2013-01"),
    "revenue.close": lambda _: ("revenue", "close", "newark", "2013-01", "--reason", "x"),
    "retention.erase": lambda _: ("retention",),
    "approvals.decide": lambda operator: ("approve", asked(operator)),
}
#: Actions that no command has done: looks, which the database's own credentials decide; sending, which RabbitMQ's do;
#: and what comes with closing periods anew, credits, and totals that differ.
WITHOUT_A_COMMAND = {
    "read.figures", "read.audit", "send.usage", "runs.reopen", "credits.grant", "runs.override", "runs.override_total",
    "prices.publish", "runs.release",
}  # fmt: skip


@pytest.fixture
def busy(airports, lines, tmp_path):
    """A deployment with a technical and a business exception, a document that its ledger refused, and every role."""
    ledger = tmp_path / "ledgers" / "ledger-newark" / "declarations"
    ledger.mkdir(parents=True)
    (ledger / "chart.journal").write_text("account nothing\n")
    timeless = {name: value for name, value in departure(3).items() if name != "time"}
    airports("send", lines(departure(1), departure(2, source="/ops/bos"), timeless))
    over = (*OVER, "--approve", "--as", "ann")
    airports("close", "newark", "2013-01", *over)
    begin(airports)
    airports.run("delete from approval_policies")
    airports.run(ALONE)
    return airports


@pytest.mark.parametrize("action", COMMANDS)
def test_each_action_is_done_in_its_roles_and_refused_in_the_others(action, busy, tmp_path):
    denied = [role for role in ROLES if role not in ACTIONS[action].roles]
    allowed = next(role for role in ROLES if role in ACTIONS[action].roles)
    words = COMMANDS[action](busy)
    if words[:2] == ("master", "load"):
        file = tmp_path / "part.yaml"
        file.write_text(words[2])
        words = (*words[:2], file)

    for role in denied:
        before = state_of(busy)
        refused = busy(*words, "--as", role)
        assert (refused.code, "may not" in refused.err) == (1, True), (role, refused.out, refused.err)
        assert state_of(busy) == before, role
    done = busy(*words, "--as", allowed)

    assert "may not" not in done.err, done.err
    assert denied, "an action that everybody may do needs no role"


def test_every_action_has_a_command_or_a_reason_why_not():
    assert COMMANDS.keys() | WITHOUT_A_COMMAND == ACTIONS.keys()
    assert COMMANDS.keys() & WITHOUT_A_COMMAND == set()


def state_of(operator):
    """What must not change when somebody is refused."""
    counts = (
        "people", "approval_policies", "sources", "accounts", "mappings", "meters", "tax_rates", "exclusion_rules",
        "features",
        "billing_runs", "repairs", "approval_decisions",
    )  # fmt: skip
    listed = ", ".join(f"'{name}', (select count(*) from {name})" for name in counts)
    rows = operator.one(f"select json_build_object({listed})")
    states = operator.rows("select id, state, assigned_to from exceptions order by id")
    approved = operator.rows("select id, approved_by from billing_runs order by id")
    replays = operator.rows("select id, state from replays where state not in ('planned', 'cancelled') order by id")
    return json.dumps(rows, default=str), states, approved, replays
