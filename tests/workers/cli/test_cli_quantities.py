"""Seats and other quantities of subscriptions: said from a day on, superseded when said anew, never edited."""

import pytest
from sqlalchemy.exc import IntegrityError, ProgrammingError

from workers.store import acting
from workers.store.acting import Named
from workers.store.database import engine

IN_FORCE = """select s.ref, q.item, q.quantity, q.starts_on::text, q.ends_on::text
  from subscription_quantities q join subscriptions s on s.id = q.subscription_id
  where q.superseded_at = '9999-12-31 00:00:00+00' order by 1, 2, 4"""


def said(*entries):
    lines = "\n".join(f"      - {entry}" for entry in entries)
    return f"subscriptions:\n  S-1:\n    contract: C-1\n    cycle: us/month\n    quantities:\n{lines}\n"


TEN = '{item: seats, quantity: "10", from: 2026-01-01}'
TWELVE = '{item: seats, quantity: "12", from: 2026-03-01}'


def test_each_quantity_lasts_until_the_next_and_the_last_until_further_notice(load):
    done = load.done(said(TEN, TWELVE, "{item: phones, quantity: 2.5, from: 2026-02-01, to: 2026-02-15}"))

    assert done["new"] == {"subscription_quantities": 3}
    assert [(item, str(n), starts, ends) for _, item, n, starts, ends in load.operator.rows(IN_FORCE)] == [
        ("phones", "2.5", "2026-02-01", "2026-02-15"),
        ("seats", "10", "2026-01-01", "2026-03-01"),
        ("seats", "12", "2026-03-01", "9999-12-31"),
    ]


def test_the_same_quantities_twice_change_nothing(load):
    load.done(said(TEN, TWELVE))

    again = load.done(said(TEN, TWELVE.replace('"12"', '"12.0"')))

    assert (again["new"], again["changed"]) == ({}, {})
    assert again["same"]["subscription_quantities"] == 2


def test_a_backdated_change_keeps_what_was_known_before(load):
    load.done(said(TEN, TWELVE))
    before = load.operator.one("select clock_timestamp()")

    done = load.done(said('{item: seats, quantity: "11", from: 2026-02-01}'))

    assert (done["new"], done["changed"]) == ({"subscription_quantities": 2}, {"subscription_quantities": 1})
    assert [(int(n), starts) for _, _, n, starts, _ in load.operator.rows(IN_FORCE)] == [
        (10, "2026-01-01"), (11, "2026-02-01"), (12, "2026-03-01"),
    ]  # fmt: skip
    known = load.operator.rows(
        """select quantity, starts_on::text from subscription_quantities
           where recorded_at <= :at and superseded_at > :at order by starts_on""", at=before,
    )  # fmt: skip
    assert [(int(n), starts) for n, starts in known] == [(10, "2026-01-01"), (12, "2026-03-01")]


def test_who_changed_a_quantity_is_in_the_audit_log(load):
    load.done(said(TEN))

    ((person, subject, quantity),) = load.operator.rows(
        "select person, subject, after ->> 'quantity' from audit_log where action = 'subscription_quantities.insert'"
    )

    assert (subject, quantity) == ("S-1/seats/2026-01-01", "10")
    assert person


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([TEN, TEN], "subscriptions.S-1.quantities[1].from: starts before the entry from 2026-01-01 has ended"),
        (['{item: seats, quantity: "1", from: 2026-02-01, to: 2026-02-01}'], "quantities[0].to: is not after `from`"),
        (['{item: seats, quantity: "-1", from: 2026-02-01}'], "quantities[0].quantity"),
        (['{item: seats, quantity: "NaN", from: 2026-02-01}'], "quantities[0].quantity"),
        (['{item: seats, quantity: "1e31", from: 2026-02-01}'], "quantities[0].quantity"),
        (['{item: seats, quantity: "1", from: tomorrow}'], "quantities[0].from: is no date"),
        (['{quantity: "1", from: 2026-02-01}'], "quantities[0].item"),
    ],
)
def test_quantities_that_cannot_be_are_refused_with_line_and_field(load, entries, says):
    assert says in load.refused(said(*entries))
    assert load.operator.rows(IN_FORCE) == []


def attempt(statement):
    """Try it as the application, under a name; nothing of it stays."""
    with engine().connect() as conn:
        acting.name(conn, Named("eve", "to see whether it works"))
        conn.exec_driver_sql(statement)


ANOTHER = """insert into subscription_quantities (subscription_id, item, quantity, starts_on, ends_on, recorded_by)
  values ((select id from subscriptions where ref = 'S-1'), {values}, 'eve')"""


@pytest.mark.parametrize("values", ["'seats', 1, '2026-02-01', '2026-02-02'", "'seats', 1, '2020-01-01', '9999-12-31'"])
def test_the_database_refuses_two_quantities_on_one_day(load, values):
    load.done(said(TEN))

    with pytest.raises(IntegrityError):
        attempt(ANOTHER.format(values=values))


@pytest.mark.parametrize(
    "values",
    [
        "'x', -1, '2026-02-01', '2026-02-02'",
        "'x', 1, '2026-02-01', '2026-02-01'",
        "'', 1, '2026-02-01', '2026-02-02'",
    ],
)
def test_the_database_refuses_quantities_that_cannot_be(load, values):
    with pytest.raises(IntegrityError):
        attempt(ANOTHER.format(values=values))


@pytest.mark.parametrize(
    "statement", ["update subscription_quantities set quantity = 1", "delete from subscription_quantities"]
)
def test_a_quantity_is_never_edited(load, statement):
    load.done(said(TEN))

    with pytest.raises(ProgrammingError):
        attempt(statement)
