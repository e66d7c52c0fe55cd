"""What was done to the audit log shows, and it is read and told in bounded parts."""

from datetime import UTC, datetime

import pytest
from audit_bench import log, problems, tamper

from domain.audit import Head
from workers import ticks
from workers.store import acting, audit
from workers.store.acting import Named
from workers.store.audit import Filter
from workers.store.database import engine, snapshot

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
