"""Schedules are made as documents are issued: each sums to its line, and the database refuses one that does not."""

from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from workers.store.database import engine

#: 1,200.00 over 366 days from 15 January 2024, by largest remainder.
YEAR = {
    "2024-01": "55.74", "2024-02": "95.08", "2024-03": "101.64", "2024-04": "98.36", "2024-05": "101.64",
    "2024-06": "98.36", "2024-07": "101.64", "2024-08": "101.64", "2024-09": "98.36", "2024-10": "101.64",
    "2024-11": "98.36", "2024-12": "101.64", "2025-01": "45.90",
}  # fmt: skip


def test_an_annual_fee_is_deferred_when_it_is_posted_and_earned_by_its_days(year):
    assert year.schedule("PONY-000001") == YEAR
    assert year.balance("liabilities:deferred-revenue") == -1200
    assert year.balance("revenue:fees") == 0
    assert year.balance("assets:receivable") == Decimal("1306.50")


def test_usage_and_fees_of_the_month_they_are_posted_in_are_earned_with_their_document(books):
    books.month.use(("u1", "UA", "N1", 0))

    books.bill(books.month.period, posting_on="2026-03-31")

    # 41.26 + 118.13 + 1,200.00
    assert books.schedule("PONY-000001") == {"2026-03": "1359.39"}
    assert books.bound.rows("select * from journal_entries where kind <> 'document'") == []
    assert books.balance("revenue:fees") == -1200


def put(rows: str) -> None:
    """Insert schedule rows as the application."""
    with engine().begin() as conn:
        conn.execute(
            text(f"""insert into revenue_schedules (invoice_id, invoice_line_id, kind, earned_in, period, amount,
              method, is_deferred, legal_entity_id, currency, revenue_account, deferred_account, asset_account)
              select 1, (select min(id) from invoice_lines), kind, cast(earned as date), cast(earned as date), amount,
                'daily', true, entity, currency, 'r', 'd', 'a'
              from (values {rows}) t (kind, earned, amount, entity, currency)""")
        )


@pytest.mark.parametrize(
    "rows",
    [
        "('scheduled', '2030-01-01', 0.01, 'pony', 'USD')",
        "('undone', '2030-01-01', 0.01, 'pony', 'USD')",
        "('scheduled', '2030-01-01', 1, 'pony', 'USD'), ('scheduled', '2030-02-01', -2, 'pony', 'USD')",
    ],
)
def test_the_database_refuses_a_schedule_that_does_not_sum_to_its_line(year, rows):
    with pytest.raises(IntegrityError, match="does not sum to its line"):
        put(rows)


def test_the_database_refuses_a_schedule_in_another_currency(year):
    sums = "('scheduled', '2030-01-01', 1, 'pony', '{}'), ('scheduled', '2030-02-01', -1, 'pony', '{}')"
    put(sums.format("USD", "USD"))

    with pytest.raises(IntegrityError, match="does not sum to its line"):
        put(sums.replace("2030", "2031").format("AAA", "AAA"))


@pytest.mark.parametrize(
    "rows",
    [
        "('scheduled', '2030-01-02', 1, 'pony', 'USD')",
        "('else', '2030-01-01', 1, 'pony', 'USD')",
        "('scheduled', '2030-01-01', 0, 'pony', 'USD')",
    ],
)
def test_the_database_refuses_parts_that_are_none(year, rows):
    with pytest.raises(IntegrityError, match="violates check constraint"):
        put(rows)


def test_the_database_refuses_a_part_that_is_scheduled_twice(year):
    with pytest.raises(IntegrityError, match="revenue_schedules_invoice_line_id_kind_earned_in_key"):
        put("('scheduled', '2024-01-01', 1, 'pony', 'USD')")


@pytest.mark.parametrize(
    "statement",
    [
        "update revenue_schedules set amount = 1",
        "delete from revenue_schedules",
        "update recognitions set schedule_id = 1",
        "delete from recognitions",
        "update accounting_periods set reason = 'x'",
        "delete from accounting_periods",
        "update accruals set amount = 1",
        "update revenue_rules set revenue_account = 'x'",
        "delete from revenue_rules",
    ],
)
def test_what_is_scheduled_and_recognised_never_changes(year, statement):
    with pytest.raises(ProgrammingError) as refused, engine().begin() as conn:
        conn.execute(text(statement))

    assert refused.value.orig.sqlstate == "42501"


def test_the_owner_of_the_database_changes_no_schedule_by_mistake(year):
    with pytest.raises(ProgrammingError, match="append-only"):
        year.bound.run("update revenue_schedules set amount = amount")


def test_a_rule_of_the_revenue_account_says_how_it_is_earned_and_where_it_is_deferred(books):
    books.bound.run(
        """insert into revenue_rules values ('pony', '*', null, 'liabilities:all', 'assets:all'),
           ('pony', 'revenue:fees', 'monthly', 'liabilities:fees', 'assets:all')"""
    )

    books.bill(books.period("2024-01-15", "2025-01-15"), posting_on="2024-01-15")

    # 17 of 31 days, eleven months, 14 of 31 days
    months = {f"2024-{month:02d}": "100.00" for month in range(2, 13)}
    assert books.schedule("PONY-000001") == {"2024-01": "54.84", **months, "2025-01": "45.16"}
    assert books.balance("liabilities:fees") == -1200


def test_a_line_is_earned_on_the_days_that_its_subscription_stands(books):
    books.bound.run("update subscriptions set starts_at = '2024-03-01 05:00Z' where ref = 's-ua'")

    books.bill(books.period("2024-01-01", "2024-05-01"), posting_on="2024-01-31")

    # 1,200 x 61/121 = 604.958...; 31 and 30 days of 61: 307.44 (307.437...) and 297.52 (297.521...)
    assert books.schedule("PONY-000001") == {"2024-03": "307.44", "2024-04": "297.52"}


def give_coupon(books, percent: int) -> None:
    books.bound.run("insert into coupons (name, title, percent) values ('ten', 'Ten off', :percent)", percent=percent)
    books.bound.run(
        """insert into contract_coupons (contract_id, coupon_id, place, is_given, starts_on, recorded_by)
           select c.id, k.id, 1, true, '2020-01-01', 'test' from contracts c, coupons k where c.ref = 'c-ua'"""
    )


def test_what_a_coupon_gives_is_earned_in_the_proportions_of_the_lines(books):
    give_coupon(books, 10)

    books.bill(books.period("2024-01-15", "2025-01-15"), posting_on="2024-01-15")

    # a tenth of each month, cut to cents, sums to 119.94; six cents go to 9.508, the four 9.836 and the first of the .4
    rows = books.bound.rows(
        "select amount from revenue_schedules where invoice_adjustment_id is not null order by earned_in"
    )
    tenth = "-5.58 -9.51 -10.16 -9.84 -10.16 -9.84 -10.16 -10.16 -9.84 -10.16 -9.84 -10.16 -4.59"
    assert [str(amount) for (amount,) in rows] == tenth.split()
    assert books.balance("liabilities:deferred-revenue") == -1080


def test_the_database_refuses_a_schedule_of_an_adjustment_that_does_not_sum_to_it(books):
    give_coupon(books, 10)
    books.bill(books.period("2024-01-15", "2025-01-15"), posting_on="2024-01-15")

    with pytest.raises(IntegrityError, match="does not sum to its line"):
        books.bound.run(
            """insert into revenue_schedules (invoice_id, invoice_adjustment_id, earned_in, period, amount, method,
              is_deferred, legal_entity_id, currency, revenue_account, deferred_account, asset_account)
              select invoice_id, id, '2030-01-01', '2030-01-01', 1, 'daily', true, 'pony', 'USD', 'r', 'd', 'a'
              from invoice_adjustments"""
        )
