"""Figures of metrics that are measured: money at risk, unbilled money and losses; and what cannot be measured."""

from decimal import Decimal

import metrics_bench
import pytest
from metrics_bench import METRICS
from usage_line import event

from domain.metrics.aggregation import AggregateNegative
from domain.prices import Measured
from workers.store import appraisal, figures, losses, measures
from workers.store.database import snapshot
from workers.store.measures import Asked, ValuesTooMany

(GREATEST, HOURLY) = (METRICS["max of minutes 1"], METRICS["sum of minutes 17"])


@pytest.fixture
def calls(line):
    """A line whose only metric is the greatest number of minutes, and a call of ten of them."""
    with line.owner.begin() as conn:
        conn.exec_driver_sql("delete from metrics")
    metrics_bench.publish(line, [GREATEST])
    line.receive(event("e1", minutes=10))
    line.run()
    return line


def park(line, *minutes: object, subject: str = "k1") -> None:
    """Send calls that lack what the metric now requires, or that lead nowhere."""
    with line.owner.begin() as conn:
        conn.exec_driver_sql("update metrics set requires = '{money}'" if subject == "k1" else "select 1")
    line.receive(*(event(f"x{n}", subject=subject, minutes=each) for n, each in enumerate(minutes)))
    line.run()


def at_risk(line) -> list[tuple[object, ...]]:
    appraisal.settle(line.engine)
    return line.rows("select money_at_risk, basis from exceptions where state = 'open' order by id")


def test_usage_in_exception_is_worth_by_what_it_would_move_what_is_measured(calls):
    park(calls, 15, 12)

    assert at_risk(calls) == [(Decimal("2.5"), "price_in_force")] * 2


def test_usage_that_leads_nowhere_is_measured_by_itself_at_the_usual_price(calls):
    park(calls, 15, 12, subject="zz")

    assert at_risk(calls) == [(Decimal("7.5"), "usual_price")] * 2


def test_of_usage_without_its_number_or_beside_what_cannot_be_measured_nobody_knows_the_money(calls):
    calls.receive(event("none", data={"caller": "ann"}))
    calls.run()
    assert at_risk(calls) == [(None, None)]

    with calls.owner.begin() as conn:
        conn.exec_driver_sql("update aggregate_values set n = -1")
    park(calls, 15)
    assert at_risk(calls) == [(None, None)] * 2


def test_usage_in_exception_is_a_bucket_of_its_own(line):
    with line.owner.begin() as conn:
        conn.exec_driver_sql("delete from metrics")
    metrics_bench.publish(line, [HOURLY])
    line.receive(event("e1", minutes=10))
    line.run()

    park(line, 15, 12)

    assert at_risk(line) == [(Decimal(15), "price_in_force"), (Decimal(12), "price_in_force")]


def test_what_is_measured_is_unbilled_money_until_it_is_billed(calls):
    calls.receive(event("e2", minutes=8), event("e3", minutes="12.5"))
    calls.run()

    with snapshot() as conn:
        (owed,) = figures.unbilled(conn)
    assert (owed.currency, owed.amount) == ("USD", Decimal("12.5"))


def test_what_a_lost_event_would_cost_comes_from_what_is_measured(calls):
    with snapshot() as conn:
        reported, (window,) = losses._basis(conn, 1, [1])

    assert (reported.accepted, window.quantity, window.events) == (1, 10, 1)
    assert window.price is not None


def test_more_values_than_are_read_at_once_are_refused_where_money_is_made_and_unknown_elsewhere(calls, monkeypatch):
    calls.receive(*(event(f"e{n}", subject="k2", minutes=n) for n in range(2, 9)))
    calls.run()
    monkeypatch.setattr(measures, "VALUES_MAX", 6)
    both = [*asked_of(calls, 1), *asked_of(calls, 2)]

    with snapshot() as conn:
        with pytest.raises(ValuesTooMany):
            measures.measured(conn, both)
        assert measures.estimated(conn, both) == [Measured(Decimal(10)), None]
        (owed,) = figures.unbilled(conn)
        assert owed.amount == 10
        assert figures.preview(conn).unpriced == 1
        prices = {window.quantity: window.price for window in losses._basis(conn, 1, [1])[1]}
    assert [quantity for quantity, price in prices.items() if price is None] == [0]
    park(calls, 15, subject="k2")
    assert at_risk(calls) == []
    with calls.owner.begin() as conn:
        conn.exec_driver_sql("update metrics set requires = '{money}'")
    calls.receive(event("y", subject="k2", minutes=99))
    calls.run()
    assert at_risk(calls) == [(None, None)]


def asked_of(line, subscription: int) -> list[Asked]:
    found = line.rows(
        "select contract_version_id, metric_id from aggregates where subscription_id = :id", id=subscription
    )
    return [Asked(subscription, 1, version, metric, "", 1) for version, metric in found]  # type: ignore[arg-type]


def test_what_was_taken_back_too_often_is_refused_where_money_is_made_and_unknown_elsewhere(calls):
    with calls.owner.begin() as conn:
        conn.exec_driver_sql("update aggregate_values set n = -1")

    with snapshot() as conn:
        with pytest.raises(AggregateNegative):
            measures.measured(conn, asked_of(calls, 1))
        assert measures.estimated(conn, asked_of(calls, 1)) == [None]
        assert figures.unbilled(conn) == figures._money({("pony", "USD"): Decimal(0)})
        assert figures.preview(conn).unpriced == 1


def test_nothing_is_asked_and_nothing_is_measured(calls):
    with snapshot() as conn:
        assert measures.measured(conn, []) == []
