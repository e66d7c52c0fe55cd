"""Bodies of messages of master data are erased some days after they were settled, and their hashes stay."""

import hashlib

import pytest
from sqlalchemy.exc import DBAPIError

from workers import ticks
from workers.store import retention
from workers.store.database import engine


def age(others, days=31):
    others.operator.run("update master_messages set decided_at = now() - make_interval(days => :days)", days=days)


def kept(others):
    return [n for (n,) in others.operator.rows("select id from master_messages where erased_at is null order by id")]


@pytest.fixture
def settled(others):
    """One message of each way to be settled, then a refused one, and one that nobody has looked at."""
    others.say("account", {"id": "A", "name": "Alpha"}, version=3)
    others.say("account", {"id": "A", "name": "Alpha"}, version=4)
    others.say("account", {"id": "A", "name": "Older"}, version=2)
    others.say("account", {"id": "B", "bill_to": "A"}, version=5)
    others.receive(b"{}")
    states = [state for (state,) in others.operator.rows("select state from master_messages order by id")]
    assert states == ["applied", "unchanged", "ignored", "refused", "received"]
    return others


def test_settled_bodies_are_erased_when_their_days_are_over_and_their_hashes_stay(settled):
    before = settled.operator.rows("select body from master_messages where id <= 3 order by id")
    age(settled)

    ticks.erase_messages()

    assert kept(settled) == [4, 5]
    after = settled.operator.rows("select body, body_hash from master_messages where id <= 3 order by id")
    assert [bytes(body) for body, _ in after] == [b""] * 3
    assert [bytes(hash_) for _, hash_ in after] == [hashlib.sha256(body).digest() for (body,) in before]
    ((person, action, told),) = settled.operator.rows(
        "select person, action, after from audit_log where subject = 'messages'"
    )
    assert (person, action) == ("tallyline", "retention.erase")
    assert told == {"messages": 3, "bytes": sum(len(body) for (body,) in before)}


def test_what_was_settled_lately_keeps_its_body(settled):
    age(settled, days=29)

    ticks.erase_messages()

    assert kept(settled) == [1, 2, 3, 4, 5]
    assert settled.operator.rows("select 1 from audit_log where subject = 'messages'") == []


@pytest.mark.parametrize("days", [0, -5])
def test_no_number_of_days_reaches_what_was_settled_today(settled, days):
    with engine().begin() as conn:
        assert retention.erase_messages(conn, days=days) == 0


def test_what_is_overtaken_today_was_settled_today(settled):
    age(settled)

    settled.say("account", {"id": "B", "name": "Beta"}, version=6)
    ticks.erase_messages()

    assert settled.of("id = 4")[2] == "overtaken by version 6"
    assert 4 in kept(settled)


def test_a_message_whose_body_is_erased_is_still_known(settled):
    age(settled)
    ticks.erase_messages()

    assert settled.say("account", {"id": "A", "name": "Alpha"}, version=3)[2] == "it was heard before"
    assert settled.say("account", {"id": "A", "name": "Aleph"}, version=3)[1] == "message_conflicting"
    assert settled.operator.json("master", "messages", "--state", "unchanged")[0]["object"] == "A"


def test_the_daily_tick_goes_on_until_nothing_is_left(settled, monkeypatch):
    age(settled)
    erase = retention.erase_messages
    monkeypatch.setattr(ticks.retention, "erase_messages", lambda conn, *, days: erase(conn, days=days, portion=1))

    ticks.erase_messages()

    assert kept(settled) == [4, 5]


def test_the_application_erases_no_message_by_itself(settled):
    for statement in (
        "update master_messages set body = ''",
        "update master_messages set erased_at = now(), body_hash = ''",
        "delete from master_messages",
    ):
        with engine().begin() as conn, pytest.raises(DBAPIError, match="permission denied"):
            conn.exec_driver_sql(statement)
