"""No change of what people decide escapes the audit log, and nothing else is in it."""

from datetime import UTC, datetime, timedelta

import pytest
from audit_bench import ANN, as_ann, log, problems, told
from billing_bench import PRICES
from line_bench import REGISTER
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from workers.store import acting, audit, billing_runs
from workers.store.acting import Named
from workers.store.database import engine


def test_a_change_is_recorded_with_who_why_what_was_and_what_is(bound):
    named = Named("ann", "moved house", approval_id=12, token_id=7)
    with engine().begin() as conn:
        acting.name(conn, named)
        conn.execute(text("insert into accounts values ('a', 'Old')"))
        conn.execute(text("update accounts set name = 'New'"))
    bound.run("delete from accounts")

    made, changed, gone = log()

    whole = {"id": "a", "name": "Old", "parent_id": None, "bill_to_id": None}
    assert told(made) == ("accounts.insert", "a", "ann", "moved house", None, whole)
    before, after = {"id": "a", "name": "Old"}, {"id": "a", "name": "New"}
    assert told(changed) == ("accounts.update", "a", "ann", "moved house", before, after)
    assert (changed.no, changed.approval_id, changed.token_id) == (2, 12, 7)
    assert abs(changed.recorded_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert gone.before == whole | after
    assert gone.after is None


def test_only_what_changed_is_kept_beside_the_key(bound):
    as_ann("insert into sources (name, owner) values ('/ops', 'bob'), ('/other', 'bob')")
    as_ann("update sources set owner = 'carol', quota_per_hour = 5 where name = '/ops'")

    changed = log()[-1]

    assert changed.before == {"id": 1, "owner": "bob", "quota_per_hour": None}
    assert changed.after == {"id": 1, "owner": "carol", "quota_per_hour": 5}


def test_what_changes_nothing_is_not_recorded_and_needs_nobody(three):
    with engine().begin() as conn:
        conn.execute(text("update accounts set name = name"))
        conn.execute(text("update accounts set name = 'x' where false"))
        conn.execute(text("insert into accounts values ('a', 'x') on conflict do nothing"))

    assert len(log()) == 3


def test_an_upsert_is_recorded_row_by_row_as_what_it_came_to(three):
    as_ann("""insert into accounts values ('c', 'changed'), ('d', 'new')
      on conflict (id) do update set name = excluded.name""")

    assert {(each.action, each.subject) for each in log()[3:]} == {("accounts.update", "c"), ("accounts.insert", "d")}


def test_a_key_that_was_changed_by_hand_shows_as_one_that_went_and_one_that_came(three):
    three.run("update accounts set id = 'z' where id = 'a'")

    whole = {"name": "Account a", "parent_id": None, "bill_to_id": None}
    went, came = ("a", {"id": "a", **whole}, None), ("z", None, {"id": "z", **whole})
    assert [(each.subject, each.before, each.after) for each in log()[3:]] in ([went, came], [came, went])


def test_a_table_that_was_emptied_by_hand_is_recorded_as_that(three):
    three.run("truncate accounts cascade")

    assert ("accounts.truncate", "every row") in [(each.action, each.subject) for each in log()]


def test_a_change_by_hand_is_the_database_users(bound):
    bound.run("insert into accounts values ('a', 'A')")

    (entry,) = log()
    assert (entry.person, entry.reason) == (f"database:{bound.one('select session_user')}", "by hand")


def test_the_subject_of_each_master_data_row_is_what_people_call_it(bound):
    with bound.owner.begin() as conn:
        conn.exec_driver_sql(REGISTER + PRICES)
    bound.run("insert into exclusion_rules (name, meter_id, conditions, reason) values ('tests', 1, '[]', 'none')")
    bound.run("update metrics set dimensions = '{tail}' where name = 'distance'")

    named = {(each.action.split(".")[0], each.subject) for each in log()}

    assert named >= {
        ("erp_connections", "books"), ("legal_entities", "pony"), ("billing_cycles", "pony/monthly"),
        ("accounts", "ua"), ("contracts", "c-ua"), ("contract_versions", "c-ua/1"), ("subscriptions", "s-ua"),
        ("sources", "/ops/jfk"), ("source_users", "/ops/jfk upstream"), ("meters", "airport.departure"),
        ("meter_versions", "airport.departure/1"), ("metrics", "distance"), ("dimensions", "tail"),
        ("exclusion_rules", "tests"), ("mappings", "/ops/jfk UA"), ("prices", "c-ua/1/distance"),
        ("tax_rates", "US-NY/standard/2013-01-01"),
    }  # fmt: skip
    assert problems() == []


PEOPLE = """
insert into people (id, name, created_by) values ('ann', 'Ann', 'root'), ('bob', 'Bob', 'root');
insert into person_roles (person_id, role, granted_by) values ('ann', 'finance', 'root');
insert into api_tokens (person_id, hash, scopes, created_by, expires_at)
  values ('ann', sha256('secret'), '{read}', 'ann', now() + interval '1 day');
insert into approval_policies (action, role, needs, decided_by, recorded_by)
  values ('test.act', 'finance', 'always', 'approver', 'root');
insert into approval_requests (deed, actions, subject, summary, reason, payload, attachment, decided_by, requested_by,
  expires_at) values ('test', '{test.act}', 'x', 'do x', 'why', '{"bulk": "much"}', 'more', 'approver', 'ann',
  now() + interval '1 day');
insert into approval_decisions (request_id, requested_by, decided_by, verdict)
  select max(id), 'ann', 'bob', 'granted' from approval_requests;
"""


@pytest.fixture
def people(bound):
    """Two people, a role, a token, a policy, a request and its decision."""
    with bound.owner.begin() as conn:
        conn.exec_driver_sql(PEOPLE)
    return bound


def test_who_may_do_what_is_recorded_without_secrets_and_bulk(people):
    entries = {each.action.split(".")[0]: each for each in log()}

    assert {"people", "person_roles", "api_tokens", "approval_policies", "approval_decisions"} <= set(entries)
    assert entries["person_roles"].subject == "ann/finance"
    assert "hash" not in entries["api_tokens"].after
    asked = entries["approval_requests"].after
    assert (asked["deed"], asked["subject"], asked["summary"], asked["state"]) == ("test", "x", "do x", "open")
    assert "payload" not in asked
    assert "attachment" not in asked
    digest = people.one("select encode(sha256(convert_to(payload::text, 'UTF8')), 'hex') from approval_requests")
    assert asked["payload_sha256"] == digest
    assert problems() == []


def test_that_a_token_was_used_is_no_change_and_waits_for_nobody(people):
    count = len(log())

    with engine().begin() as writer:
        audit.hold(writer)
        with engine().begin() as conn:
            conn.execute(text("set local lock_timeout = '2s'"))
            conn.execute(text("update api_tokens set used_at = now()"))

    assert len(log()) == count
    as_ann("update api_tokens set revoked_at = now(), revoked_by = 'ann'")
    assert (log()[-1].action, log()[-1].subject) == ("api_tokens.update", "ann/1")


def test_of_a_billing_run_its_approval_is_recorded_and_no_step_needs_a_person(month):
    month.use(("e1", "UA", "N1", 1000))
    run = month.request()
    count = len(log())

    with engine().begin() as conn:
        acting.name(conn, ANN)
        conn.execute(text("update billing_runs set approved_by = 'ann', approved_at = now()"))
        billing_runs.press(conn, run)
    month.work()

    (entry,) = log()[count:]
    assert (entry.action, entry.subject) == ("billing_runs.update", f"run {run} of pony/monthly 2026-03-01")
    assert entry.before == {"approved_by": None, "approved_at": None}
    assert entry.after["approved_by"] == "ann"
    assert month.stage(run) == "closed"
    with engine().begin() as conn, pytest.raises(ProgrammingError, match="nobody is named"):
        conn.execute(text("update billing_runs set approved_by = 'eve'"))


@pytest.mark.parametrize(
    "table", sorted(set(audit.TRIGGERS) - {"audit_log", "audit_head", "billing_runs", "account_holds"})
)
def test_every_governed_table_has_all_its_triggers(bound, table):
    found = bound.rows(
        """select tgname from pg_trigger where tgrelid = cast(:table as regclass) and starts_with(tgname, 'audit_')
           order by 1""", table=table,
    )  # fmt: skip

    assert [row[0] for row in found] == [
        f"audit_{each}" for each in ("delete", "insert", "queue", "truncate", "update")
    ]
