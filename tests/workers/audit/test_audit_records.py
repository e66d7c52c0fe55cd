"""Records by programs are bounded, hashed alike in SQL and Python, and one chain whoever writes at once."""

import threading
from decimal import Decimal
from time import monotonic

import pytest
from audit_bench import ANN, as_ann, log, problems, told
from line_bench import REGISTER
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from workers.store import acting, audit, fence
from workers.store.acting import Named
from workers.store.database import engine, snapshot


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
