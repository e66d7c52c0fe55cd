"""Nobody changes master data without a name, and nobody writes the audit log by hand."""

import pytest
from audit_bench import ANN, as_ann, log, problems
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from workers.store import acting, audit
from workers.store.acting import Named
from workers.store.database import engine


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
