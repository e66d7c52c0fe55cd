"""What the database holds of price books: a version is whole, of its time, and never changes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from billing_bench import PRICES
from line_bench import REGISTER
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from domain.price_books import book_in_force
from workers.store import acting, price_book_file, price_books
from workers.store.acting import Named
from workers.store.database import engine

VERSION = """insert into price_book_versions (book, version, currency, valid_from, recorded_by, file_sha256)
  values ('cloud', 1, 'USD', '2026-01-01', 'ann', sha256('x')) returning id"""
PLAN = "insert into price_book_plans (version_id, name, title) select max(id), 'team', 'Team' from price_book_versions"
CHARGE = """insert into price_book_charges (plan_id, metric_id, terms, tax_category, revenue_account)
  select max(p.id), max(m.id), '{"model": "per_unit", "unit_amount": "41.2575"}', 'standard', 'revenue:departures'
  from price_book_plans p, metrics m where m.name = 'departures'"""
COPY = """insert into contract_versions (contract_id, version, starts_at, recorded_by)
    select id, 9, '2026-01-01', 'test' from contracts where ref = 'c-ua';
  insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account, book_charge_id)
  select v.id, c.metric_id, {terms}, c.tax_category, c.revenue_account, c.id
  from contract_versions v, price_book_charges c where v.version = 9"""


@pytest.fixture(autouse=True)
def books(bound):
    """A register without price books."""
    bound.run("""set local session_replication_role = replica;
      truncate price_book_versions, price_book_plans, price_book_charges, prices, contract_versions
        restart identity cascade""")
    with bound.owner.begin() as conn:
        conn.exec_driver_sql(REGISTER + PRICES)
    return bound


def as_ann(*statements: str) -> None:
    """Do it in one transaction, with the application's rights."""
    with engine().begin() as conn:
        acting.name(conn, Named("ann", "as agreed"))
        for statement in statements:
            conn.exec_driver_sql(statement)


def test_a_version_with_a_plan_and_a_charge_is_kept(books):
    as_ann(VERSION, PLAN, CHARGE)

    assert books.one("select count(*) from price_book_charges") == 1
    named = {row[0] for row in books.rows("select subject from audit_log where starts_with(action, 'price_book')")}
    assert named == {"cloud/1", "cloud/1/team", "cloud/1/team/departures"}


@pytest.mark.parametrize("statements", [(VERSION,), (VERSION, PLAN)])
def test_a_version_without_a_plan_and_a_plan_without_a_charge_are_refused(books, statements):
    with pytest.raises(IntegrityError, match="a price book has plans, and a plan has charges"):
        as_ann(*statements)


@pytest.mark.parametrize("late", [PLAN.replace("'team'", "'more'"), CHARGE.replace("'departures'", "'distance'")])
def test_nothing_is_added_to_a_version_later(books, late):
    as_ann(VERSION, PLAN, CHARGE)

    with pytest.raises(IntegrityError, match="is published and never changes"):
        as_ann(late)


@pytest.mark.parametrize("table", ["price_book_versions", "price_book_plans", "price_book_charges"])
@pytest.mark.parametrize("act", ["update {} set id = default", "delete from {}", "truncate {} cascade"])
def test_what_is_published_is_never_changed_nor_by_the_owner(books, table, act):
    as_ann(VERSION, PLAN, CHARGE)

    with pytest.raises(ProgrammingError):
        as_ann(act.format(table))
    with pytest.raises(DBAPIError, match="is append-only"):
        books.run(act.format(table))


def test_a_version_is_recorded_as_of_now_whatever_is_said(books):
    as_ann(
        VERSION.replace("recorded_by", "recorded_at, recorded_by").replace("'ann'", "'2020-01-01', 'ann'"), PLAN, CHARGE
    )

    assert books.one("select recorded_at > now() - interval '1 minute' from price_book_versions")


@pytest.mark.parametrize(
    "second",
    [VERSION, VERSION.replace("'cloud', 1", "'cloud', 2")],
    ids=["the same number", "the same day and instant"],
)
def test_two_versions_are_never_the_same_by_number_or_by_day_and_instant(books, second):
    with pytest.raises(IntegrityError):
        as_ann(VERSION, PLAN, CHARGE, second)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("'cloud'", "'Cloud'"),
        ("'USD'", "'usd'"),
        ("'cloud', 1", "'cloud', 0"),
        ("'2026-01-01'", "'infinity'"),
        ("sha256('x')", "''"),
        ("'Team'", "''"),
        ("'team'", "'a/b'"),
        ('"model"', '"kind"'),
        ("'standard'", "''"),
        ("max(m.id)", "max(m.id) + 1000"),
    ],
)
def test_what_no_book_can_hold_is_refused(books, old, new):
    statements = [VERSION, PLAN, CHARGE]
    assert any(old in each for each in statements)

    with pytest.raises(DBAPIError):
        as_ann(*(each.replace(old, new) for each in statements))


def test_two_prices_for_one_metric_are_refused(books):
    with pytest.raises(IntegrityError):
        as_ann(VERSION, PLAN, CHARGE, CHARGE)


def test_a_change_by_nobody_is_refused(books):
    with engine().begin() as conn, pytest.raises(ProgrammingError, match="nobody is named"):
        conn.execute(text(VERSION))


def test_a_price_that_names_a_charge_is_that_charge(books):
    as_ann(VERSION, PLAN, CHARGE)
    books.run("insert into accounts values ('eu', 'Eu') on conflict do nothing")

    with pytest.raises(IntegrityError, match="differs from the charge"):
        as_ann(COPY.format(terms="""'{"model": "per_unit", "unit_amount": "1"}'"""))
    as_ann(COPY.format(terms="c.terms"))


def test_a_price_never_names_a_charge_in_another_currency(books):
    as_ann(VERSION.replace("'USD'", "'EUR'"), PLAN, CHARGE)

    with pytest.raises(IntegrityError, match="differs from the charge"):
        as_ann(COPY.format(terms="c.terms"))


def test_the_statement_finds_the_version_that_the_rule_finds(books):
    document, book = price_book_file.read(Path("book.yaml"), BOOK)
    days = [date(2026, 3, 1), date(2026, 1, 1), date(2026, 2, 1), date(2026, 1, 1)]
    for n, day in enumerate(days):
        with engine().begin() as conn:
            acting.name(conn, Named("ann", "as agreed"))
            titled = {"team": replace(book.plans["team"], title=f"Team {n}")}
            wanted = replace(book, valid_from=day, plans=titled)
            assert price_books.publish(conn, document, wanted, person="ann", sha256="0" * 64) is not None

    with engine().begin() as conn:
        kept = price_books.versions(conn)
        instants = [each.recorded_at + timedelta(microseconds=shift) for each in kept for shift in (-1, 0)]
        for on in {day + timedelta(days=shift) for day in days for shift in (-1, 0, 1)}:
            for known_at in [*instants, datetime(9999, 1, 1, tzinfo=UTC)]:
                ruled = book_in_force(kept, on=on, known_at=known_at)
                assert price_books.in_force(conn, on=on, known_at=known_at) == ([ruled] if ruled else [])
    assert len(kept) == 4


BOOK = b"""\
name: cloud
currency: USD
valid_from: 2026-01-01
plans:
  team:
    title: Team
    charges:
      - metric: departures
        terms: {model: per_unit, unit_amount: "1"}
        tax_category: standard
        revenue_account: revenue
"""
