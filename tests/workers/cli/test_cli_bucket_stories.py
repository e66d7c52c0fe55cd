"""Levels and registers by the hour, hours that are committed to, and seats by the days they were there; to the cent."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from metered_bench import Books, event

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
#: In Berlin it has 743 hours: on the 29th a clock shows no hour from two to three.
MARCH = datetime(2026, 2, 28, 23, tzinfo=UTC)
COMMITTED = "{model: per_unit, unit_amount: '2', adjustments: {windowed: {amount: '10', true_up: true}}}"


@pytest.fixture
def books(operator, tmp_path):
    return Books(operator, tmp_path)


@pytest.fixture
def send(books, lines):
    def sends(*events) -> None:
        ran = books.operator("send", lines(*events))
        assert ran.code == 0, ran.err

    return sends


def test_a_level_by_the_hour_is_billed_in_every_hour_and_goes_on_into_the_next_period(books, send):
    books.publish({"level": "aggregation: weighted_sum, property: n, bucket: hour, recurring: true"})
    send(event("up", JUNE + timedelta(days=29, hours=12), n=2))
    books.bill("2026-06")
    books.bill("2026-07")

    assert books.billed("level") == {"2026-06-01": Decimal("24.00"), "2026-07-01": Decimal("1488.00")}
    assert 31 * 24 * 2 == 1_488
    books.all_is_well()

    send(event("late", JUNE + timedelta(days=29, hours=23, minutes=30), n=1))
    books.bill("2026-06", "--invoice-on", "2026-09-01")
    books.bill("2026-07", "--invoice-on", "2026-09-01")
    assert books.billed("level") == {"2026-06-01": Decimal("24.50"), "2026-07-01": Decimal("2232.00")}
    books.all_is_well()


def test_a_register_and_single_calls_by_the_day_are_priced_day_by_day(books, send):
    books.publish(
        {
            "used": "aggregation: register, property: n, bucket: day",
            "calls": "aggregation: each, property: n, bucket: day, convert: {divisor: 60, rounding: up, scale: 0}",
        },
        terms="{model: bucketed, price: {model: package, package_size: '100', package_amount: '5'}}",
    )
    send(*(event(f"r{on}", JUNE + timedelta(days=on), n=n) for on, n in ((0, 0), (1, 99), (2, 201), (5, 201))))
    books.bill("2026-06")

    assert books.billed("used") == {"2026-06-01": Decimal(5 + 10)}
    assert books.quantities("calls") == [0 + 2 + 4 + 4]
    assert books.billed("calls") == {"2026-06-01": Decimal(5 * 3)}
    books.all_is_well()


def test_every_hour_that_is_committed_to_is_owed_also_the_empty_ones(books, send):
    books.publish({"units": "aggregation: sum, property: n, bucket: hour"}, zone="Europe/Berlin", terms=COMMITTED)
    send(event("a", MARCH + timedelta(hours=5), n=3), event("b", MARCH + timedelta(hours=700, minutes=59), n=9))
    books.bill("2026-03")

    assert books.billed("units") == {"2026-03-01": Decimal(741 * 10 + 10 + 18)}
    ((line,),) = books.operator.rows("select id from invoice_lines")
    assert "each of them committed to EUR 10.00: there are 741: EUR 7,410.00." in "\n".join(books.sentences(line))
    books.all_is_well()

    send(event("c", MARCH + timedelta(hours=6), n=6))
    books.bill("2026-03", "--invoice-on", "2026-05-01")
    assert books.billed("units") == {"2026-03-01": Decimal(740 * 10 + 10 + 18 + 12)}
    books.all_is_well()


def test_hours_are_owed_without_any_usage_and_only_on_the_days_of_service(books, send):
    books.publish(
        {"units": "aggregation: sum, property: n, bucket: hour"},
        zone="Europe/Berlin", first_on="2026-03-28", terms=COMMITTED,
    )  # fmt: skip
    send(event("after", MARCH + timedelta(days=40), n=1))
    books.bill("2026-03")

    assert books.billed("units") == {"2026-03-01": Decimal((3 * 24 + 23) * 10)}


def test_seats_and_members_are_billed_by_the_days_they_were_there_and_carried_over(books, send):
    books.publish(
        {
            "seats": "aggregation: sum, property: n, prorate: days, recurring: true",
            "members": "aggregation: unique_count, property: who, operation: op, prorate: days, recurring: true",
        },
        terms="{model: per_unit, unit_amount: '60'}",
    )
    send(
        event("first", JUNE, n=25, who="ann"),
        event("more", JUNE + timedelta(days=15, hours=9), n=5, who="bob"),
        event("less", JUNE + timedelta(days=20), n=0, who="bob", op="remove"),
    )
    books.bill("2026-06")
    books.bill("2026-07")

    assert books.billed("seats") == {"2026-06-01": Decimal("1650.00"), "2026-07-01": Decimal("1800.00")}
    assert 25 * 60 + 5 * 60 * 15 / 30 == 1_650
    assert books.billed("members") == {"2026-06-01": Decimal("72.00"), "2026-07-01": Decimal("60.00")}
    assert 60 * (30 + 6) / 30 == 72
    books.all_is_well()

    send(event("late", JUNE + timedelta(days=27), n=-10, who="cid"))
    books.bill("2026-06", "--invoice-on", "2026-09-01")
    books.bill("2026-07", "--invoice-on", "2026-09-01")
    assert books.billed("seats") == {"2026-06-01": Decimal("1590.00"), "2026-07-01": Decimal("1200.00")}
    assert books.billed("members") == {"2026-06-01": Decimal("78.00"), "2026-07-01": Decimal("120.00")}
    books.all_is_well()
