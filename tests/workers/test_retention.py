"""Bodies are erased when nothing can need them any more, and not before; the database itself sees to that."""

import hashlib
import threading

import pytest
import replay_bench
from line_bench import batch, event
from sqlalchemy.exc import DBAPIError

from domain.replays import EditInvalid
from queues.contracts import Delivery
from workers import editing, ticks
from workers.store import audit, backlog, identity, places, receipts, replays, retention
from workers.store.database import engine, snapshot

MARCH = (("u1", "UA", "N1", 1400), ("d1", "DL", "N3", 500))


@pytest.fixture
def old(month):
    """March is billed and closed; everything was received 500 days ago."""
    month.use(*MARCH)
    month.run = month.bill()
    age(month)
    return month


def age(month):
    month.bound.run("update receipts set received_at = now() - interval '500 days'")


def erased():
    with engine().begin() as conn:
        return retention.erase(conn, days=400).receipts


def test_old_bodies_of_a_closed_period_are_erased_and_their_hashes_stay(old):
    (body,) = old.bound.one("select bodies from receipts")
    with snapshot() as conn:
        told = retention.erasable(conn, days=400)
    assert (told.receipts, told.bytes) == (1, len(body))

    assert erased() == 1
    assert erased() == 0

    (row,) = old.bound.rows("select bodies, body_hashes, erased_at is not null as is_erased from receipts")
    assert (row.bodies, row.is_erased) == ([], True)
    assert [bytes(each) for each in row.body_hashes] == [hashlib.sha256(bytes(body)).digest()]
    assert old.bound.one("select count(*) from usage_events") == 2
    with snapshot() as conn:
        assert identity.differences(conn) == []
        assert identity.event_totals(conn).is_balanced
        assert receipts.erasure(conn, 1).sha256 == (hashlib.sha256(bytes(body)).hexdigest(),)
        assert receipts.erasure(conn, 99) is None
        assert places.place_of(conn, 1, 0) is None
    old.assert_all_accounted_for(in_flight=0)


def test_what_is_young_stays(old):
    old.bound.run("update receipts set received_at = now() - interval '399 days'")

    assert erased() == 0


@pytest.mark.parametrize("days", [0, -5])
def test_no_number_of_days_reaches_what_came_today(old, days):
    old.bound.run("update receipts set received_at = now()")

    with engine().begin() as conn:
        assert retention.erase(conn, days=days).receipts == 0


@pytest.mark.parametrize(
    "statement",
    [
        "update billing_runs set stage = 'reconciled'",
        "delete from receipt_counts",
        "update work set state = 'dead' where step = 'validate'",
        "update batches set aggregated_no = null",
        """insert into exceptions (step, code, key16, hash, receipt_id, position, sentence)
           values ('validate', 'meter_unknown', gen_random_uuid(), '', 1, 0, 'test')""",
        """insert into exceptions (step, code, key16, hash, event_no, sentence)
           select 'enrich', 'price_not_found', gen_random_uuid(), '', max(event_no), 'test' from usage_events""",
    ],
)
def test_what_may_still_be_needed_stays(old, statement):
    old.bound.run(statement)

    assert erased() == 0


def test_usage_that_no_closed_run_has_billed_keeps_its_body(old):
    old.use(("u9", "UA", "N1", 10))
    age(old)

    assert erased() == 1
    assert old.bound.one("select min(id) from receipts where erased_at is null") == 2
    old.bill()
    assert erased() == 1


def test_bodies_that_could_not_be_read_are_erased_when_somebody_has_decided(old):
    old.receive(Delivery(b"{", {"content_type": "application/cloudevents+json", "user_id": "upstream"}))
    old.work("validate")
    age(old)
    assert erased() == 1

    old.bound.run("update exceptions set state = 'dismissed', closed_at = now()")
    assert erased() == 1
    with engine().connect() as conn:
        assert receipts.erasure(conn, 2).sha256 == (hashlib.sha256(b"{").hexdigest(),)


def test_a_replay_and_an_edit_of_what_is_erased_say_so(old):
    old.receive(batch(event("bad", type="airport.arrival")))
    old.work("validate")
    old.bound.run("update exceptions set state = 'dismissed', closed_at = now()")
    age(old)
    assert erased() == 2
    old.bound.run("update exceptions set state = 'open', closed_at = null")

    replay_id = replay_bench.plan(replay_bench.wanted(1))
    replay_bench.carry_out(old, replay_id)

    with engine().connect() as conn:
        (item,) = replays.items(conn, replay_id, rows=10)
        assert "its body was erased on" in item.outcome
        (row,) = backlog.exceptions_by_id(conn, [1])
        with pytest.raises(EditInvalid, match="its body was erased on"):
            editing._original(conn, row)


def test_the_application_changes_no_receipt_by_itself(old):
    for statement in (
        "update receipts set bodies = '{}'",
        "update receipts set erased_at = now(), body_hashes = '{}'",
        "delete from receipts",
    ):
        with engine().begin() as conn, pytest.raises(DBAPIError, match="permission denied"):
            conn.exec_driver_sql(statement)


def test_the_daily_tick_goes_on_until_nothing_is_left(old, monkeypatch):
    for number in range(3):
        old.receive(batch(event(f"m{number}", type="airport.arrival")))
    old.work("validate")
    old.bound.run("update exceptions set state = 'dismissed', closed_at = now()")
    age(old)
    erase = retention.erase
    monkeypatch.setattr(ticks.retention, "erase", lambda conn, *, days: erase(conn, days=days, portion=1))

    ticks.erase_bodies()

    assert old.bound.one("select count(*) from receipts where erased_at is null") == 0


def test_the_daily_tick_and_somebody_who_erases_by_hand_wait_for_one_another(old):
    daily = threading.Thread(target=ticks.erase_bodies)
    with engine().begin() as conn:
        audit.hold(conn)
        daily.start()
        waits = "select count(*) from pg_locks where not granted and locktype = 'advisory'"
        while not old.bound.one(waits):
            assert daily.is_alive()

        assert retention.erase(conn, days=400).receipts == 1
    daily.join(20)

    assert not daily.is_alive()
    assert old.bound.one("select count(*) from receipts where erased_at is null") == 0
