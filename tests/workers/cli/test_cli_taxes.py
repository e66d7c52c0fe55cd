"""Master data of taxes: rates with their reasons and parts, tax numbers and exemptions of accounts, addresses."""

import json

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from workers.store import acting
from workers.store.acting import Named
from workers.store.database import engine

IN_FORCE = "superseded_at = '9999-12-31 00:00:00+00'"


def rate(**fields):
    given = {"jurisdiction": "de", "category": "new", "from": "2026-01-01", "source": "law", **fields}
    return json.dumps({"tax_rates": [given]})


def account(**fields):
    return json.dumps({"accounts": {"A": fields}})


# ----------------------------------------------------------------------------------------------- rates
def test_a_rate_of_nothing_is_kept_with_its_reason(load):
    load.done(rate(rate="0", vat_category="E", exemption_code="VATEX-EU-132-1I", exemption_reason="schools"))

    assert load.operator.rows("""select rate, vat_category, exemption_code, exemption_reason from tax_rates
      where jurisdiction = 'de'""") == [(0, "E", "VATEX-EU-132-1I", "schools")]


def test_a_rate_that_is_made_of_parts_comes_to_all_of_them(load):
    parts = [{"name": "GST", "rate": "5"}, {"name": "QST", "rate": "9.975"}]

    load.done(rate(parts=parts, compound=True))

    # 5 + 9.975 x 1.05 = 15.47375
    assert load.operator.rows("select rate::text, parts, is_compound from tax_rates where jurisdiction = 'de'") == [
        ("15.47375", [["GST", "5"], ["QST", "9.975"]], True)
    ]
    assert load.done(rate(parts=parts, compound=True))["new"] == {}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "tax_rates[0]: has to have either a `rate` or the `parts` it is made of"),
        ({"rate": "5", "parts": [{"name": "a", "rate": "5"}]}, "has to have either a `rate` or the `parts`"),
        ({"rate": "5", "compound": True}, "tax_rates[0].compound: says how parts come together, and there are none"),
        ({"parts": [{"name": "a", "rate": "5"}] * 2}, "tax_rates[0].parts: names one tax twice"),
        ({"rate": "5", "vat_category": "E", "exemption_reason": "x"}, "vat_category: is E, and the rate is 5 %"),
        ({"rate": "0", "vat_category": "S"}, "tax_rates[0].vat_category: is S, and the rate is 0 %"),
        ({"rate": "0", "exemption_reason": "x"}, "tax_rates[0].vat_category: has no reason, and one is given"),
        ({"rate": "0", "vat_category": "Z", "exemption_code": "x"}, "vat_category: has no reason, and one is given"),
        ({"rate": "0", "vat_category": "E"}, "tax_rates[0].exemption_reason: is missing"),
        ({"rate": "0", "vat_category": "Q"}, "tax_rates[0].vat_category"),
        ({"rate": "1001"}, "tax_rates[0].rate"),
        ({"rate": "0.1234567890123456"}, "tax_rates[0].rate"),
        ({"parts": [{"name": str(n), "rate": "1"} for n in range(11)]}, "tax_rates[0].parts"),
    ],
)
def test_a_rate_that_contradicts_itself_is_refused(load, fields, says):
    assert says in load.refused(rate(**fields))
    assert load.operator.rows("select 1 from tax_rates where jurisdiction = 'de'") == []


@pytest.mark.parametrize(
    "values",
    ["5, 'E', null, 'x'", "0, 'S', null, null", "0, 'Z', null, 'x'", "0, null, 'x', null", "0, 'E', null, null"],
)
def test_the_database_refuses_it_as_well(load, values):
    statement = f"""insert into tax_rates (jurisdiction, category, starts_on, source, rate, vat_category,
      exemption_code, exemption_reason) values ('de', 'x', '2026-01-01', 'law', {values})"""

    with engine().connect() as conn:
        acting.name(conn, Named("eve", "to see whether it works"))
        with pytest.raises(IntegrityError):
            conn.execute(text(statement))


# ----------------------------------------------------------------------------------------------- numbers of accounts
def test_a_vat_id_of_an_account_is_checked_and_kept_without_its_country(load):
    load.done(account(tax_registrations=[{"country": "FR", "number": "FR 40 303 265 045", "from": "2020-01-01"}]))

    assert load.operator.rows("select account_id, country, number, is_checked from account_tax_registrations") == [
        ("A", "FR", "40303265045", True)
    ]


def test_a_wrong_vat_id_of_an_account_is_refused_with_its_field_and_fix(load):
    says = load.refused(account(tax_registrations=[{"country": "FR", "number": "FR40303265046", "from": "2020-01-01"}]))

    assert "accounts.A.tax_registrations[0].number: is no tax number of FR" in says
    assert "correct it: a digit may be wrong or missing" in says
    assert load.operator.rows("select 1 from account_tax_registrations") == []


# ----------------------------------------------------------------------------------------------- exemptions
MUSEUM = {"jurisdiction": "de", "reason": "museum", "certificate": "4711", "from": "2026-01-01", "to": "2027-01-01"}


def test_an_exemption_is_kept_with_its_days_and_its_certificate(load):
    load.done(account(tax_exemptions=[MUSEUM]))

    assert load.operator.rows(f"""select category, vat_category, exemption_reason, certificate, starts_on::text,
      ends_on::text from account_tax_exemptions where {IN_FORCE}""") == [
        ("*", "E", "museum", "4711", "2026-01-01", "2027-01-01")
    ]
    assert load.done(account(tax_exemptions=[MUSEUM]))["new"] == {}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"reason": None}, "has to have a `code` or a `reason`"),
        ({"vat_category": "Z"}, "has a reason, and a zero rate has none"),
        ({"certificate": ""}, "accounts.A.tax_exemptions[0].certificate"),
        ({"vat_category": "AE"}, "accounts.A.tax_exemptions[0].vat_category"),
        ({"to": "2026-01-01"}, "accounts.A.tax_exemptions[0].to"),
    ],
)
def test_an_exemption_that_proves_nothing_is_refused(load, fields, says):
    assert says in load.refused(account(tax_exemptions=[{**MUSEUM, **fields}]))


# ----------------------------------------------------------------------------------------------- addresses
def test_an_address_moves_from_a_day_on(load):
    old = {"line1": "Old Street 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}

    load.done(account(addresses=[old, {"line1": "New Street 2", "country": "DE", "from": "2026-03-01"}]))

    assert load.operator.rows(f"""select line1, city, starts_on::text, ends_on::text from account_addresses
      where {IN_FORCE} order by starts_on""") == [
        ("Old Street 1", "Berlin", "0001-01-01", "2026-03-01"),
        ("New Street 2", None, "2026-03-01", "9999-12-31"),
    ]


def test_an_address_without_a_country_is_refused(load):
    assert "accounts.A.addresses[0].country" in load.refused(account(addresses=[{"city": "Berlin"}]))


def test_addresses_and_tax_numbers_come_as_rows_too(load, tmp_path):
    for kind, content in (
        ("addresses", "account,line1,city,country\nA,Street 1,Paris,FR\n"),
        ("account_tax_registrations", "account,country,number,from\nA,FR,FR40303265045,2020-01-01\n"),
    ):
        file = tmp_path / f"{kind}.csv"
        file.write_text(content)
        assert load.operator("master", "import", file, "--kind", kind).code == 0

    assert load.operator.one("select city from account_addresses") == "Paris"
    assert load.operator.one("select number from account_tax_registrations") == "40303265045"


# ----------------------------------------------------------------------------------------------- contracts
def test_a_contract_keeps_what_its_prices_include(load):
    load.done(json.dumps({"contracts": {"C-1": {"payment_days": 30}}}))

    says = load.refused(json.dumps({"contracts": {"C-1": {"prices_include_tax": True}}}))

    assert "contracts.C-1.prices_include_tax: is kept as false" in says
    assert load.operator.rows("select prices_include_tax, payment_days from contracts") == [(False, 30)]
