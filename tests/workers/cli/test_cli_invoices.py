"""Issued documents as electronic invoices: by the schemas of UBL 2.1 and the rules that CEN publishes for EN 16931."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from billing_month import Month
from operator_bench import Operator
from published_rules import published
from test_close_story import MARCH

from workers.store import master
from workers.store.database import engine

#: What invoices say beside their lines: addresses, numbers for taxes, and until when they are due.
PARTIES = """
update legal_entities set jurisdiction = 'DE', payment_days = 30 where id = 'pony';
insert into tax_rates (jurisdiction, category, rate, starts_on, source)
  values ('DE', 'standard', 19, '2013-01-01', 'UStG 12');
insert into tax_registrations (legal_entity_id, country, number, is_checked, starts_on, recorded_by)
  values ('pony', 'DE', '136695976', true, '2020-01-01', 'test');
insert into account_tax_registrations (account_id, country, number, is_checked, starts_on, recorded_by)
  values ('dl', 'FR', '40303265045', true, '2020-01-01', 'test');
insert into legal_entity_addresses (legal_entity_id, line1, city, postal_code, country, starts_on, recorded_by)
  values ('pony', 'Kai 1', 'Hamburg', '20457', 'DE', '2020-01-01', 'test');
insert into account_addresses (account_id, line1, city, postal_code, country, starts_on, recorded_by)
  values ('ua', 'Strasse 2', 'Berlin', '10115', 'DE', '2020-01-01', 'test'),
    ('dl', 'Rue 3', 'Paris', '75001', 'FR', '2020-01-01', 'test')
"""
FORGET = """
update legal_entities set jurisdiction = 'US-NY', payment_days = null where id = 'pony';
update contracts set payment_days = null;
update accounts set bill_to_id = null;
delete from tax_registrations; delete from account_tax_registrations; delete from legal_entity_addresses;
delete from account_addresses; delete from account_tax_exemptions;
set local session_replication_role = replica; delete from credit_entries; delete from credit_grants
"""
URN = "{urn:oasis:names:specification:ubl:schema:xsd:Common"


@pytest.fixture
def known(month: Month):
    """Two airlines, one at home and one in another member state, of whom all is known that invoices say."""
    month.bound.run(FORGET)
    month.bound.run(PARTIES)
    yield month
    month.bound.run(FORGET)


@pytest.fixture
def billed(known: Month):
    """March is billed to both."""
    known.use(*MARCH)
    known.bill()
    return known


@pytest.fixture
def operator(month: Month):
    operator = Operator(month.bound.url)
    yield operator
    operator.owner.dispose()


def xml(operator: Operator, number: str) -> bytes:
    ran = operator("invoices", "xml", number)
    assert ran.code == 0, ran.err
    return ran.out.encode()


def number_of(month: Month, account: str, nth: int = 0) -> str:
    return month.bound.rows("select number_text from invoices where account_id = :id order by id", id=account)[nth][0]


def said(content: bytes, *names: str) -> list[str | None]:
    """The texts of all elements of the last name that lie below the others."""
    found = [ET.fromstring(content)]
    for name in names:
        found = [each for one in found for each in one.iter() if each.tag.partition("Components-2}")[2] == name]
    return [each.text for each in found]


def assert_right(content: bytes) -> None:
    verdict = published().of(content)
    assert (verdict.schema, verdict.broken) == ([], set())
    assert verdict.is_right


# ----------------------------------------------------------------------------------------------- one document
def test_an_invoice_keeps_the_published_rules_and_says_the_totals_of_the_ledger(billed, operator):
    content = xml(operator, number_of(billed, "ua"))

    assert_right(content)
    # 3 departures, 3,000 miles and 2 aircraft are 663.70; 19 % of it is 126.103
    assert said(content, "TaxInclusiveAmount") == ["789.80"]
    assert said(content, "TaxTotal", "TaxAmount")[0] == "126.10"
    assert said(content, "DueDate") == ["2026-05-01"]


def test_a_reverse_charged_invoice_keeps_the_published_rules(billed, operator):
    content = xml(operator, number_of(billed, "dl"))

    assert_right(content)
    assert said(content, "TaxSubtotal", "TaxExemptionReasonCode") == ["VATEX-EU-AE"]
    assert said(content, "AccountingCustomerParty", "CompanyID") == ["FR40303265045"]


def test_a_credit_note_keeps_them_and_names_the_invoice_it_corrects(billed, operator):
    first = number_of(billed, "ua")
    billed.bound.run('update prices set terms = \'{"model": "per_unit", "unit_amount": "0.01"}\'')
    billed.use(("late", "UA", "N1", 1))

    billed.bill()

    content = xml(operator, number_of(billed, "ua", 1))
    assert_right(content)
    assert said(content, "CreditNoteTypeCode") == ["381"]
    assert said(content, "BillingReference", "ID") == [first]
    assert all(not text.startswith("-") for text in said(content, "PayableAmount"))


def test_the_receiver_is_the_buyer_and_whose_usage_it_is_is_said_apart(known, operator):
    known.bound.run("update accounts set bill_to_id = 'ua' where id = 'dl'")
    known.use(*MARCH)
    known.bill()

    contents = [xml(operator, number_of(known, "ua", nth)) for nth in (0, 1)]

    assert sorted(said(each, "DeliveryParty", "Name") for each in contents) == [[], ["Delta, Inc."]]
    for each in contents:
        assert_right(each)
        assert said(each, "AccountingCustomerParty", "RegistrationName") == ["United"]


def test_the_same_document_is_the_same_bytes_and_a_file_holds_them(billed, operator, tmp_path):
    number = number_of(billed, "ua")
    out = tmp_path / "invoice.xml"

    assert operator("invoices", "xml", number, "--out", out).code == 0

    assert out.read_bytes() == xml(operator, number)
    assert [path.name for path in tmp_path.glob("*invoice.xml*")] == ["invoice.xml"]


def test_the_terms_of_the_contract_go_before_those_of_the_legal_entity(billed, operator):
    billed.bound.run("update contracts set payment_days = 10 where ref = 'c-ua'")

    assert said(xml(operator, number_of(billed, "ua")), "DueDate") == ["2026-04-11"]


def test_what_credits_have_paid_is_taken_off(known, operator):
    known.bound.run("""insert into credit_grants (account_id, legal_entity_id, currency, amount, valid_from, reason,
        recorded_by) values ('ua', 'pony', 'USD', 100, '2026-01-01', 'paid ahead', 'ann');
      insert into credit_entries (grant_id, kind, amount, at)
        select id, 'granted', 100, '2026-01-01' from credit_grants""")
    known.use(*MARCH)
    known.bill()

    content = xml(operator, number_of(known, "ua"))

    assert_right(content)
    assert said(content, "PrepaidAmount") + said(content, "PayableAmount") == ["100.00", "689.80"]


@pytest.fixture
def coupon(known: Month, tmp_path: Path):
    """Publish that United has ten percent off."""
    file = tmp_path / "coupons.yaml"
    file.write_text("""coupons: {ten: {title: Ten percent, percent: '10'}}
contracts: {c-ua: {coupons: [{coupon: ten, from: 2026-01-01}]}}""")
    known.bound.run("truncate coupons cascade")
    master.load(engine(), file, person="ann")
    yield known
    known.bound.run("truncate coupons cascade; update contracts set prices_include_tax = false")


@pytest.mark.parametrize("includes_tax", [False, True])
def test_what_a_coupon_gives_is_an_allowance_of_the_document(coupon, operator, includes_tax):
    coupon.bound.run("update contracts set prices_include_tax = :includes", includes=includes_tax)
    coupon.use(*MARCH)
    coupon.bill()

    content = xml(operator, number_of(coupon, "ua"))

    assert_right(content)
    assert set(said(content, "AllowanceCharge", "ChargeIndicator")) == {"false"}
    assert set(said(content, "AllowanceCharge", "AllowanceChargeReason")) == {"Ten percent"}
    net, gross = coupon.bound.rows("select net::text, gross::text from invoices where account_id = 'ua'")[0]
    assert said(content, "TaxExclusiveAmount") + said(content, "TaxInclusiveAmount") == [net, gross]
    # 10 % of 663.70 is 66.37, and of 663.70 without the 105.97 that are tax 55.77
    assert said(content, "AllowanceTotalAmount") == ["55.77" if includes_tax else "66.37"]


# ----------------------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("delete from legal_entity_addresses", "legal_entities.pony.addresses"),
        ("delete from account_addresses", "accounts.ua.addresses"),
        ("update account_addresses set starts_on = '2026-04-02'", "accounts.ua.addresses"),
        ("update account_addresses set superseded_at = now()", "accounts.ua.addresses"),
        ("update legal_entities set payment_days = null", "payment_days of the contract or of legal_entities.pony"),
        ("delete from tax_registrations", "legal_entities.pony.tax_registrations"),
    ],
)
def test_what_has_to_be_loaded_first_is_named(billed, operator, change, says):
    billed.bound.run(change)

    ran = operator("invoices", "xml", number_of(billed, "ua"))

    assert (ran.code, ran.out) == (1, "")
    assert says in " ".join(ran.err.split())
    assert "tallyline master load" in " ".join(ran.err.split())


def test_a_number_that_is_not_there_is_told_as_such(billed, operator):
    ran = operator("invoices", "xml", "PONY-999999")

    assert ran.code == 2
    assert "there is no issued document 'PONY-999999'" in ran.err


def test_a_void_document_is_not_written(billed, operator):
    number = number_of(billed, "ua")
    billed.bound.run("""set local session_replication_role = replica;
      update invoices set state = 'void' where account_id = 'ua'""")

    assert operator("invoices", "xml", number).code == 2


def test_a_number_of_two_companies_asks_for_one(billed, operator):
    number = number_of(billed, "ua")
    billed.bound.run("""set local session_replication_role = replica;
      insert into legal_entities select 'other', name, currency, zone, jurisdiction, connection_id from legal_entities;
      update invoices set legal_entity_id = 'other', number_text = (select number_text from invoices
        where account_id = 'ua') where account_id = 'dl'""")

    ran = operator("invoices", "xml", number)

    assert (ran.code, "--entity" in ran.err) == (2, True)
    assert operator("invoices", "xml", number, "--entity", "pony").code == 0
    billed.bound.run("""set local session_replication_role = replica;
      update invoices set legal_entity_id = 'pony', number_text = 'PONY-2' where legal_entity_id = 'other';
      delete from legal_entities where id = 'other'""")


def test_a_file_that_cannot_be_written_is_told(billed, operator, tmp_path):
    ran = operator("invoices", "xml", number_of(billed, "ua"), "--out", tmp_path / "no" / "invoice.xml")

    assert (ran.code, "cannot be written" in ran.err) == (2, True)


# ----------------------------------------------------------------------------------------------- a whole period
def test_a_period_is_written_as_a_file_for_each_document_and_again_the_same(billed, operator, tmp_path):
    out = tmp_path / "march"

    done = operator("invoices", "export", "pony", "2026-03", "--out", out, "--json")

    assert done.code == 0, done.err
    assert json.loads(done.out) == {"folder": str(out), "written": 2, "refused": []}
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(first) == sorted(f"{number_of(billed, each)}.xml" for each in ("ua", "dl"))
    for content in first.values():
        assert_right(content)
    assert "2 documents are in" in operator("invoices", "export", "pony", "2026-03", "--out", out).out
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_one_that_cannot_be_written_keeps_no_other_back(billed, operator, tmp_path):
    billed.bound.run("delete from account_addresses where account_id = 'dl'")
    words = ("invoices", "export", "pony", "2026-03", "--out", tmp_path / "march")

    ran = operator(*words)
    told = operator(*words, "--json")

    assert (ran.code, told.code) == (1, 1)
    assert "1 documents are in" in ran.out
    assert "1 einvoice_incomplete" in ran.out
    assert [(each["document"], each["code"]) for each in told.json["refused"]] == [
        (number_of(billed, "dl"), "einvoice_incomplete")
    ]
    assert [path.name for path in (tmp_path / "march").iterdir()] == [f"{number_of(billed, 'ua')}.xml"]


def test_a_folder_that_cannot_be_made_is_told(billed, operator, tmp_path):
    Path(tmp_path, "file").write_text("")

    ran = operator("invoices", "export", "pony", "2026-03", "--out", tmp_path / "file" / "march")

    assert (ran.code, "cannot be made" in ran.err) == (2, True)


def test_more_documents_than_one_portion_are_all_written(billed, operator, tmp_path, monkeypatch):
    monkeypatch.setattr("workers.store.einvoices.PORTION", 1)

    assert operator.json("invoices", "export", "pony", "2026-03", "--out", tmp_path)["written"] == 2
