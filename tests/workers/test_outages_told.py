"""Operations are told once that something is away and once that it is back, whoever leads meanwhile."""

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from line_bench import Bound
from sqlalchemy.exc import DBAPIError

from domain.degradation import Outage
from queues import work
from queues.work import NewWork
from workers import figures, outages
from workers.store import outages as store
from workers.store.database import engine
from workers.watch import Standing, Watch


class Seen(Watch):
    """A watch that is told what it sees."""

    def __init__(self):
        super().__init__({})

    def sees(self, dependency, since=None):
        self._standing[dependency] = Standing(None if since is None else Outage(dependency, since))

    def saw(self, dependency, since, until):
        self._ended.append((Outage(dependency, since), until))


@pytest.fixture
def seen(bound: Bound, monkeypatch):
    bound.run("truncate work, notices, erp_connections restart identity cascade")
    bound.run("insert into erp_connections (id, adapter) values ('books', 'x'), ('books-2', 'x')")
    seen = Seen()
    monkeypatch.setattr(outages, "watch", lambda: seen)
    monkeypatch.setattr(figures, "watch", lambda: seen)
    return seen


def another_leads(monkeypatch):
    seen = Seen()
    monkeypatch.setattr(outages, "watch", lambda: seen)
    return seen


def told(bound):
    return [
        (row[0].rpartition(".")[2], row[1])
        for row in bound.rows("select routing_key, body ->> 'subject' from notices order by id")
    ]


NOW = datetime.now(UTC)
AGO = NOW - timedelta(minutes=5)


def wait_for(step, dependency, *, connection_id=None, subject="1"):
    with engine().begin() as conn:
        ready = work.insert(conn, [NewWork(step, f"x/{subject}", "c", connection_id=connection_id)])
        work.snooze(conn, [ready[0].id], delay_s=60, sentence="503", outcome=f"{dependency}_away")
    return ready[0].id


def test_an_outage_is_told_once_and_its_end_once(bound, seen):
    seen.sees("redis", AGO)
    for _ in range(3):
        outages.tell()
    assert told(bound) == [("away", "redis")]
    assert bound.hints == [("notify", (1,), 0)]

    seen.sees("redis")
    for _ in range(3):
        outages.tell()

    assert told(bound) == [("away", "redis"), ("back", "redis")]
    ((data,),) = bound.rows("select body -> 'data' from notices where routing_key like '%back'")
    assert data["since"] == AGO.isoformat()
    assert bound.rows("select step, subject from work where subject like '%back'") == [
        ("notify", f"notices/outage/redis/{AGO.isoformat(timespec='microseconds')}/back")
    ]


def test_the_next_leader_neither_repeats_an_outage_nor_forgets_its_end(bound, seen, monkeypatch):
    seen.sees("rabbitmq", AGO)
    outages.tell()

    other = another_leads(monkeypatch)
    outages.tell()  # it has not asked RabbitMQ yet, so it cannot say
    other.sees("rabbitmq", NOW)
    outages.tell()
    assert told(bound) == [("away", "rabbitmq")]

    other.sees("rabbitmq")
    outages.tell()
    assert told(bound) == [("away", "rabbitmq"), ("back", "rabbitmq")]


def test_an_outage_of_postgresql_is_told_with_its_end_when_it_is_over(bound, seen, monkeypatch):
    seen.sees("postgresql")
    seen.saw("postgresql", AGO, NOW)
    outages.tell()
    assert told(bound) == [("away", "postgresql"), ("back", "postgresql")]

    other = another_leads(monkeypatch)
    other.saw("postgresql", AGO - timedelta(seconds=1), NOW)  # the same, as another process saw it
    outages.tell()
    assert len(told(bound)) == 2


def test_what_could_not_be_written_is_told_the_next_time(bound, seen):
    seen.saw("postgresql", AGO, NOW)
    bound.run("revoke insert on notices from tallyline_app")
    try:
        with pytest.raises(DBAPIError):
            outages.tell()
    finally:
        bound.run("grant insert on notices to tallyline_app")

    outages.tell()

    assert told(bound) == [("away", "postgresql"), ("back", "postgresql")]


def test_an_erp_is_away_while_work_waits_for_it_and_no_other_is(bound, seen):
    row = wait_for("post", "erp", connection_id="books")
    wait_for("post", "erp", connection_id="books", subject="2")
    outages.tell()
    assert told(bound) == [("away", "erp.books")]

    with engine().begin() as conn:  # the gate let nobody ask, which says nothing
        work.snooze(conn, [row], delay_s=60, sentence="gate erp:books: pause", outcome=None)
    bound.run("update work set state = 'done' where id <> :row and step = 'post'", row=row)
    outages.tell()
    assert len(told(bound)) == 1

    with engine().begin() as conn:
        work.done(conn, [row])
    outages.tell()
    assert told(bound) == [("away", "erp.books"), ("back", "erp.books")]


def test_another_reason_to_wait_ends_an_outage(bound, seen):
    row = wait_for("tax", "tax_engine")
    outages.tell()

    with engine().begin() as conn:
        work.snooze(conn, [row], delay_s=60, sentence="closed")
    outages.tell()

    assert told(bound) == [("away", "tax_engine"), ("back", "tax_engine")]


def test_what_waits_is_counted_by_the_steps_of_the_row_and_the_connection(bound, seen):
    for n, (step, connection) in enumerate((("post", "books"), ("post", "books-2"), ("tax", None))):
        wait_for(step, "erp", connection_id=connection, subject=str(n))

    with engine().connect() as conn:
        assert store.held_back(conn, Outage("erp", NOW, "books")) == [("post", 1)]
        assert store.held_back(conn, Outage("redis", NOW)) == [("post", 2)]
        assert store.held_back(conn, Outage("rabbitmq", NOW)) == [("post", 2), ("tax", 1)]
        assert store.held_back(conn, Outage("sentry", NOW)) == []


def readings(name):
    (gauge,) = (each for each in figures.GAUGES if each.name == name)
    return {tuple(labels): figure for labels, figure in gauge.read()}


def test_the_gauge_has_every_server_and_partner(bound, seen):
    seen.sees("rabbitmq")
    seen.sees("redis", AGO)
    wait_for("post", "erp", connection_id="books-2")

    assert readings("tallyline_dependency_up") == {
        ("rabbitmq", ""): 1, ("redis", ""): 0, ("erp", "books"): 1, ("erp", "books-2"): 0, ("tax_engine", ""): 1,
    }  # fmt: skip


def test_the_age_of_a_tier_is_that_of_its_oldest_due_row(bound, seen):
    with engine().begin() as conn:
        work.insert(conn, [NewWork("rate", "a/1", "c", lane="close"), NewWork("rate", "a/2", "c", lane="replay")])
    bound.run("update work set due_at = now() - interval '90 seconds' where lane = 'close'")

    ages = readings("tallyline_tier_due_age_seconds")

    assert ages["3",] == pytest.approx(90, abs=30)
    assert (ages["1",], ages["2",], ages["4",]) == (0, 0, 0)
    assert 0 <= ages["5",] < 30


def test_notices_hold_no_secret_and_no_address(bound, seen, monkeypatch):
    monkeypatch.setenv("TALLYLINE_REDIS_URL", "redis://:geheim@host.internal:6379/0")
    seen.sees("redis", AGO)
    outages.tell()

    ((body,),) = bound.rows("select body from notices")
    assert "geheim" not in json.dumps(body)
    assert "host.internal" not in json.dumps(body)


def test_an_error_of_the_database_shows_no_values_of_a_customer(bound, seen):
    with pytest.raises(DBAPIError) as caught, engine().begin() as conn:
        work.insert(conn, [NewWork("post", "IBAN DE89", "c", connection_id="unknown")])

    assert isinstance(caught.value.orig, psycopg.Error)
    assert "DE89" not in str(caught.value)
