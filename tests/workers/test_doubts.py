"""Looks at the registers of a period: portion by portion, at what has changed, and whose readings are too many."""

import metrics_bench
import pytest
from metrics_bench import METRICS
from sqlalchemy import text
from usage_line import event

from domain.errors import Snooze
from domain.metrics.register import ReadingDoubtful
from workers import doubts
from workers.store import measures
from workers.store.database import snapshot
from workers.store.measures import Asked

REGISTER = METRICS["register of minutes 9"]


@pytest.fixture
def read(line):
    """A line whose only metric is a register, with one wrong reading of each of three subscriptions."""
    with line.owner.begin() as conn:
        conn.exec_driver_sql("delete from prices; delete from metrics")
    metrics_bench.publish(line, [REGISTER])
    line.receive(*(
        event(f"{of}/{day}", subject=of, time=f"2026-11-0{day}T12:00:00Z", minutes=minutes)
        for of in ("k1", "k2", "k3") for day, minutes in ((1, 50), (2, 4), (3, 60))
    ))  # fmt: skip
    line.run()
    doubts._looks.clear()
    return line


def test_a_look_that_takes_long_rests_and_goes_on_where_it_was(read, monkeypatch):
    monkeypatch.setattr(doubts, "LOOK_S_MAX", -1)
    monkeypatch.setattr(doubts.doubts, "PORTION", 1)

    for number in range(1, 4):
        with pytest.raises(Snooze):
            doubts.look_now(1)
        assert read.codes() == ["register_reading_ambiguous"] * number
    assert doubts.look_now(1) == 0

    read.run()
    assert read.differences() == []
    assert read.rows("select distinct quantity, events from aggregates") == [(2, 2)]


def test_a_register_is_not_read_again_until_something_changes(read):
    assert doubts.look_now(1) == 3
    read.run()
    assert doubts.look_now(1) == 0
    with read.owner.begin() as conn:
        conn.execute(text("update aggregates set updated_at = now() - interval '1 hour'"))
    read.receive(event("more", time="2026-11-04T12:00:00Z", minutes=3))
    read.run()

    with read.owner.begin() as conn:
        conn.exec_driver_sql("update exceptions set state = 'dismissed', closed_at = now() where subscription_id = 3")
    with read.engine.begin() as conn:
        keys = doubts.doubts.registers(conn, 1, after=doubts._FIRST, since=doubts._looks[1].since)
    # The first has a new reading, and of the second one waits, which may be decided again.
    assert [key.subscription_id for key in keys] == [1, 2]
    assert doubts.look_now(1) == 1


def test_a_register_with_more_readings_than_are_read_at_once_is_left_to_its_rating(read, monkeypatch):
    read.receive(event("k1/4", time="2026-11-04T12:00:00Z", minutes=70))
    read.run()
    monkeypatch.setattr(measures, "VALUES_MAX", 3)

    assert doubts.look_now(1) == 2

    assert read.rows("select subscription_id from exceptions order by 1") == [(2,), (3,)]
    monkeypatch.undo()
    ((version, metric),) = read.rows("select contract_version_id, metric_id from aggregates where subscription_id = 1")
    with snapshot() as conn, pytest.raises(ReadingDoubtful):
        measures.measured(conn, [Asked(1, 1, version, metric, "", 1)])  # type: ignore[arg-type]


def test_without_a_register_there_is_nothing_to_look_at(line):
    assert doubts.look_now(1) == 0
