"""How the lines of issued documents are taxed: by the parties' registrations, exemptions, and what prices include."""

from decimal import Decimal

import pytest
from billing_month import Month
from test_close_story import MARCH, by_hand

#: The airline DL is French, the port sells from Germany; both have VAT ids whose check digits are right.
EUROPE = """
update legal_entities set jurisdiction = 'DE' where id = 'pony';
insert into tax_rates (jurisdiction, category, rate, starts_on, source)
  values ('DE', 'standard', 19, '2013-01-01', 'UStG 12');
insert into tax_registrations (legal_entity_id, country, number, is_checked, starts_on, recorded_by)
  values ('pony', 'DE', '136695976', true, '2020-01-01', 'test');
insert into account_tax_registrations (account_id, country, number, is_checked, starts_on, recorded_by)
  values ('dl', 'FR', '40303265045', true, '2020-01-01', 'test');
"""
AMERICA = """
update legal_entities set jurisdiction = 'US-NY' where id = 'pony';
delete from tax_registrations; delete from account_tax_registrations; delete from account_tax_exemptions;
update contracts set prices_include_tax = false;
"""


@pytest.fixture
def europe(month: Month):
    month.bound.run(EUROPE)
    yield month
    month.bound.run(AMERICA)


def taxes(month: Month, account: str) -> list[tuple[object, ...]]:
    return [
        tuple(row)
        for row in month.bound.rows(
            """select t.vat_category, t.rate, t.net::text, t.tax::text, t.exemption_code from invoice_taxes t
               join invoices i on i.id = t.invoice_id where i.account_id = :account order by i.id, 1""",
            account=account,
        )
    ]


def evidence(month: Month, account: str) -> dict[str, object]:
    return dict(
        month.bound.one(
            """select l.tax_evidence from invoice_lines l join invoices i on i.id = l.invoice_id
               where i.account_id = :account order by l.id desc limit 1""",
            account=account,
        )
    )


def test_a_registered_airline_of_another_member_state_is_reverse_charged(europe):
    europe.use(*MARCH)

    run = europe.bill()

    net = by_hand(1, 500, 1)[0]
    assert europe.stage(run) == "closed"
    assert taxes(europe, "dl") == [("AE", 0, str(net), "0.00", "VATEX-EU-AE")]
    assert [(row[0], row[1]) for row in taxes(europe, "ua")] == [("S", 19)]


def test_the_evidence_of_a_reverse_charged_line_names_both_numbers_and_what_was_waived(europe):
    europe.use(*MARCH)
    europe.bill()

    found = evidence(europe, "dl")

    assert (found["because"], found["seller_number"], found["buyer_number"]) == (
        "reverse_charge", "DE136695976", "FR40303265045",
    )  # fmt: skip
    assert (found["percent"], found["waived_percent"], found["tax_point_on"]) == ("0", "19", "2026-03-31")


def test_the_receiver_of_a_document_is_the_buyer(europe):
    europe.bound.run("update accounts set bill_to_id = 'dl' where id = 'ua'")
    europe.use(*MARCH)

    europe.bill()

    assert [row[0] for row in taxes(europe, "dl")] == ["AE", "AE"]
    europe.bound.run("update accounts set bill_to_id = null")


def test_a_registration_that_ended_before_the_tax_point_counts_no_more(europe):
    europe.bound.run("update account_tax_registrations set ends_on = '2026-03-31'")
    europe.use(*MARCH)

    europe.bill()

    assert [(row[0], row[1]) for row in taxes(europe, "dl")] == [("S", 19)]


def test_an_exempt_airline_pays_no_tax_and_the_document_says_why(europe):
    europe.bound.run("""insert into account_tax_exemptions (account_id, jurisdiction, category, vat_category,
      exemption_reason, certificate, starts_on, recorded_by)
      values ('ua', 'DE', '*', 'E', 'international transport', 'certificate 7', '2026-01-01', 'test')""")
    europe.use(*MARCH)

    europe.bill()

    assert [(row[0], row[3]) for row in taxes(europe, "ua")] == [("E", "0.00")]
    assert evidence(europe, "ua")["certificate"] == "certificate 7"
    assert (
        europe.bound.one("""select exemption_reason from invoice_taxes t join invoices i on i.id = t.invoice_id
      where i.account_id = 'ua'""")
        == "international transport"
    )


def test_a_correction_keeps_the_treatment_of_its_month_whatever_was_learnt_since(europe):
    europe.use(*MARCH)
    europe.bill()
    europe.bound.run("update account_tax_registrations set superseded_at = now()")
    europe.use(("late", "DL", "N3", 500))

    europe.bill()

    # the flat fee and the aircraft were billed: 41.26 for the departure, 500 more miles at 0.02515 = 12.575 -> 12.58
    assert taxes(europe, "dl")[1] == ("AE", 0, "53.83", "0.00", "VATEX-EU-AE")


# ----------------------------------------------------------------------------------------------- prices with their tax
def test_prices_that_include_their_tax_come_to_what_was_asked_for(europe):
    europe.bound.run("update contracts set prices_include_tax = true")
    europe.use(*MARCH)

    run = europe.bill()

    asked = by_hand(3, 3000, 2)[0]
    (document,) = [row for row in europe.documents(run) if row[0] == "ua"]
    net, tax, gross = map(Decimal, document[4:])
    assert (gross, net + tax) == (asked, asked)
    # 663.70 x 19 / 119 = 105.9689...
    assert tax == Decimal("105.97")
    assert (
        europe.bound.one("""select sum(l.asked) from invoice_lines l join invoices i on i.id = l.invoice_id
      where i.account_id = 'ua'""")
        == asked
    )


def test_a_correction_of_prices_with_their_tax_bills_the_difference_of_what_was_asked(europe):
    europe.bound.run("update contracts set prices_include_tax = true")
    europe.use(*MARCH)
    europe.bill()
    europe.use(("late", "UA", "N1", 1400))

    europe.bill()

    gross = europe.bound.one("select sum(gross) from invoices where account_id = 'ua'")
    assert gross == by_hand(4, 4400, 2)[0]
    europe.assert_all_accounted_for()


# ----------------------------------------------------------------------------------------------- several taxes
def test_taxes_that_a_rate_is_made_of_are_kept_and_booked_one_by_one(europe):
    europe.bound.run("""delete from tax_rates where jurisdiction = 'DE';
      insert into tax_rates (jurisdiction, category, rate, starts_on, source, parts)
        values ('DE', 'standard', 14.975, '2013-01-01', 'test', '[["GST", "5"], ["QST", "9.975"]]');
      update legal_entities set tax_accounts = '{"QST": "liabilities:qst"}' where id = 'pony'""")
    europe.use(*MARCH)

    europe.bill()

    # 663.70 x 14.975 % = 99.389; 5 % = 33.185 and 9.975 % = 66.204, of which rounding up goes to the larger remainder
    assert europe.bound.one("""select t.parts from invoice_taxes t join invoices i on i.id = t.invoice_id
      where i.account_id = 'ua'""") == [["GST", "33.19"], ["QST", "66.20"]]
    assert europe.bound.one("""select sum(amount) from postings p join journal_entries e on e.id = p.journal_entry_id
      join invoices i on i.id = e.invoice_id where ledger_account = 'liabilities:qst' and i.account_id = 'ua'""") == (
        Decimal("-66.20")
    )
    europe.bound.run("update legal_entities set tax_accounts = '{}'")
