"""What the database holds of coupons, whoever writes: terms that make sense, currencies, one document at a time."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from workers.store import acting, adjustments
from workers.store.acting import Named
from workers.store.database import engine


@pytest.fixture
def coupons(month):
    month.bound.run("""truncate coupons cascade;
        insert into coupons (name, title, percent, uses) values ('ten', 'Ten', 10, 1);
        insert into coupons (name, title, amount, currency) values ('euros', 'Euros', 10, 'EUR');
        insert into contract_coupons (contract_id, coupon_id, place, is_given, starts_on, recorded_by)
        select c.id, p.id, 1, true, '2026-01-01', 'test' from contracts c, coupons p
        where c.ref = 'c-ua' and p.name = 'ten'""")
    yield month
    month.bound.run("truncate coupons cascade")


def attempt(statement):
    """Try it as the application, under a name; nothing of it stays."""
    with engine().connect() as conn:
        acting.name(conn, Named("eve", "to see whether it works"))
        conn.execute(text(statement))


GIVEN = """insert into contract_coupons (contract_id, coupon_id, place, is_given, starts_on, recorded_by)
  select c.id, p.id, 1, true, '{since}', 'test' from contracts c, coupons p
  where c.ref = 'c-ua' and p.name = '{name}'"""
COUPON = "insert into coupons (name, title, {columns}) values ('x', 'X', {values})"
LIMIT = """insert into contract_limits (contract_version_id, minimum, maximum, tax_category, revenue_account)
  select min(id), {} from contract_versions"""


@pytest.mark.parametrize(
    "statement",
    [
        COUPON.format(columns="percent", values="101"),
        COUPON.format(columns="percent, amount, currency", values="10, 5, 'USD'"),
        COUPON.format(columns="amount", values="5"),
        COUPON.format(columns="percent, is_in_all", values="5, true"),
        COUPON.format(columns="percent, uses", values="5, 0"),
        COUPON.format(columns="percent, metrics", values="5, '{}'"),
        COUPON.format(columns="percent, metrics", values="5, '{nothing}'"),
        COUPON.format(columns="percent, products", values="5, '{nothing}'"),
        GIVEN.format(name="euros", since="2026-01-01"),
        GIVEN.format(name="ten", since="2026-06-01"),
        LIMIT.format("null, null, null, null"),
        LIMIT.format("5, 4, 'standard', 'revenue'"),
        LIMIT.format("5, null, null, null"),
        LIMIT.format("null, 5, 'standard', 'revenue'"),
    ],
)
def test_what_makes_no_sense_is_refused(coupons, statement):
    with pytest.raises(IntegrityError):
        attempt(statement)


@pytest.mark.parametrize("table", ["coupons", "contract_coupons", "contract_limits", "invoice_adjustments"])
@pytest.mark.parametrize("statement", ["delete from {}", "truncate {} cascade"])
def test_nothing_of_it_is_deleted(coupons, table, statement):
    with pytest.raises(ProgrammingError, match="permission denied"):
        attempt(statement.format(table))


@pytest.mark.parametrize(
    "columns",
    [
        {"net": "0"},
        {"kind": "'minimum'"},
        {"contract_id": "(select id from contracts where ref = 'c-dl')"},
        {"billing_period_id": "billing_period_id + 1"},
    ],
)
def test_an_adjustment_is_of_its_document_and_of_what_gave_it(coupons, columns):
    coupons.use(("u1", "UA", "N1", 100))
    coupons.bill()
    names = [
        "invoice_id", "position", "contract_id", "billing_period_id", "kind", "coupon_id", "contract_version_id",
        "description", "net", "tax_category", "tax_rate", "tax_evidence", "revenue_account", "service_starts_on",
        "service_ends_on", "trace",
    ]  # fmt: skip
    values = ", ".join(columns.get(name, "position + 100" if name == "position" else name) for name in names)

    with pytest.raises(IntegrityError):
        attempt(f"insert into invoice_adjustments ({', '.join(names)}) select {values} from invoice_adjustments")


def test_drafts_of_one_contract_are_taxed_one_after_the_other(coupons):
    coupons.use(("u1", "UA", "N1", 100))
    coupons.request()
    (invoice,) = coupons.bound.one("select array_agg(id) from invoices where account_id = 'ua'")

    with engine().begin() as first, engine().begin() as second:
        assert adjustments.terms_of(first, [invoice])[invoice].coupons
        second.execute(text("set local lock_timeout = '200ms'"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            adjustments.terms_of(second, [invoice])
        second.rollback()
