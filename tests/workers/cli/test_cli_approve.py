"""What takes a second person, at the command line: asked for, shown, granted, refused, withdrawn, expired, stale."""

import json

import pytest
from operator_bench import DEMO
from two_people import begin, request_of

from workers.cli import reach
from workers.cli.acting import acting, have_done_by_two
from workers.cli.master import to_load

MASTER = DEMO / "master.yaml"


@pytest.fixture
def two(operator):
    begin(operator)
    return operator


@pytest.fixture
def asked(two):
    """The request for the demo's master data, which changes prices, mappings, meters, taxes and rules."""
    two.run("insert into person_roles (person_id, role, granted_by) values ('finance', 'operator', 'test')")
    return request_of(two("master", "load", MASTER, "--as", "finance", "--reason", "first contracts"))


def counted(two):
    return two.one("select count(*) from contracts"), two.one("select count(*) from prices")


def test_prices_are_published_when_somebody_else_grants_them(two, asked):
    assert counted(two) == (0, 0)

    granted = two("approve", asked, "--as", "approver", "--note", "looked at")

    assert granted.code == 0, granted.err
    assert counted(two) != (0, 0)
    assert two.rows("select state, requested_by from approval_requests") == [("granted", "finance")]
    assert two.rows("select decided_by, verdict, note from approval_decisions") == [
        ("approver", "granted", "looked at")
    ]
    assert two.one("select count(*) from contract_versions where recorded_by <> 'finance'") == 0


def test_nobody_grants_what_they_asked_for_themselves(two, asked):
    two.run("insert into person_roles (person_id, role, granted_by) values ('finance', 'approver', 'test')")

    refused = two("approve", asked, "--as", "finance")

    assert (refused.code, counted(two)) == (1, (0, 0))
    assert "somebody else has to decide" in refused.err


def test_the_database_itself_refuses_a_decision_by_who_asked(two, asked):
    from psycopg.errors import CheckViolation
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError) as refused:
        two.run(
            """insert into approval_decisions (request_id, requested_by, decided_by, verdict)
                 values (:id, 'finance', 'finance', 'granted')""",
            id=asked,
        )
    assert isinstance(refused.value.orig, CheckViolation)


def test_the_list_says_what_waits_for_whom_and_why(two, asked):
    (listed,) = two.json("approve")

    assert (listed["id"], listed["requested_by"], listed["reason"]) == (asked, "finance", "first contracts")
    assert "prices.publish" in listed["actions"]
    assert "mappings.publish" in listed["actions"]
    assert listed["attachment_bytes"] == len(MASTER.read_bytes())
    shown = two("approve")
    assert "first contracts" in shown.out
    assert "tallyline approve N" in shown.out


def test_one_request_is_shown_with_everything_it_would_do(two, asked):
    facts = two.json("approve", asked, "--show")

    assert facts["payload"]["file"] == "master.yaml"
    assert two("approve", 99, "--show").code == 2


def test_what_a_killed_run_had_asked_for_is_granted_by_the_next(two, asked):
    with reach.database():
        have_done_by_two(acting("finance"), acting("approver"), to_load(MASTER))

    assert counted(two) != (0, 0)
    assert two.rows("select id, state from approval_requests") == [(asked, "granted")]


def test_who_decides_sees_every_row_before_and_after(two, asked, tmp_path):
    two("approve", asked, "--as", "approver")
    dearer = tmp_path / "dearer.yaml"
    dearer.write_text(
        """
contracts:
  newark-UA:
    account: UA
    legal_entity: newark
    currency: USD
    versions:
      - version: 2
        from: 2013-03-01
        prices:
          departures: {terms: {model: per_unit, unit_amount: "99.5"}, tax_category: runway, revenue_account: "revenue"}
"""
    )
    later = request_of(two("master", "load", dearer, "--as", "finance"))

    shown = two.json("approve", later, "--show")

    (price,) = (each["after"] for each in shown["changes"] if each["action"] == "prices.insert")
    assert price["terms"]["unit_amount"] == "99.5"
    assert "99.5" in two("approve", later, "--show").out
    assert two.one("select count(*) from contract_versions where version = 2") == 0
    assert two.one("select count(*) from approval_requests where state = 'open'") == 1


def test_who_decides_is_told_that_it_is_impossible_by_now(two, asked):
    two.run("insert into erp_connections (id, adapter) values ('ledger-pony', 'another')")

    shown = two.json("approve", asked, "--show")

    assert "is kept as another" in shown["is_impossible_now"]
    assert shown["changes"] == []


def test_what_is_refused_does_not_happen(two, asked):
    without_note = two("approve", asked, "--refuse", "--as", "approver")
    refused = two("approve", asked, "--refuse", "--note", "wrong month", "--as", "approver")
    again = two("approve", asked, "--as", "approver")

    assert (without_note.code, refused.code, again.code) == (2, 0, 1)
    assert "is refused" in again.err
    assert counted(two) == (0, 0)


def test_one_takes_back_only_what_one_asked_for(two, asked):
    assert two("approve", asked, "--withdraw", "--as", "approver").code == 1
    assert two("approve", asked, "--withdraw", "--as", "finance").code == 0
    assert two("approve", asked, "--as", "approver").code == 1


def test_the_same_is_not_asked_for_twice(two, asked):
    again = two("master", "load", MASTER, "--as", "finance")

    assert again.code == 1
    assert f"request {asked} already asks for that" in again.err


def test_a_request_that_expired_is_not_granted_and_can_be_made_again(two, asked):
    two.run("update approval_requests set requested_at = now() - interval '9 days', expires_at = now()")

    assert two("approve", asked, "--as", "approver").code == 1
    assert [each["state"] for each in two.json("approve", "--state", "expired")] == ["expired"]
    assert request_of(two("master", "load", MASTER, "--as", "finance")) > asked


def test_a_requester_who_lost_the_role_meanwhile_gets_nothing(two, asked):
    two.run("update person_roles set revoked_at = now(), revoked_by = 'test' where person_id = 'finance'")

    refused = two("approve", asked, "--as", "approver")

    assert (refused.code, counted(two)) == (1, (0, 0))
    assert "may not" in refused.err


def test_a_request_that_would_do_more_by_now_is_stale(two, asked):
    two.run("update approval_requests set actions = array['prices.publish']")

    refused = two("approve", asked, "--as", "approver")

    assert (refused.code, counted(two)) == (1, (0, 0))
    assert "more than was asked for" in refused.err
    assert two.one("select state from approval_requests") == "stale"


def test_no_such_request(two):
    assert "there is no request 5" in two("approve", 5, "--as", "approver").err


def test_nothing_waits(two):
    assert "Nothing waits" in two("approve").out
    assert "no such request" in two("approve", "--state", "granted").out


def test_a_file_that_changes_nothing_needs_nobody(two, asked):
    two("approve", asked, "--as", "approver")

    assert two("master", "load", MASTER, "--as", "finance").code == 0


def test_an_error_that_only_the_database_knows_leaves_the_request_open(two, asked, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("contracts:\n  c9:\n    account: nobody\n    legal_entity: none\n    currency: EUR\n")

    refused = two("master", "load", bad, "--as", "finance")

    assert refused.code == 2
    assert "nobody" in refused.err
    assert [each["id"] for each in two.json("approve")] == [asked]


def test_awaiting_as_json_names_the_request(two):
    two.run("insert into person_roles (person_id, role, granted_by) values ('finance', 'operator', 'test')")

    ran = two("master", "load", MASTER, "--as", "finance", "--json")

    assert ran.code == 4
    assert json.loads(ran.out)["decided_by"] == "approver"


GAUGE = """
meters:
  gauge: {{owner: me, versions: [{{version: 1, fields: [{{name: {field}, kind: integer}}]}}]}}
tax_rates:
  - {{jurisdiction: de, category: {field}, rate: "19", from: 2026-01-01, source: law}}
accounts: {{a: {{name: A}}}}
sources: {{/x: {{owner: me, users: [demo]}}}}
"""


def test_a_file_that_does_not_fit_any_more_is_no_fault_of_who_decides(operator, tmp_path):
    begin(operator)
    for role in ("finance", "operator"):
        operator.run(
            "insert into person_roles (person_id, role, granted_by) values ('admin', :role, 'test')", role=role
        )
    files = {name: tmp_path / f"{name}.yaml" for name in ("first", "second")}
    for name, file in files.items():
        file.write_text(GAUGE.format(field=name))
    first, second = (request_of(operator("master", "load", file, "--as", "admin")) for file in files.values())
    assert operator("approve", first, "--as", "approver").code == 0

    ran = operator("approve", second, "--as", "approver")

    assert ran.code == 1
    told = " ".join((ran.out + ran.err).split())
    assert f"request {second} of admin cannot be carried out any more" in told
    assert "second.yaml:3" in told
    assert f"have admin correct the file and ask anew; `tallyline approve {second} --refuse --note WHY` ends" in told
    assert "correct the file and load it again" not in told
    assert operator.one("select state from approval_requests where id = :id", id=second) == "open"


def test_the_summary_of_a_file_names_all_that_is_in_it_and_first_what_takes_a_second_person(operator, tmp_path):
    begin(operator)
    for role in ("finance", "operator"):
        operator.run(
            "insert into person_roles (person_id, role, granted_by) values ('admin', :role, 'test')", role=role
        )
    file = tmp_path / "all.yaml"
    file.write_text(GAUGE.format(field="f") + "legal_entities: {}\n")
    number = request_of(operator("master", "load", file, "--as", "admin"))

    (asked,) = operator.json("approve")

    assert (asked["id"], asked["summary"]) == (
        number,
        "publish all.yaml: 1 meter version, 1 meter, 1 broker user of sources, 1 source, 1 tax rate, 1 account",
    )
