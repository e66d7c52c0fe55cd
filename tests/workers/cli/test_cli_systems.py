"""Other systems, with the broker users that may speak for them, made at the command line."""

from uuid import uuid4

import pytest
from two_people import begin

from queues.rabbit_api import RabbitApi
from workers.cli.reach import forget
from workers.cli.sources import vhost_of

KEPT = "select id, owner, users, person_id from systems order by id"


@pytest.fixture
def fleet(operator, vhost, rabbit_api_url, monkeypatch):
    """The commands in a fleet with a vhost of its own, its API, and a user name that is free."""
    from operator_bench import TOKEN

    for name, value in {
        "TALLYLINE_MODE": "fleet", "TALLYLINE_AMQP_URL": vhost, "TALLYLINE_RABBIT_API_URL": rabbit_api_url,
        "TALLYLINE_TOKEN": TOKEN,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    forget()
    api, user = RabbitApi(rabbit_api_url, vhost=vhost_of(vhost)), f"crm-{uuid4().hex[:8]}"
    yield operator, api, user
    api.delete_user(user)


def test_a_system_gets_a_user_with_a_password_that_is_shown_once(fleet):
    operator, api, user = fleet

    made = operator.json("systems", "add", "crm", "--user", user, "--owner", "sales")
    again = operator.json("systems", "add", "crm", "--user", user)

    assert user in api.users()
    assert (made["is_new"], made["routing_key"], made["refusals"]) == (True, user, f"refusals.{user}")
    assert len(made["password"]) > 30
    assert (again["is_new"], again["is_changed"], again["password"]) == (False, False, None)
    assert operator.rows(KEPT) == [("crm", "sales", [user], None)]


def test_people_are_told_where_it_sends_to(fleet):
    operator, _, user = fleet

    ran = operator("systems", "add", "crm", "--user", user)
    again = operator("systems", "add", "crm", "--user", user)

    assert "it sends to the exchange `master` with the routing key" in ran.out
    assert "the user was there and keeps its password" in again.out


def test_what_a_system_owns_and_whom_it_asks_as_stays(load):
    load.done("systems: {crm: {owner: sales, users: [old], person: ann, fields: {account: [name]}}}")

    load.operator.json("systems", "add", "crm", "--user", "crm-sync")

    assert load.operator.rows(KEPT) == [("crm", "sales", ["crm-sync", "old"], "ann")]
    (listed,) = load.operator.json("systems", "list")
    assert listed["fields"] == {"account": ["name"]}
    assert "account.name" in load.operator("systems", "list").out


def test_without_a_fleet_it_says_when_the_user_is_made(load):
    assert "when this is run with TALLYLINE_MODE=fleet" in load.operator("systems", "add", "crm", "--user", "crm").out


def test_a_user_that_sends_usage_cannot_speak_for_a_system(load):
    ran = load.operator("systems", "add", "crm", "--user", "phones")

    assert ran.code != 0
    assert "phones sends usage" in ran.err
    assert load.operator.rows(KEPT) == []


def test_a_name_that_no_user_can_have_is_refused(load):
    ran = load.operator("systems", "add", "crm", "--user", "Crm Sync")

    assert "use small letters, digits and dashes" in ran.err


def test_it_takes_a_second_person_and_whoever_may_not_ask_is_told(operator):
    begin(operator)

    asked = operator("systems", "add", "crm", "--user", "crm", "--as", "admin")
    refused = operator("systems", "add", "crm", "--user", "crm", "--as", "operator")

    assert (asked.code, operator.rows(KEPT)) == (4, [])
    assert "may not" in refused.err
