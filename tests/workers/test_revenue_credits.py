"""Prepaid credits in the books: a liability when they are paid, settled as they are drawn, revenue when they expire."""

from datetime import date
from decimal import Decimal

import pytest
from revenue_year import CLEAN, Books
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from domain.credits import Rollover
from domain.money import Money
from workers import ticks
from workers.store import acting, prepaid
from workers.store.acting import Named
from workers.store.database import engine
from workers.store.prepaid import Wanted

LIABILITY, RECEIVED, BREAKAGE = "liabilities:prepaid-credits", "assets:received-for-credits", "revenue:breakage"
GIVEN, OWED = "revenue:credits-given", "assets:receivable"
FIRST, NEXT = date(2026, 3, 1), date(2026, 4, 1)
#: One departure, 41.26, and one aircraft, 118.13, with 8.875 % of tax, 14.15.
GROSS = Decimal("173.54")


@pytest.fixture
def books(month):
    yield Books(month)
    for statement in ("truncate credit_grants restart identity cascade", *CLEAN):
        month.bound.run(statement)


@pytest.fixture
def grant(books):
    def make(amount: str, *, is_paid: bool, **more) -> int:
        with engine().begin() as conn:
            acting.name(conn, Named("ann", "paid ahead"))
            wanted = Wanted("ua", "pony", Money.of(amount, "USD"), FIRST, NEXT, is_paid=is_paid, **more)
            return prepaid.grant(conn, wanted, person="ann", reason="paid ahead")

    return make


def bill_march(books) -> None:
    books.month.use(("u1", "UA", "N1", 0))
    books.bill(books.month.period, posting_on="2026-03-31")


def balances(books, *accounts: str) -> list[Decimal]:
    return [books.balance(account) for account in accounts]


def test_credits_that_were_paid_are_drawn_and_what_expires_is_revenue(books, grant):
    grant("500.00", is_paid=True)
    bill_march(books)

    books.recognise("2026-03")

    left = Decimal(500) - GROSS
    assert balances(books, RECEIVED, LIABILITY, OWED, BREAKAGE) == [500, -left, 0, 0]
    ticks.end_credits()
    assert books.recognise("2026-03") == {"2026-03": "326.46"}
    assert balances(books, RECEIVED, LIABILITY, OWED, BREAKAGE) == [500, 0, 0, -left]
    assert books.recognise("2026-03") == {}
    assert books.bound.one("select count(*) from credit_bookings") == 3


def test_credits_that_were_given_lessen_revenue_when_they_are_drawn_and_expire_without_a_trace(books, grant):
    grant("500.00", is_paid=False)
    bill_march(books)
    ticks.end_credits()

    assert books.recognise("2026-03") == {}

    assert balances(books, RECEIVED, LIABILITY, OWED, BREAKAGE, GIVEN) == [0, 0, 0, 0, GROSS]


def test_what_is_carried_on_stays_a_liability(books, grant):
    grant("500.00", is_paid=True, rollover=Rollover(3_650, Decimal(100), Money.of("100.00", "USD")))
    bill_march(books)
    ticks.end_credits()

    assert books.recognise("2026-04") == {"2026-03": "226.46"}

    assert books.balance(LIABILITY) == -100
    assert books.bound.one("select is_paid from credit_grants where carried_from is not null")


def test_what_expires_in_a_closed_period_is_revenue_of_the_open_one(books, grant):
    grant("500.00", is_paid=True)
    bill_march(books)
    books.close("2026-03")
    ticks.end_credits()

    assert books.recognise("2026-03") == {}
    assert books.recognise("2026-04") == {"2026-04": "326.46"}


def test_accounts_of_the_legal_entity_are_used_where_it_names_them(books, grant):
    books.bound.run("insert into credit_accounts values ('pony', 'l', 'r', 'b', 'g')")
    grant("10.00", is_paid=True)

    books.recognise("2026-03")

    assert balances(books, "l", "r") == [-10, 10]
    books.bound.run("delete from credit_accounts")


def test_the_database_keeps_the_liability_apart_and_books_nothing_twice(books, grant):
    grant("10.00", is_paid=True)
    books.recognise("2026-03")

    with pytest.raises(IntegrityError, match="credit_accounts_check"):
        books.bound.run("insert into credit_accounts values ('pony', 'l', 'l', 'b', 'g')")
    with pytest.raises(IntegrityError, match="credit_bookings_pkey"), engine().begin() as conn:
        conn.execute(text("insert into credit_bookings (credit_entry_id) select credit_entry_id from credit_bookings"))
    with pytest.raises(ProgrammingError, match="permission denied"), engine().begin() as conn:
        conn.execute(text("delete from credit_bookings"))
