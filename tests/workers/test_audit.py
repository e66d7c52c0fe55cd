"""The audit log in the database: no change escapes it, nobody writes it by hand, and what is done to it shows."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic

import pytest
from billing_bench import PRICES
from line_bench import REGISTER
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError

from domain.audit import Head, verify
from workers import ticks
from workers.store import acting, audit, billing_runs, fence
from workers.store.acting import Named
from workers.store.audit import Filter
from workers.store.database import engine, snapshot

ANN = Named("ann", "as agreed")


@pytest.fixture(autouse=True)
def _new(bound):
    """Each test begins with an empty log and no master data, its triggers on."""
    bound.run("""set local session_replication_role = replica;
      truncate audit_log, audit_head, work, notices, erp_connections, accounts, sources, meters, dimensions, tax_rates,
        people, approval_policies restart identity cascade""")


def as_ann(*statements, **values):
    """Do it with the application's rights, as ann."""
    with engine().begin() as conn:
        acting.name(conn, ANN)
        for statement in statements:
            conn.execute(text(statement), values)


def log():
    with snapshot() as conn:
        return list(reversed(audit.page(conn, Filter(), rows=1_000)))


def told(entry):
    return (entry.action, entry.subject, entry.person, entry.reason, entry.before, entry.after)


def problems(known=()):
    with snapshot() as conn:
        head = audit.head(conn)
        return [(each.no, each.kind) for each in verify(audit.entries(conn), head=lambda: head, known=known)]


def tamper(bound, statement):
    """As somebody does who owns the database and switches its triggers off."""
    bound.run(f"set local session_replication_role = replica; {statement}")


@pytest.fixture
def three(bound):
    """Three entries of the log."""
    as_ann(*(f"insert into accounts values ('{name}', 'Account {name}')" for name in "abc"))
    return bound


# ----------------------------------------------------------------------------------------------- what is recorded
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


@pytest.mark.parametrize("table", sorted(set(audit.TRIGGERS) - {"audit_log", "audit_head", "billing_runs"}))
def test_every_governed_table_has_all_its_triggers(bound, table):
    found = bound.rows(
        """select tgname from pg_trigger where tgrelid = cast(:table as regclass) and starts_with(tgname, 'audit_')
           order by 1""", table=table,
    )  # fmt: skip

    assert [row[0] for row in found] == [
        f"audit_{each}" for each in ("delete", "insert", "queue", "truncate", "update")
    ]


# ----------------------------------------------------------------------------------------------- who may write it
def test_a_change_by_nobody_is_refused_to_the_application(bound):
    with engine().begin() as conn, pytest.raises(ProgrammingError, match="nobody is named") as refused:
        conn.execute(text("insert into accounts values ('a', 'A')"))
    assert refused.value.orig.sqlstate == "42501"

    with engine().begin() as conn, pytest.raises(ProgrammingError, match="nobody is named"):
        audit.record(conn, "test.act", "x")
    assert log() == []


def test_a_name_lasts_as_long_as_its_transaction(bound):
    as_ann("insert into accounts values ('a', 'A')")

    with engine().begin() as conn, pytest.raises(ProgrammingError, match="nobody is named"):
        conn.execute(text("insert into accounts values ('b', 'B')"))


def test_nobody_acts_under_the_name_of_a_change_by_hand(bound):
    with engine().begin() as conn:
        acting.name(conn, Named("database:postgres", "a lie"))
        with pytest.raises(ProgrammingError, match="no person is called"):
            audit.record(conn, "test.act", "x")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into audit_log select * from audit_log",
        "update audit_log set person = 'eve'",
        "delete from audit_log",
        "truncate audit_log",
        "update audit_head set no = 1",
        "delete from audit_head",
        "insert into audit_head (no, hash) values (1, sha256('x'))",
        "select audit_append('a', '{s}', '{null}', '{null}')",
        "alter table audit_log disable trigger all",
        "create function audit_part(text) returns text language sql as 'select 1'",
    ],
)
def test_the_application_may_read_the_log_and_nothing_else(three, statement):
    with engine().begin() as conn, pytest.raises(ProgrammingError) as refused:
        conn.execute(text(statement))

    assert refused.value.orig.sqlstate == "42501"
    assert problems() == []


@pytest.mark.parametrize(
    "statement",
    ["update audit_log set person = 'eve'", "delete from audit_log where no = 3", "truncate audit_log",
     "delete from audit_head", "truncate audit_head"],
)  # fmt: skip
def test_not_even_the_owner_changes_the_log_while_its_triggers_stand(three, statement):
    with pytest.raises(ProgrammingError, match="append-only"):
        three.run(statement)

    assert problems() == []


def test_tables_of_a_session_do_not_stand_in_for_the_log(three):
    with engine().begin() as conn:
        conn.execute(text("create temp table audit_head (no bigint, hash bytea) on commit drop"))
        conn.execute(text("create temp table audit_log on commit drop as select * from public.audit_log"))
        conn.execute(text("set local search_path = pg_temp, public"))
        acting.name(conn, ANN)
        audit.record(conn, "test.act", "x")

    assert [each.no for each in log()] == [1, 2, 3, 4]
    assert problems() == []


# ----------------------------------------------------------------------------------------------- records by programs
def test_a_record_says_what_its_program_says_and_who_was_named(bound):
    with engine().begin() as conn:
        acting.name(conn, ANN)
        no = audit.record(
            conn, "replays.start", "replay 7", before={"state": "planned"}, after={"money": Decimal("1.50")}
        )

    (entry,) = log()
    assert (no, entry.no) == (1, 1)
    assert told(entry) == (
        "replays.start",
        "replay 7",
        "ann",
        "as agreed",
        {"state": "planned"},
        {"money": Decimal("1.5")},
    )


@pytest.mark.parametrize(
    ("action", "subject", "after", "error"),
    [
        ("", "x", {}, IntegrityError),
        ("x" * 101, "x", {}, IntegrityError),
        ("x", "", {}, IntegrityError),
        ("x", "x" * 301, {}, IntegrityError),
        ("x", "x", {"bulk": "x" * 2**20}, IntegrityError),
    ],
)
def test_a_record_is_bounded(bound, action, subject, after, error):
    with engine().begin() as conn:
        acting.name(conn, ANN)
        with pytest.raises(error):
            audit.record(conn, action, subject, after=after)


def test_an_approval_that_is_no_number_is_refused(bound):
    with engine().begin() as conn:
        conn.execute(text("select set_config('tallyline.person', 'ann', true)"))
        conn.execute(text("select set_config('tallyline.approval', 'yes', true)"))
        with pytest.raises(DataError):
            audit.record(conn, "test.act", "x")


def test_what_is_rolled_back_leaves_no_gap(three):
    with engine().connect() as conn:
        acting.name(conn, ANN)
        audit.record(conn, "test.act", "undone")
    as_ann("insert into accounts values ('d', 'D')")

    assert [each.no for each in log()] == [1, 2, 3, 4]
    assert problems() == []


@pytest.mark.parametrize("words", ["", "ü€😀", "'quoted' \"twice\"", "1:a-", "line\nbreak\ttab", "\\x00"])
def test_any_text_is_hashed_as_python_hashes_it(three, words):
    with engine().begin() as conn:
        acting.name(conn, Named(f"p{words}", words))
        audit.record(
            conn, f"a{words}", f"s{words}", before={words: words}, after={"n": Decimal("1E-7"), "l": [1, None]}
        )
    with three.owner.begin() as conn:
        conn.execute(text("set local timezone = 'Asia/Kathmandu'"))
        conn.execute(text("update accounts set name = :words"), {"words": words})

    assert problems() == []


def test_writers_at_once_make_one_chain_without_a_gap(bound):
    errors = []

    def write(writer):
        try:
            for n in range(15):
                with engine().begin() as conn:
                    acting.name(conn, Named(f"writer-{writer}", str(n)))
                    conn.execute(
                        text("""insert into accounts select :name || g, 'x' from generate_series(1, 3) g"""),
                        {"name": f"{writer}-{n}-"},
                    )
                    conn.execute(text("update accounts set name = name || 'y' where id = 'shared'"))
                    audit.record(conn, "test.act", str(n))
        except BaseException as error:  # noqa: BLE001 -- it is looked at in the test's own thread
            errors.append(error)

    bound.run("insert into accounts values ('shared', 'x')")
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    assert bound.one("select count(*) from audit_log") == 1 + 6 * 15 * 5
    assert bound.one("select max(no) from audit_log") == 1 + 6 * 15 * 5
    assert problems() == []
    with snapshot() as conn:
        times = [each.recorded_at for each in audit.entries(conn)]
    assert times == sorted(times)


def test_a_writer_waits_before_it_locks_a_row_that_the_other_may_want(three):
    with engine().begin() as first, engine().connect() as second:
        acting.name(first, ANN)
        audit.hold(first)
        second.execute(text("set local lock_timeout = '200ms'"))
        acting.name(second, ANN)
        with pytest.raises(OperationalError, match="lock timeout"):
            second.execute(text("update accounts set name = 'second' where id = 'a'"))
        first.execute(text("update accounts set name = 'first' where id = 'a'"))

    assert log()[-1].after["name"] == "first"


def test_who_waits_for_the_fence_and_who_waits_for_the_log_both_come_through(three):
    def publish():
        with engine().begin() as conn:
            acting.name(conn, ANN)
            audit.hold(conn)
            fence.take(conn)
            conn.execute(text("update accounts set name = 'published'"))

    threads = [threading.Thread(target=publish)]
    threads.append(threading.Thread(target=as_ann, args=("update accounts set name = 'renamed' where id = 'a'",)))
    blocked = """select count(*) from pg_stat_activity
      where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0"""
    with engine().begin() as step:
        fence.share(step)
        for count, thread in enumerate(threads, start=1):
            thread.start()
            deadline = monotonic() + 20
            while three.one(blocked) < count:
                assert monotonic() < deadline
    for thread in threads:
        thread.join(20)

    assert [each.after["name"] for each in log()[3:]] == ["published"] * 3 + ["renamed"]
    assert problems() == []


def test_thirty_thousand_contracts_in_one_statement_are_recorded_in_seconds(bound):
    with bound.owner.begin() as conn:
        conn.exec_driver_sql(REGISTER)
    count = len(log())
    started = monotonic()

    as_ann("""insert into contracts (ref, account_id, legal_entity_id, currency)
      select 'c-' || g, 'ua', 'pony', 'USD' from generate_series(1, 30000) g""")

    assert monotonic() - started < 10
    assert bound.one("select count(*) from audit_log") == count + 30_000
    assert problems() == []


# ----------------------------------------------------------------------------------------------- what shows
SWAP = """update audit_log set no = 9 where no = 1; update audit_log set no = 1 where no = 3;
  update audit_log set no = 3 where no = 9"""


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("update audit_log set person = 'eve' where no = 2", [(2, "tampered")]),
        ("update audit_log set recorded_at = recorded_at - interval '1 microsecond' where no = 1", [(1, "tampered")]),
        ("update audit_log set after = jsonb_set(after, '{name}', '\"x\"') where no = 3", [(3, "tampered")]),
        ("update audit_log set approval_id = 1 where no = 3", [(3, "tampered")]),
        ("delete from audit_log where no = 2", [(2, "missing")]),
        ("delete from audit_log where no = 3", [(3, "truncated")]),
        ("delete from audit_log", [(1, "truncated")]),
        (SWAP, [(1, "unlinked"), (1, "tampered"), (2, "unlinked"), (3, "unlinked"), (3, "tampered"), (3, "forged")]),
        ("update audit_head set no = 2", [(2, "forged")]),
        ("delete from audit_head", [(3, "headless")]),
    ],
)  # fmt: skip
def test_what_was_done_to_the_log_is_found(three, statement, found):
    tamper(three, statement)

    assert problems() == found


def test_a_tail_cut_off_with_its_head_shows_by_what_outsiders_hold(three):
    with snapshot() as conn:
        known = [audit.head(conn)]
    tamper(three, "delete from audit_log where no = 3")
    tamper(three, "update audit_head set no = 2, hash = (select hash from audit_log where no = 2)")

    assert problems() == []
    assert problems(known) == [(3, "truncated")]


def test_a_trigger_that_is_off_is_named(bound):
    with snapshot() as conn:
        assert audit.unguarded(conn) == []
    bound.run("alter table prices disable trigger audit_update; alter table audit_log disable trigger user")

    with snapshot() as conn:
        assert audit.unguarded(conn) == ["audit_log", "prices"]
    bound.run("alter table prices enable trigger audit_update; alter table audit_log enable trigger user")


# ----------------------------------------------------------------------------------------------- reading and telling
def test_entries_are_read_by_person_action_subject_and_time_in_bounded_pages(three):
    with engine().begin() as conn:
        acting.name(conn, Named("bob", "later"))
        audit.record(conn, "accounts.insertion", "a")

    def found(rows=10, below=None, **wanted):
        with snapshot() as conn:
            return [each.no for each in audit.page(conn, Filter(**wanted), rows=rows, below=below)]

    assert found() == [4, 3, 2, 1]
    assert found(rows=2) == [4, 3]
    assert found(rows=2, below=3) == [2, 1]
    assert found(person="bob") == [4]
    assert found(action="accounts") == [4, 3, 2, 1]
    assert found(action="accounts.insert") == [3, 2, 1]
    assert found(action="account") == []
    assert found(subject="a") == [4, 1]
    assert found(subject="a", person="ann") == [1]
    assert found(since=log()[1].recorded_at) == [4, 3, 2]


def test_the_head_is_told_once_a_day(three):
    hints = len(three.hints)

    ticks.tell_audit_head()
    ticks.tell_audit_head()

    ((key, body),) = three.rows("select key, body from notices")
    with snapshot() as conn:
        head = audit.head(conn)
    assert key == f"audit/head/{datetime.now(UTC).date()}"
    assert body["type"] == "tallyline.audit.head"
    assert Head(body["data"]["number"], bytes.fromhex(body["data"]["hash"])) == head
    assert three.rows("select step, subject from work") == [("notify", f"notices/{key}")]
    assert len(three.hints) == hints + 1


def test_a_log_without_entries_has_no_head_to_tell(bound):
    ticks.tell_audit_head()

    assert bound.rows("select * from notices") == []
