"""Prepaid credits at the command line: granted with a second person where policies want one, listed, shown."""

import pytest
from operator_bench import departure


@pytest.fixture
def parties(airports):
    """The demo's master data; some account and legal entity of it."""
    ((account, entity),) = airports.rows(
        """select c.account_id, c.legal_entity_id from contracts c order by c.id limit 1"""
    )
    terms = ("--entity", entity, "--currency", "USD", "--from", "2013-01-01", "--reason", "paid ahead")
    return airports, account, ("credits", "grant", account, "250.00", *terms)


def test_a_grant_is_listed_and_its_entries_are_shown(parties):
    operator, account, words = parties

    made = operator.json(*words, "--to", "2014-01-01", "--rollover-days", 30, "--rollover-amount", "10")

    (listed,) = operator.json("credits", "list", account)
    kept = {name: listed[name] for name in ("starts_on", "ends_on", "granted", "drawn", "left", "reason")}
    assert kept == {
        "starts_on": "2013-01-01", "ends_on": "2014-01-01", "granted": "250.00", "drawn": "0", "left": "250.00",
        "reason": "paid ahead",
    }  # fmt: skip
    (entry,) = operator.json("credits", "show", made["grant_id"])
    assert (entry["kind"], entry["amount"], entry["left"], entry["document"]) == ("granted", "250.00", "250.00", None)


def test_people_see_tables(parties):
    operator, account, words = parties

    made = operator(*words).out

    number = operator.one("select id from credit_grants")
    assert made == f"grant {number}: grant {account} credit of USD 250.00 with newark from 2013-01-01\n"
    assert "250.00" in operator("credits", "list").out
    assert "granted" in operator("credits", "show", number).out


def test_what_an_invoice_drew_is_told_where_the_invoice_is(airports, lines):
    airports("send", lines(departure(1)))
    terms = ("--entity", "newark", "--currency", "USD", "--from", "2013-01-01", "--reason", "paid ahead")
    number = airports.json("credits", "grant", "UA", "40.00", *terms)["grant_id"]

    assert airports("close", "newark", "2013-01", "--approve", "--as", "ann").code == 0

    (listed,) = airports.json("credits", "list", "UA")
    assert (listed["drawn"], listed["left"]) == ("40.00", "0.00")
    invoice = airports.one("select number_text from invoices where number is not null")
    assert [each["document"] for each in airports.json("credits", "show", number)] == [None, invoice]
    for words in (("/ops/ewr", "UA/1"), ("--invoice", invoice)):
        assert "USD 40.00 of it by credits" in " ".join(airports("trace", *words).out.split())


def test_a_grant_waits_for_a_second_person_where_a_policy_wants_one(parties):
    operator, _, words = parties
    operator.run("update approval_policies set needs = 'always' where action = 'credits.grant'")

    asked = operator(*words)

    assert asked.code == 4
    assert operator.rows("select 1 from credit_grants") == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({3: "2,5"}, "2,5 is no amount"),
        ({3: "0"}, "amount: is 0.00"),
        ({3: "0.001"}, "amount: is 0.001"),
        ({7: "USX"}, "USX is no currency"),
        ({7: "XAU"}, "XAU is no currency"),
        ({9: "soon"}, "soon is no day"),
        ({9: "0001-01-01"}, "0001-01-01 is no day"),
        ({9: "9999-12-31"}, "9999-12-31 is no day"),
        ({2: "nobody"}, "are not both there"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(parties, changed, says):
    operator, _, words = parties

    ran = operator(*[changed.get(n, word) for n, word in enumerate(words)])

    assert ran.code == 2
    assert says in ran.err
    assert operator.rows("select 1 from credit_grants") == []


def test_options_that_make_no_sense_are_refused_too(parties):
    operator, _, words = parties

    assert "expires_at" in operator(*words, "--to", "2013-01-01").err
    assert "rollover" in operator(*words, "--rollover-days", 3).err
