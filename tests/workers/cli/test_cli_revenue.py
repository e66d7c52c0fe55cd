"""Revenue at the command line: run, shown by period, shown by line; rules of revenue accounts in master data."""

import pytest
from operator_bench import departure

RULES = """
revenue_rules:
  newark:
    "*": {deferred_account: "liabilities:paid-ahead"}
    "revenue:landing": {method: monthly}
credit_accounts:
  newark: {breakage_account: "revenue:unused-credits"}
"""


@pytest.fixture
def billed(airports, lines):
    """January 2013 of Newark, billed as if it were posted the month before: its revenue is deferred."""
    airports("send", lines(departure(1)))
    ran = airports("close", "newark", "2013-01", "--approve", "--as", "ann", "--posting-on", "2012-12-31")
    assert ran.code == 0, ran.err
    airports.invoice, airports.net = airports.rows("select number_text, net from invoices where number is not null")[0]
    return airports


def test_revenue_is_recognised_once_in_the_period_it_is_earned_in(billed):
    assert billed.json("revenue", "run", "newark", "2012-12")["recognised"] == []

    (done,) = {each["period"] for each in billed.json("revenue", "run", "newark", "2013-01")["recognised"]}

    assert done == "2013-01"
    assert billed.json("revenue", "run", "newark", "2013-01")["recognised"] == []
    assert "Nothing is due" in billed("revenue", "run", "newark", "2013-01").out


def test_a_period_shows_what_was_deferred_and_when_the_rest_is_due(billed):
    net = str(billed.net)

    december = billed.json("revenue", "show", "newark", "2012-12")
    (deferred,) = december["deferred"]
    assert deferred == {
        "currency": "USD", "account": "liabilities:deferred-revenue", "opening": "0", "added": net,
        "recognised": "0", "closing": net,
    }  # fmt: skip
    assert (december["is_closed"], december["contract_assets"]) == (False, [])
    (ahead,) = december["ahead"]
    assert (ahead["period"], ahead["amount"]) == ("2013-01", net)
    billed("revenue", "run", "newark", "2013-01")
    (deferred,) = billed.json("revenue", "show", "newark", "2013-01")["deferred"]
    assert [deferred[name] for name in ("opening", "added", "recognised")] == [net, "0", net]
    assert float(deferred["closing"]) == 0


def test_people_see_tables(billed):
    shown = billed("revenue", "show", "newark", "2012-12").out
    assert "newark 2012-12 is open" in shown
    assert "liabilities:deferred-revenue" in shown
    assert "2013-01" in shown
    assert "newark/2013-01" in billed("revenue", "run", "newark", "2013-01").out


def test_a_line_shows_when_it_is_earned(billed):
    (part,) = billed.json("revenue", "line", billed.invoice, 1)

    assert (part["earned_in"], part["period"], part["is_deferred"]) == ("2013-01", "2013-01", True)
    assert part["journal_entry"] is None
    assert "deferred" in billed("revenue", "line", billed.invoice, 1).out
    billed("revenue", "run", "newark", "2013-01")
    assert "in entry" in billed("revenue", "line", billed.invoice, 1).out


def test_a_line_that_is_earned_with_its_document_says_so(airports, lines):
    airports("send", lines(departure(1)))
    airports("close", "newark", "2013-01", "--approve", "--as", "ann")
    invoice = airports.one("select number_text from invoices where number is not null")

    assert "with the document" in airports("revenue", "line", invoice, 1).out
    assert airports.json("revenue", "show", "newark", "2013-01")["deferred"] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "nowhere", "2013-01"), "there is no legal entity 'nowhere'"),
        (("run", "newark", "soon"), "soon is no accounting period"),
        (("show", "newark", "2013-01-02"), "2013-01-02 is no accounting period"),
        (("show", "newark", "9999-01"), "9999-01 is no accounting period"),
        (("line", "PONY-1", "1"), "there is no line 1 of a document 'PONY-1'"),
    ],
)
def test_what_is_not_there_ends_with_2(airports, words, says):
    ran = airports("revenue", *words)

    assert (ran.code, says in ran.err) == (2, True), ran.err


def test_a_period_that_has_not_ended_is_not_recognised(airports):
    ran = airports("revenue", "run", "newark", "8999-01")

    assert ran.code == 1
    assert "has not ended yet" in ran.err


def test_rules_of_revenue_accounts_are_master_data(airports, tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    assert airports("master", "load", file).code == 0
    again = airports.json("master", "load", file)

    assert (again["new"], again["same"]) == ({}, {"revenue_rules": 2, "credit_accounts": 1})
    assert airports.rows("select * from credit_accounts") == [
        ("newark", "liabilities:prepaid-credits", "assets:received-for-credits", "revenue:unused-credits",
         "revenue:credits-given"),
    ]  # fmt: skip
    assert airports.rows("select * from revenue_rules order by 2") == [
        ("newark", "*", None, "liabilities:paid-ahead", "assets:contract-asset"),
        ("newark", "revenue:landing", "monthly", "liabilities:deferred-revenue", "assets:contract-asset"),
    ]


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ('  nowhere: {"*": {}}', "there is no legal entity 'nowhere'"),
        ('  newark: {"r": {deferred_account: "r"}}', "books two of its balances on one account"),
        ('  newark: {"r": {deferred_account: "a", asset_account: "a"}}', "books two of its balances on one account"),
        ('  newark: {"r": {method: yearly}}', "revenue_rules.newark.r.method"),
        ("credit_accounts:\n  nowhere: {}", "there is no legal entity 'nowhere'"),
        ('credit_accounts:\n  newark: {liability_account: "a", given_account: "a"}', "is booked with something else"),
    ],
)
def test_rules_that_make_no_sense_are_refused(airports, tmp_path, rules, says):
    file = tmp_path / "rules.yaml"
    file.write_text(rules if rules.startswith("credit") else f"revenue_rules:\n{rules}\n")

    ran = airports("master", "load", file)

    assert (ran.code, says in ran.err) == (2, True), ran.err
    assert airports.rows("select * from revenue_rules") == []


def test_a_period_is_closed_with_what_is_not_billed_accrued_and_shows_it(airports, lines):
    airports("send", lines(departure(1)))

    closed = airports.json("revenue", "close", "newark", "2013-01", "--reason", "reviewed")

    accrued = closed["accrued"]["USD"]
    shown = airports.json("revenue", "show", "newark", "2013-01")
    (asset,) = shown["contract_assets"]
    assert (asset["account"], asset["added"], asset["closing"]) == ("assets:contract-asset", accrued, accrued)
    assert (shown["is_closed"], shown["closed"]["reason"]) == (True, "reviewed")
    (asset,) = airports.json("revenue", "show", "newark", "2013-02")["contract_assets"]
    assert (asset["opening"], asset["reversed"]) == (accrued, accrued)
    assert "newark 2013-01 is closed by" in airports("revenue", "show", "newark", "2013-01").out


def test_a_period_that_is_closed_is_not_closed_again(airports):
    words = ("revenue", "close", "newark", "2013-01", "--reason", "reviewed")

    assert "earned and not billed: nothing" in airports(*words).out
    again = airports(*words)

    assert (again.code, "newark/2013-01 is closed" in again.err) == (1, True)


def test_usage_without_a_price_is_told_when_a_period_is_closed(airports, lines):
    airports("send", lines(departure(1)))
    airports.run("delete from prices")

    ran = airports("revenue", "close", "newark", "2013-01", "--reason", "reviewed")

    assert "without a price, so not accrued: the usage of 1 subscriptions" in ran.out


def test_closing_waits_for_a_second_person(airports):
    airports.run("update approval_policies set needs = 'always' where action = 'revenue.close'")

    asked = airports("revenue", "close", "newark", "2013-01", "--reason", "reviewed")

    assert asked.code == 4
    assert airports.rows("select * from accounting_periods") == []


def test_credits_that_are_paid_show_as_a_liability(airports):
    terms = ("--entity", "newark", "--currency", "USD", "--from", "2013-01-01", "--reason", "paid ahead", "--paid")
    airports("credits", "grant", "UA", "250.00", *terms)

    airports("revenue", "run", "newark", "2013-01")

    (credits_,) = airports.json("revenue", "show", "newark", "2013-01")["credits"]
    assert [credits_[name] for name in ("opening", "added", "drawn", "expired", "closing")] == [
        "0", "250.00", "0", "0", "250.00",
    ]  # fmt: skip
    assert "Prepaid credits" in airports("revenue", "show", "newark", "2013-01").out
