"""What carries over, what is taken by the hour, and what a filter takes, where the terms change meanwhile."""

from decimal import Decimal

import metrics_bench
import pytest
from metrics_bench import METRICS
from sqlalchemy import text
from usage_line import event

from workers.rating import Run
from workers.store import attributions, measures, rated_usages
from workers.store.attributions import new_batches
from workers.store.database import snapshot
from workers.store.measures import Asked

LEVEL, SEATS, HOURLY = METRICS["weighted_sum of minutes 7"], METRICS["sum of minutes 14"], METRICS["sum of minutes 17"]
EUROPE = METRICS["sum of minutes 15"]


@pytest.fixture
def only(line):
    """Publishes one metric on a line that has no other."""

    def publish(metric):
        with line.owner.begin() as conn:
            conn.exec_driver_sql("delete from prices; delete from metrics")
        metrics_bench.publish(line, [metric])
        return line

    return publish


def rated(line, period: str, *, lot: int = 1) -> list[tuple[int, Decimal]]:
    """(contract version, quantity) of what `rate` would read of the first subscription's period."""
    period_id = line.value("select id from billing_periods where starts_on = cast(:period as date)", period=period)
    with line.engine.connect() as conn:
        windows = rated_usages.windows(conn, [Run(1, 0, period_id, lot, 1, 1, "USD")])  # type: ignore[arg-type]
    versions = dict(line.rows("select id, version from contract_versions"))
    return [(versions[each.contract_version_id], each.measured.quantity) for each in windows.get(1, [])]  # type: ignore[misc]


def split(line, at: str) -> None:
    """A second version of the first contract, with the same price, from an instant on."""
    with line.owner.begin() as conn:
        conn.execute(text("update contract_versions set ends_at = cast(:at as timestamptz) where id = 1"), {"at": at})
        conn.execute(
            text("""insert into contract_versions (contract_id, version, starts_at, recorded_by)
                 values (1, 2, cast(:at as timestamptz), 'finance')"""),
            {"at": at},
        )
        conn.exec_driver_sql(
            """insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
               select v.id, m.id, '{"model": "per_unit", "unit_amount": "1"}', 'standard', 'revenue:calls'
               from contract_versions v cross join metrics m where v.version = 2"""
        )


def test_what_stands_at_the_end_of_a_period_is_billed_once_under_its_last_version(only):
    line = only(SEATS)
    split(line, "2026-10-15T00:00:00Z")
    for month, minutes in ((9, 5), (10, 2), (11, 0)):
        line.receive(event(f"e{month}", time=f"2026-{month:02}-05T12:00:00Z", minutes=minutes))
    line.receive(event("late in october", time="2026-10-20T12:00:00Z", minutes=1))
    line.run()

    assert rated(line, "2026-09-01") == [(1, 5)]
    assert rated(line, "2026-10-01") == [(1, 0), (2, 8)]
    assert rated(line, "2026-11-01") == [(2, 8)]


def test_what_carries_over_is_billed_under_the_last_version_that_prices_it(only):
    line = only(SEATS)
    split(line, "2026-10-15T00:00:00Z")
    with line.owner.begin() as conn:
        conn.exec_driver_sql("delete from prices where contract_version_id = 10")
    line.receive(event("e9", time="2026-09-05T12:00:00Z", minutes=5))
    line.receive(event("e10", time="2026-10-05T12:00:00Z", minutes=2))
    line.run()

    assert rated(line, "2026-10-01") == [(1, 7)]


def test_a_level_ends_with_the_subscription_in_the_store_too(only):
    line = only(LEVEL)
    line.receive(event("e", time="2026-11-01T04:00:00Z", minutes=30, data={"minutes": 30}))
    line.run()
    assert rated(line, "2026-11-01") == [(1, 30)]

    with line.owner.begin() as conn:
        # Thirty days and an hour, since clocks are put back on the first; the half of them.
        conn.exec_driver_sql("update subscriptions set ends_at = '2026-11-16T04:30:00Z' where id = 1")
    assert rated(line, "2026-11-01") == [(1, 15)]


def test_a_level_is_not_carried_into_a_period_after_the_subscription(only):
    line = only(LEVEL)
    line.receive(event("e", time="2026-09-05T12:00:00Z", data={"minutes": 30}))
    line.receive(event("f", time="2026-10-05T12:00:00Z", subject="k2", data={"minutes": 30}))
    line.run()
    assert rated(line, "2026-10-01") == [(1, 30)]

    with line.owner.begin() as conn:
        conn.exec_driver_sql("update subscriptions set ends_at = '2026-10-01T04:00:00Z' where id = 1")
    assert rated(line, "2026-10-01") == []


def test_a_metric_by_the_hour_that_comes_after_the_period_was_made_finds_its_buckets(only):
    line = only(SEATS)
    line.receive(event("e1", minutes=1))
    line.run()
    assert line.value("select count(*) from buckets") == 0

    with line.owner.begin() as conn:
        metrics_bench.insert(conn, [HOURLY])
    line.receive(event("e2", minutes=2), event("e3", minutes=3, time="2026-11-05T12:59:59.999999Z"))
    line.run()

    assert line.value("select count(*) from buckets") == 721
    hours = line.rows("""select g.grain_start::text, g.quantity from aggregates g join metrics m on m.id = g.metric_id
      where m.bucket = 'hour'""")
    assert hours == [("2026-11-05 12:00:00+00", 5)]
    assert line.differences() == []


def test_usage_whose_amended_data_its_metric_does_not_take_is_excluded_and_every_total_holds(only):
    line = only(EUROPE)
    line.receive(event("e1", data={"region": "europe"}))
    line.run()
    assert line.codes() == ["quantity_missing"]

    with line.owner.begin() as conn:
        conn.exec_driver_sql("set local session_replication_role = replica")
        conn.exec_driver_sql("""insert into amendments
            (event_no, metric_id, exception_id, replay_id, data, person, reason)
          select event_no, metric_id, id, 0, '{"region": "africa", "minutes": 5}', 'ann', 'moved' from exceptions""")
    parked: int = line.value("select id from exceptions")  # type: ignore[assignment]
    with line.engine.begin() as conn:
        (batch,) = new_batches(conn, "healed", [None])
        assert attributions.heal(conn, [parked], batch_no=batch) == {"excluded": 1}
    line.owe("aggregate", f"batch/{batch}")
    line.run()

    assert line.rows("select rule_id, quantity from exclusions") == [(None, 5)]
    assert line.value("select count(*) from aggregates") == 0
    assert line.codes() == []
    assert line.differences() == []


def test_what_is_asked_of_a_window_that_holds_nothing_is_nothing(only):
    line = only(SEATS)
    line.receive(event("e1", minutes=1))
    line.run()
    metric = line.value("select id from metrics")

    with snapshot() as conn:
        (found,) = measures.measured(conn, [Asked(2, 1, 2, metric, "", 1)])  # type: ignore[arg-type]
    assert found.quantity == 0
