"""Accounts with their families, receivers and names elsewhere, products, and tax numbers of legal entities."""

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from workers.store import acting
from workers.store.acting import Named
from workers.store.database import engine

NAMES = """select system, identifier, kind, account_id, starts_on::text, ends_on::text from account_identities
  where superseded_at = '9999-12-31 00:00:00+00' order by system, identifier, starts_on"""


def accounts(**of):
    return "accounts:\n" + "".join(f"  {name}: {what}\n" for name, what in of.items())


def attempt(*statements):
    """Try it as the application, under a name; nothing of it stays."""
    with engine().connect() as conn:
        acting.name(conn, Named("eve", "to see whether it works"))
        for statement in statements:
            conn.execute(text(statement))


# ----------------------------------------------------------------------------------------------- identities
CRM = "{system: crm, kind: crm_account, identifier: '0017'}"


def test_an_account_has_a_name_in_each_system(load):
    done = load.done(
        accounts(A="{identities: [" + CRM + ", {system: erp, kind: erp_debtor, identifier: D100, from: 2026-02-01}]}")
    )

    assert done["new"] == {"account_identities": 2}
    assert load.operator.rows(NAMES) == [
        ("crm", "0017", "crm_account", "A", "0001-01-01", "9999-12-31"),
        ("erp", "D100", "erp_debtor", "A", "2026-02-01", "9999-12-31"),
    ]


def test_the_same_names_twice_change_nothing(load):
    load.done(accounts(A="{identities: [" + CRM + "]}"))

    again = load.done(accounts(A="{identities: [" + CRM + "]}"))

    assert (again["new"], again["changed"]) == ({}, {})


def test_a_name_that_moves_to_another_account_is_that_of_the_former_until_then(load):
    load.done(accounts(A="{identities: [" + CRM + "]}"))

    load.done(accounts(B="{identities: [" + CRM.replace("}", ", from: 2026-05-01}") + "]}"))

    assert [(row[3], row[4], row[5]) for row in load.operator.rows(NAMES)] == [
        ("A", "0001-01-01", "2026-05-01"),
        ("B", "2026-05-01", "9999-12-31"),
    ]


def test_one_name_of_two_accounts_at_once_is_refused(load):
    says = load.refused(accounts(A="{identities: [" + CRM + "]}", B="{identities: [" + CRM + "]}"))

    assert "accounts.B.identities[0].from: starts before the entry from 0001-01-01 has ended" in says
    assert load.operator.rows(NAMES) == []


def test_the_database_refuses_one_name_of_two_accounts_at_once(load):
    load.done(accounts(A="{identities: [" + CRM + "]}"))

    with pytest.raises(IntegrityError):
        attempt("""insert into account_identities (system, identifier, kind, account_id, starts_on, recorded_by)
          values ('crm', '0017', 'tenant', 'B', '2026-01-01', 'eve')""")


# ----------------------------------------------------------------------------------------------- families
def test_what_a_file_leaves_out_of_an_account_stays(load):
    load.done(accounts(A="{name: Alpha, parent: B, bill_to: C}"))

    load.done(accounts(A="{name: Alpha Inc}"))

    assert load.operator.rows("select name, parent_id, bill_to_id from accounts where id = 'A'") == [
        ("Alpha Inc", "B", "C")
    ]


def test_a_parent_and_a_receiver_are_taken_away_by_null(load):
    load.done(accounts(A="{parent: B, bill_to: C}"))

    load.done(accounts(A="{parent: null, bill_to: null}"))

    assert load.operator.rows("select parent_id, bill_to_id from accounts where id = 'A'") == [(None, None)]


def test_a_family_may_come_in_one_file_in_any_order(load):
    load.done(accounts(D="{name: Child, parent: E}", E="{name: Parent, parent: F}", F="{name: Top}"))

    assert load.operator.one("select parent_id from accounts where id = 'E'") == "F"


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ({"D": "{parent: A}"}, "accounts.D.name: is missing of an account that is new; add it"),
        ({"A": "{parent: Z}"}, "accounts.A.parent: there is no account 'Z'"),
        ({"A": "{bill_to: Z}"}, "accounts.A.bill_to: there is no account 'Z'"),
        ({"A": "{parent: A}"}, "accounts.A.parent: would be above itself"),
        ({"A": "{parent: B}", "B": "{parent: C}", "C": "{parent: A}"}, "accounts.C.parent: would be above itself"),
        ({"A": "{bill_to: A}"}, "accounts.A.bill_to: its documents would go on from their receiver"),
        ({"A": "{bill_to: B}", "B": "{bill_to: C}"}, "accounts.A.bill_to: its documents would go on"),
    ],
)
def test_families_and_receivers_that_cannot_be_are_refused(load, of, says):
    assert says in load.refused(accounts(**of))


def test_a_circle_is_seen_across_files(load):
    load.done(accounts(A="{parent: B}", B="{parent: C}"))

    assert "accounts.C.parent: would be above itself" in load.refused(accounts(C="{parent: A}"))


def test_a_receiver_is_seen_across_files(load):
    load.done(accounts(A="{bill_to: B}"))

    assert "its documents would go on" in load.refused(accounts(B="{bill_to: C}"))
    assert "its documents would go on" in load.refused(accounts(C="{bill_to: A}"))


def test_a_family_is_at_most_32_accounts_high(load):
    chain = {f"T{n}": f"{{name: T, parent: T{n + 1}}}" for n in range(33)} | {"T33": "{name: Top}"}

    assert "accounts.T0.parent: has more than 32 accounts above it" in load.refused(accounts(**chain))


def test_the_database_refuses_a_circle_a_high_family_and_a_chain_of_receivers(load):
    chain = [f"insert into accounts (id, name, parent_id) values ('T{n}', 'T', 'T{n - 1}')" for n in range(1, 34)]
    for statements in (
        ["update accounts set parent_id = 'B' where id = 'A'", "update accounts set parent_id = 'A' where id = 'B'"],
        ["update accounts set parent_id = id where id = 'A'"],
        ["insert into accounts (id, name) values ('T0', 'T')", *chain],
        ["update accounts set bill_to_id = 'B' where id = 'A'", "update accounts set bill_to_id = 'C' where id = 'B'"],
        ["update accounts set bill_to_id = 'B' where id = 'A'", "update accounts set bill_to_id = 'A' where id = 'C'"],
        ["update accounts set bill_to_id = id where id = 'A'"],
    ):
        with pytest.raises(IntegrityError):
            attempt(*statements)


def test_of_two_halves_of_a_circle_at_the_same_time_one_is_refused(load):
    refused = []
    barrier = threading.Barrier(2)

    def put(child, parent):
        with engine().connect() as conn:
            acting.name(conn, Named(child, "at once"))
            barrier.wait(10)
            try:
                conn.execute(text(f"update accounts set parent_id = '{parent}' where id = '{child}'"))
                conn.commit()
            except IntegrityError:
                refused.append(child)

    threads = [threading.Thread(target=put, args=pair) for pair in (("A", "B"), ("B", "A"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(refused) == 1
    assert load.operator.one("select count(*) from accounts where parent_id is not null") == 1


# ----------------------------------------------------------------------------------------------- products
def test_a_metric_belongs_to_a_product(load):
    content = "products:\n  voice: {name: Voice}\nmetrics:\n  calls: {meter: call.ended, aggregation: count, unit: call"

    done = load.done(content + ", product: voice}")
    load.done(content + "}")

    assert (done["new"], done["changed"]) == ({"products": 1}, {"metrics": 1})
    assert load.operator.one("select product_id from metrics where name = 'calls'") == "voice"

    load.done(content + ", product: null}")

    assert load.operator.one("select product_id from metrics where name = 'calls'") is None


def test_a_fee_belongs_to_a_product(load):
    load.done(
        "products:\n  voice: {name: Voice}\nmetrics:\n  fee: {aggregation: subscribed, unit: month, product: voice}"
    )

    assert load.operator.one("select product_id from metrics where name = 'fee'") == "voice"


def test_a_product_that_is_not_there_is_refused(load):
    says = load.refused("metrics:\n  calls: {meter: call.ended, aggregation: count, unit: call, product: fax}")

    assert "metrics.calls.product: there is no product 'fax'" in says


# ----------------------------------------------------------------------------------------------- tax numbers
def entity(*registrations):
    return (
        "legal_entities:\n  us:\n    {name: Us, currency: USD, zone: America/New_York, jurisdiction: us-ny, "
        f"connection: books, tax_registrations: [{', '.join(registrations)}]}}\n"
    )


#: Numbers that their countries publish as examples, or of public companies, and how they are kept.
@pytest.mark.parametrize(
    ("country", "number", "kept", "is_checked"),
    [
        ("DE", "DE 136,695 976", "136695976", True),
        ("GB", "GB 980 7806 84", "980780684", True),
        ("FR", "FR 40 303 265 045", "40303265045", True),
        ("US", "04-2103594", "042103594", True),
        ("QQ", "anything 1", "anything 1", False),
    ],
)
def test_a_tax_number_is_checked_where_its_country_is_known(load, country, number, kept, is_checked):
    load.done(entity(f"{{country: {country}, number: '{number}', from: 2020-01-01}}"))

    assert load.operator.rows("select country, number, is_checked, starts_on::text from tax_registrations") == [
        (country, kept, is_checked, "2020-01-01")
    ]


def test_a_tax_number_with_a_wrong_digit_is_refused(load):
    says = load.refused(entity("{country: DE, number: DE136695977, from: 2020-01-01}"))

    assert "legal_entities.us.tax_registrations[0].number: is no tax number of DE" in says
    assert "a digit may be wrong" in says
    assert load.operator.rows("select 1 from tax_registrations") == []


def test_a_registration_changes_from_a_day_on_and_is_kept_as_it_was_before(load):
    first = "{country: DE, number: DE136695976, from: 2020-01-01}"
    load.done(entity(first))

    load.done(entity(first, "{country: DE, number: DE129273398, from: 2026-01-01}"))

    found = load.operator.rows("""select number, starts_on::text, ends_on::text from tax_registrations
      where superseded_at = '9999-12-31 00:00:00+00' order by starts_on""")
    assert found == [("136695976", "2020-01-01", "2026-01-01"), ("129273398", "2026-01-01", "9999-12-31")]
