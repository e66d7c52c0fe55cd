"""What the application's role may change: nothing that is fixed once it is there, and nothing of an issued document."""

import pytest
from billing_bench import PRICES
from line_bench import REGISTER
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from workers.store import acting, billing_runs, master_kinds
from workers.store.acting import Named
from workers.store.database import engine
from workers.store.master_rows import Kind

KINDS = [each for each in vars(master_kinds).values() if isinstance(each, Kind)]
#: What may change beside the free columns of a kind: a version or mapping ends, and others answer for it.
ALSO_FREE = {
    ("contract_versions", "ends_at"), ("contract_versions", "superseded_at"), ("contract_versions", "owner"),
    ("entitlements", "ends_at"), ("entitlements", "superseded_at"),
    ("mappings", "ends_at"), ("mappings", "superseded_at"), ("mappings", "owner"),
    ("subscription_quantities", "superseded_at"), ("account_identities", "superseded_at"),
    ("tax_registrations", "superseded_at"), ("contract_renewals", "superseded_at"),
    ("subscription_phases", "superseded_at"), ("subscription_cancellations", "superseded_at"), ("contracts", "ends_at"),
    ("subscriptions", "terms_from"),
    ("account_tax_registrations", "superseded_at"), ("account_tax_exemptions", "superseded_at"),
    ("account_addresses", "superseded_at"), ("legal_entity_addresses", "superseded_at"),
    ("contract_coupons", "superseded_at"),
}  # fmt: skip
#: Steps write the rest of these.
DOCUMENT = {
    "state", "kind", "net", "tax", "gross", "pending", "series", "number", "number_text", "invoice_on", "posting_on",
}  # fmt: skip
TABLES = sorted(
    {each.table for each in KINDS}
    | {"contract_versions", "mappings", "source_users", "billing_overrides"}
    | {"subscription_quantities", "account_identities", "tax_registrations"}
    | {"account_tax_registrations", "account_tax_exemptions", "account_addresses", "legal_entity_addresses"}
    | {"contract_renewals", "subscription_phases", "subscription_cancellations"}
    | {"price_book_versions", "price_book_plans", "price_book_charges"}
    | {"credit_grants", "credit_entries"}
    | {"contract_coupons", "invoice_adjustments"}
)


def changeable(bound, table):
    found = bound.rows(
        """select attname from pg_attribute where attrelid = cast(:table as regclass) and attnum > 0
           and not attisdropped and has_column_privilege('tallyline_app', attrelid, attnum, 'update')""", table=table,
    )  # fmt: skip
    return {row[0] for row in found}


@pytest.mark.parametrize("table", TABLES)
def test_of_master_data_only_what_is_called_free_may_change(bound, table):
    free = {name for kind in KINDS if kind.table == table for name in kind.free}

    assert changeable(bound, table) == free | {name for each, name in ALSO_FREE if each == table}


def test_of_a_document_only_what_steps_write_may_change(bound):
    assert changeable(bound, "invoices") == DOCUMENT


def attempt(statement, **values):
    """Try it as the application, under a name; nothing of it stays."""
    with engine().connect() as conn:
        acting.name(conn, Named("eve", "to see whether it works"))
        conn.execute(text(statement), values)


@pytest.fixture
def books(bound):
    """Master data of one airline with prices and a tax rate."""
    with bound.owner.begin() as conn:
        conn.exec_driver_sql(REGISTER + PRICES)
        conn.exec_driver_sql("""insert into exclusion_rules (name, meter_id, conditions, reason)
          select 'tests', id, '[{"property": "tail", "op": "equals", "value": "test"}]', 'none' from meters
          on conflict do nothing;
          insert into dimensions (name) values ('tail') on conflict do nothing""")
    return bound


@pytest.mark.parametrize(
    "statement",
    [
        "update erp_connections set adapter = 'other'",
        "update legal_entities set currency = 'EUR'",
        "update legal_entities set zone = 'UTC'",
        "update legal_entities set jurisdiction = 'x'",
        "update accounts set id = 'other'",
        "update billing_cycles set zone = 'UTC'",
        "update contracts set currency = 'EUR'",
        "update contract_versions set starts_at = '2000-01-01'",
        "update contract_versions set recorded_by = 'other'",
        "update subscriptions set starts_at = '2000-01-01'",
        "update sources set name = 'other'",
        "update meters set name = 'other'",
        "update meter_versions set fields = '[]'",
        "update metrics set aggregation = 'count', property = null",
        "update metrics set dimensions = '{tail}'",
        "update exclusion_rules set conditions = '[1]'",
        "update exclusion_rules set starts_at = now()",
        "update exclusion_rules set meter_id = 2",
        "update mappings set subscription_id = 2",
        "update prices set terms = '{}'",
        "update tax_rates set rate = 0",
        "update dimensions set name = 'other'",
        "delete from prices",
        "delete from mappings",
        "delete from exclusion_rules",
        "delete from dimensions",
        "truncate prices",
        "update invoices set currency = 'EUR'",
        "update invoices set account_id = 'other'",
        "update invoices set service_ends_on = '2026-01-01'",
        "update invoice_lines set net = 0",
        "delete from invoices",
    ],
)
def test_what_is_fixed_is_refused_to_the_application(books, statement):
    with pytest.raises(ProgrammingError) as refused:
        attempt(statement)

    assert refused.value.orig.sqlstate == "42501"


@pytest.mark.parametrize(
    "statement",
    [
        """update erp_connections set settings = '{"folder": "x"}', per_second = 5, concurrency = 1""",
        "update legal_entities set name = 'Port', receivable_account = 'a', tax_account = 'b', tax_accounts = '{}'",
        "update accounts set name = 'United Air Lines'",
        "update subscriptions set ends_at = '2099-01-01'",
        "update sources set owner = 'operations', quota_per_hour = 7",
        "update meters set owner = 'operations'",
        "update meter_versions set owner = 'operations'",
        "update metrics set owner = 'operations'",
        "update dimensions set owner = 'product', meaning = 'which aircraft'",
        "update exclusion_rules set reason = 'another', ends_at = '2099-01-01'",
        "update contract_versions set owner = 'sales', ends_at = '2099-01-01', superseded_at = '2099-01-01'",
        "update mappings set owner = 'sales', ends_at = '2099-01-01', superseded_at = '2099-01-01'",
        "update tax_rates set ends_on = '2099-01-01'",
    ],
)
def test_what_is_free_may_change_under_a_name(books, statement):
    attempt(statement)


@pytest.mark.parametrize(
    "table", ["meters", "sources", "meter_versions", "metrics", "contract_versions", "mappings", "dimensions"]
)
@pytest.mark.parametrize("owner", [None, "", "x" * 256])
def test_each_has_an_owner(books, table, owner):
    with pytest.raises(IntegrityError):
        attempt(f"update {table} set owner = :owner", owner=owner)


@pytest.fixture
def document(month):
    """An invoice that is issued but not yet posted, by its number in the database."""
    month.use(("e1", "UA", "N1", 1000))
    run = month.request()
    with engine().begin() as conn:
        acting.name(conn, Named("bob", "agreed"))
        billing_runs.approve(conn, run, person="bob")
        billing_runs.press(conn, run)
    month.work("close")
    ((issued, state),) = month.bound.rows("select id, state from invoices where number is not null")
    assert state == "issued"
    return month, issued


CHANGES = [
    "net = net + 1, gross = gross + 1",
    "tax = tax + 1, gross = gross + 1",
    "number = number + 1",
    "number_text = 'X-1'",
    "series = 'other'",
    "number = null, number_text = null, series = null, state = 'void'",
    "invoice_on = invoice_on + 1",
    "posting_on = posting_on + 1",
    "kind = 'credit_note'",
]


def become(month, issued, state):
    """Bring the document to the state; what is void is not on its way to an ERP."""
    if state == "void":
        month.bound.run("update erp_postings set state = 'superseded'")
    month.bound.run("update invoices set state = :state where id = :id", state=state, id=issued)


@pytest.mark.parametrize("state", ["issued", "posted", "void"])
def test_a_document_that_has_a_number_never_changes(document, state):
    month, issued = document
    become(month, issued, state)

    for change in CHANGES:
        with pytest.raises(IntegrityError, match=r"never changes|cannot become"):
            attempt(f"update invoices set {change} where id = :id", id=issued)
    for change in ("currency = 'EUR'", "account_id = 'dl'", "service_ends_on = service_ends_on + 1"):
        with pytest.raises(IntegrityError, match="never changes"):
            month.bound.run(f"update invoices set {change} where id = :id", id=issued)
    attempt("update invoices set pending = pending where id = :id", id=issued)


@pytest.mark.parametrize(
    ("state", "others"),
    [
        ("issued", ["draft", "taxed", "empty", "approved"]),
        ("posted", ["draft", "taxed", "empty", "approved", "issued", "void"]),
        ("void", ["draft", "taxed", "empty", "approved", "issued", "posted"]),
    ],
)
def test_a_document_goes_only_forward(document, state, others):
    month, issued = document
    become(month, issued, state)

    for other in others:
        with pytest.raises(IntegrityError, match=f"cannot become {other} from {state}"):
            attempt("update invoices set state = :other where id = :id", other=other, id=issued)
