"""What a file of master data lacks is told before it hurts: names that are not there, prices that will be needed."""

from datetime import UTC, datetime

import pytest
from operator_bench import DEMO
from parties_bench import PHONES

PRICE = '{terms: {model: per_unit, unit_amount: "1"}, tax_category: service, revenue_account: r}'
MINUTES = "metrics: {minutes: {meter: call.ended, aggregation: sum, property: minutes, unit: minute}}\n"
SEATS = "metrics: {seats: {aggregation: subscribed, property: seats, unit: seat}}\n"


def version(number, since, metric, *, contract="C-1"):
    said = f"{{version: {number}, from: {since}, prices: {{{metric}: {PRICE}}}}}"
    return f"contracts: {{{contract}: {{versions: [{said}]}}}}\n"


def lacks(load, content):
    return load.operator.json("master", "load", load.file(content))["lacks"]


def call(load, lines):
    event = {
        "specversion": "1.0", "id": "e1", "source": "/phones", "type": "call.ended", "subject": "k1",
        "time": datetime.now(UTC).isoformat(), "data": {"minutes": "3"},
    }  # fmt: skip
    load.operator.json("send", lines(event), "--user", "phones")


# ----------------------------------------------------------------------------------------------- prices
def test_a_version_without_a_price_for_what_is_used_is_told_with_names(load, lines):
    load.done(MINUTES)
    call(load, lines)

    found = lacks(load, version(2, "2026-01-01", "calls"))

    assert found == [
        {"contract": "C-1", "version": 2, "phase": None, "metric": "minutes", "why": "S-1 has used it lately"}
    ]


def test_a_version_that_drops_the_price_of_another_is_told(load):
    load.done(MINUTES)

    found = lacks(load, version(2, "2099-01-01", "minutes"))

    assert [(each["version"], each["metric"], each["why"]) for each in found] == [
        (1, "minutes", "version 2 has one"), (2, "calls", "version 1 has one"),
    ]  # fmt: skip


def test_seats_that_no_version_prices_are_told(load):
    load.done(SEATS)

    found = lacks(load, "subscriptions: {S-1: {quantities: [{item: seats, quantity: 5, from: 2026-01-01}]}}")

    assert [(each["metric"], each["why"]) for each in found] == [("seats", "S-1 has seats")]


def test_a_phase_without_a_price_for_what_is_used_is_told(load, lines):
    load.done(
        MINUTES
        + version(1, "2026-01-01", "calls", contract="C-2").replace(
            "versions", "account: B, legal_entity: us, currency: USD, versions"
        )
    )
    call(load, lines)

    found = lacks(
        load, "subscriptions: {S-1: {phases: [{phase: ramp, from: 2099-01-01, prices: {minutes: " + PRICE + "}}]}}"
    )

    assert ("ramp", "calls", "S-1 has used it lately") in [
        (each["phase"], each["metric"], each["why"]) for each in found
    ]


def test_nothing_is_told_where_nothing_is_missing_and_what_has_ended_needs_no_price(load, lines):
    call(load, lines)

    assert lacks(load, PHONES) == []
    load.done(MINUTES)
    ended = "contracts: {C-2: {account: B, legal_entity: us, currency: USD, versions: [{version: 1, from: 2025-01-01, "
    assert lacks(load, ended + "to: 2025-02-01, prices: {minutes: " + PRICE + "}}]}}") == []


def test_people_are_told_in_a_table_what_to_do(load, lines):
    load.done(MINUTES)
    call(load, lines)
    file = load.file(version(2, "2026-01-01", "calls"))

    before = load.operator("master", "preview", file)
    checked = load.operator("master", "load", "--check", file)
    loaded = load.operator("master", "load", file)

    for ran in (before, checked, loaded):
        assert "Prices that are missing" in ran.out
        assert "S-1 has used it lately" in ran.out
        assert "add each to its version, at 0 if it is free" in " ".join(ran.out.split())


# ----------------------------------------------------------------------------------------------- names
WRONG = [
    ("mappings: [{source: /phones, subject: k9, subscription: S-9}]", "there is no subscription 'S-9'"),
    ("subscriptions: {S-1: {contract: C-9, cycle: us/month}}", "there is no contract 'C-9'"),
    ("accounts: {A: {bill_to: Z}}", "there is no account 'Z'"),
    (version(2, "2099-01-01", "hops"), "there is no metric 'hops'"),
]


@pytest.mark.parametrize(("content", "says"), WRONG)
def test_a_check_holds_names_against_the_database(load, content, says):
    ran = load(content, "--check")

    assert ran.code == 2
    assert says in " ".join(ran.err.split())


def test_a_check_loads_nothing(load):
    ran = load("accounts: {N: {name: New}}", "--check")

    assert ran.code == 0
    assert "can be loaded" in ran.out
    assert load.operator.rows("select 1 from accounts where id = 'N'") == []
    assert load.operator.rows("select 1 from audit_log where subject = 'N'") == []


@pytest.fixture
def away(load, monkeypatch):
    """A database that does not answer."""
    monkeypatch.setenv("TALLYLINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    from workers.cli.reach import forget

    forget()
    return load


def test_without_a_database_a_check_names_what_the_file_does_not_hold(away):
    content = (
        "contracts: {C-1: {account: A, legal_entity: us, currency: USD, versions: "
        "[{version: 1, from: 2026-01-01, plan: us/start, entitlements: {api: {}}}]}}\n"
        "subscriptions: {S-1: {contract: C-1, cycle: us/month, phases: [{phase: x, from: 2026-01-01, prices: {m: "
        + PRICE + "}}]}}\n"
        "mappings: [{source: /phones, subject: k9, subscription: S-9}]\n"
        "entitlements: [{subscription: S-1, feature: api, terms: {}}]\n"
        "grants: [{subscription: S-1, feature: api, name: g, quantity: 1, from: 2026-01-01}]\n"
        "features: {other: {kind: metered, metric: m, owner: x}}\n"
        "exclusion_rules: {r: {meter: call.ended, conditions: [], reason: x}}\n"
        "metrics: {n: {meter: call.ended, aggregation: count, unit: x, product: voice}}\n"
        "cycles: {them/month: {}}\naccounts: {Q: {name: Q, parent: P}}\n"
        "legal_entities: {we: {name: We, currency: USD, zone: UTC, jurisdiction: x, connection: books}}\n"
    )  # fmt: skip

    told = away.operator.json("master", "load", "--check", away.file(content))

    assert told["is_held_against_database"] is False
    assert {(each["what"], each["name"]) for each in told["outside"]} == {
        ("account", "A"), ("legal entity", "us"), ("plan of a price book", "us/start"), ("feature", "api"),
        ("cycle", "us/month"), ("metric", "m"), ("source", "/phones"), ("subscription", "S-9"),
        ("meter", "call.ended"), ("product", "voice"), ("legal entity", "them"), ("account", "P"),
        ("connection", "books"),
    }  # fmt: skip
    assert [each["line"] for each in told["outside"] if each["name"] == "S-9"] == [3]


def test_the_example_names_nothing_that_it_does_not_hold(away):
    ran = away.operator("master", "load", "--check", DEMO / "master.yaml")

    assert ran.code == 0
    assert "there is no database to hold it against" in ran.out
    assert "has to be there before" not in ran.out
