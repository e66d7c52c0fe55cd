"""Rows of master data from CSV and YAML: good rows go in together, each refused one is told with row, field and fix."""

import csv
import json

import pytest
from two_people import begin

ACCOUNTS = """id,name,parent,bill_to
D,Delta,,
E,Echo,D,
F,,D,
G,Golf,Z,
H,Hotel,G,
,Nobody,,
"""


@pytest.fixture
def imported(load):
    """Imports a file of that content; what the command prints as JSON, with its exit code."""

    def run(content, *words, name="rows.csv"):
        ran = load.operator("master", "import", load.file(content, name), *words, "--json")
        return {**json.loads(ran.out or ran.err), "code": ran.code}

    return run


def refusals(done):
    return {each["row"]: (each["field"], each["reason"]) for each in done["refused"]}


def test_good_rows_go_in_and_each_refused_one_is_told(imported, load):
    done = imported(ACCOUNTS, "--kind", "accounts")

    assert (done["code"], done["good"], done["new"]) == (1, 2, {"accounts": 2})
    assert refusals(done) == {
        4: ("name", "is missing of an account that is new"),
        5: ("parent", "there is no account 'Z'"),
        6: ("parent", "there is no account 'G'"),
        7: ("id", "is empty"),
    }
    assert all(each["fix"] for each in done["refused"])
    found = load.operator.rows("select id, parent_id from accounts where id >= 'D' order by id")
    assert found == [("D", None), ("E", "D")]


def test_without_a_refused_row_it_ends_well_and_again_changes_nothing(imported):
    first = imported("id,name\nD,Delta\n", "--kind", "accounts")
    again = imported("id,name\nD,Delta\n", "--kind", "accounts")

    assert (first["code"], first["refused"], first["new"]) == (0, [], {"accounts": 1})
    assert (again["code"], again["new"], again["changed"], again["same"]) == (0, {}, {}, {"accounts": 1})


def test_an_empty_cell_says_nothing(imported, load):
    imported("id,name,parent\nA,Alpha,B\n", "--kind", "accounts")

    imported("id,name,parent\nA,Alpha Inc,\n", "--kind", "accounts")

    assert load.operator.rows("select name, parent_id from accounts where id = 'A'") == [("Alpha Inc", "B")]


def test_the_report_holds_every_refused_row(imported, load):
    report = load.folder / "refused.csv"

    imported(ACCOUNTS, "--kind", "accounts", "--report", report)

    with report.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["row"] for row in rows] == ["4", "5", "6", "7"]
    assert rows[1] == {
        "row": "5", "field": "parent", "reason": "there is no account 'Z'",
        "fix": "correct the name, or add the account",
    }  # fmt: skip


def test_a_report_that_cannot_be_written_is_said_before_anything_is_imported(imported, load):
    done = imported(ACCOUNTS, "--kind", "accounts", "--report", load.folder / "no" / "refused.csv")

    assert (done["code"], "cannot be written" in done["error"]) == (2, True)
    assert load.operator.rows("select 1 from accounts where id = 'D'") == []


def test_a_check_imports_nothing(imported, load):
    done = imported(ACCOUNTS, "--kind", "accounts", "--check")

    assert (done["code"], done["good"], len(done["refused"]), "new" in done) == (1, 2, 4, False)
    assert load.operator.rows("select 1 from accounts where id = 'D'") == []


def test_people_are_shown_a_table_and_the_totals(load):
    ran = load.operator("master", "import", load.file(ACCOUNTS, "rows.csv"), "--kind", "accounts")

    words = " ".join(ran.out.split())
    assert ran.code == 1
    assert "there is no account 'Z'" in words
    assert "2 rows are in, 4 are refused" in words


def test_a_table_shows_the_first_refused_rows_and_says_how_many_more_there_are(load):
    rows = "id,name\n" + "".join(f"X{n},\n" for n in range(60))

    ran = load.operator("master", "import", load.file(rows, "rows.csv"), "--kind", "accounts")

    assert "and 10 more: --report FILE writes them all" in ran.out


@pytest.mark.parametrize(
    ("kind", "content", "table", "count"),
    [
        ("identities", "account,system,kind,identifier,from,to\nA,crm,tenant,1,,\nB,crm,tenant,2,2026-01-01,\n",
         "account_identities", 2),
        ("products", "id,name\nvoice,Voice\n", "products", 1),
        ("contracts", "id,account,legal_entity,currency\nC-2,B,us,USD\n", "contracts", 1),
        ("tax_registrations", "legal_entity,country,number,from\nus,DE,DE136695976,2026-01-01\n",
         "tax_registrations", 1),
        ("subscriptions", "id,contract,cycle,from\nS-2,C-1,us/month,2026-02-01\n", "subscriptions", 1),
        ("quantities", "subscription,item,quantity,from\nS-1,seats,10,2026-01-01\nS-1,seats,12.5,2026-03-01\n",
         "subscription_quantities", 2),
        ("mappings", "source,subject,subscription\n/phones,k2,S-1\n", "mappings", 1),
        ("tax_rates", "jurisdiction,category,rate,from,source\nus-nj,service,6.625,2026-01-01,the state\n",
         "tax_rates", 1),
    ],
)  # fmt: skip
def test_each_kind_of_rows_goes_in(imported, kind, content, table, count):
    done = imported(content, "--kind", kind)

    assert (done["code"], done["new"]) == (0, {table: count}), done["refused"]


@pytest.mark.parametrize(
    ("kind", "content", "refused"),
    [
        ("identities", "account,system,kind,identifier\nZ,crm,crm_account,1\n", (2, "accounts.Z.name", "is missing")),
        ("identities", "account,system,kind,identifier\nA,crm,x,1\nB,crm,x,1\n", (3, "from", "starts before")),
        ("quantities", "subscription,item,quantity,from\nS-1,seats,-1,2026-01-01\n", (2, "quantity", "greater than")),
        ("quantities", "subscription,item,quantity,from\nS-1,seats,1,soon\n", (2, "from", "is no date")),
        ("quantities", "subscription,item,quantity,from\nS-9,seats,1,2026-01-01\n",
         (2, "subscriptions.S-9.contract", "is missing")),
        ("mappings", "source,subject,subscription\n/faxes,k2,S-1\n", (2, "source", "there is no source '/faxes'")),
        ("mappings", "source,subject,subscription\n/phones,k1,S-1\n/phones,k3,S-9\n", (3, "subscription", "there")),
        ("contracts", "id,account,legal_entity,currency\nC-1,B,us,USD\n", (2, "account", "is kept as A")),
        ("accounts", "id,name\nD,Delta\nD,Delta again\n", (3, "id", "says anew what row 2 says")),
        ("accounts", "id,name\nD,Delta,x\n", (2, "", "has 3 cells under 2 headings")),
        ("accounts", 'id,name\nD,"De\nlta"\n', (2, "", "holds control characters or line breaks")),
        ("accounts", f"id,name\n{'D' * 65},Delta\n", (2, "id", "at most 64")),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row_is_told_at_its_column(imported, kind, content, refused):
    row, field, reason = refused

    done = imported(content, "--kind", kind)

    assert done["code"] == 1
    assert (list(refusals(done)), refusals(done)[row][0]) == ([row], field)
    assert reason in refusals(done)[row][1]


def test_columns_may_be_separated_by_semicolons_and_the_file_may_begin_with_a_mark(imported):
    done = imported("\ufeffid;name\nD;Delta, Inc.\n\n", "--kind", "accounts")

    assert (done["code"], done["new"]) == (0, {"accounts": 1})


@pytest.mark.parametrize(
    ("content", "words", "says"),
    [
        ("id,nmae\nD,Delta\n", ["--kind", "accounts"], "has a column 'nmae'"),
        ("id,name,name\nD,Delta,x\n", ["--kind", "accounts"], "has a column twice"),
        ("name\nDelta\n", ["--kind", "accounts"], "has no column id"),
        ("", ["--kind", "accounts"], "has a column of no name"),
        ('id,name\nD,"Delta\n', ["--kind", "accounts"], "is no CSV"),
        ("id,name\nD,Delta\n", [], "does not say what its rows are"),
        ("id,name\nD,Delta\n", ["--kind", "airlines"], "does not say what its rows are"),
    ],
)
def test_a_file_that_is_no_table_of_the_kind_is_refused_as_a_whole(imported, content, words, says):
    done = imported(content, *words)

    assert done["code"] == 2
    assert says in done["error"]
    assert done["fix"]


def test_a_table_that_is_no_text_or_too_large_is_refused_as_a_whole(load, monkeypatch):
    file = load.folder / "rows.csv"
    file.write_bytes(b"id,name\nD,\xff\n")
    no_text = load.operator("master", "import", file, "--kind", "accounts")
    monkeypatch.setattr("workers.store.master_tables.FILE_BYTES_MAX", 10)
    too_large = load.operator("master", "import", file, "--kind", "accounts")

    assert (no_text.code, too_large.code) == (2, 2)
    assert "is not UTF-8 at byte 10" in no_text.err
    assert "has more than 10 bytes" in " ".join(too_large.err.split())


# ----------------------------------------------------------------------------------------------- the usual form
MIXED = """
accounts:
  D: {name: Delta}
  E: {nam: Echo}
contracts:
  C-2: {account: D, legal_entity: us, currency: USD}
  C-3:
    account: E
    legal_entity: us
    currency: USD
subscriptions:
  S-2: {contract: C-2, cycle: us/month}
  S-3: {contract: C-3, cycle: us/month}
mappings:
  - {source: /phones, subject: k2, subscription: S-2}
  - {source: /phones, subject: k3, subscription: S-3}
  - {source: /phones, subject: k4, subscription: S-1}
"""


def test_of_a_yaml_file_each_entry_is_a_row_and_what_rests_on_a_refused_one_is_refused(imported, load):
    done = imported(MIXED, name="mixed.yaml")

    assert done["code"] == 1
    assert refusals(done) == {
        4: ("nam", "is not known here"),
        7: ("account", "there is no account 'E'"),
        13: ("contract", "there is no contract 'C-3'"),
        16: ("subscription", "there is no subscription 'S-3'"),
    }
    assert done["new"] == {"accounts": 1, "contracts": 1, "subscriptions": 1, "mappings": 2}


def test_sections_that_are_none_are_refused_and_the_others_go_in(imported):
    done = imported("accounts: {D: {name: Delta}}\nacounts: {E: {name: Echo}}\nmappings: 7\n", name="odd.yaml")

    assert done["new"] == {"accounts": 1}
    assert list(refusals(done)) == [2, 3]


def test_a_kind_goes_with_a_table_only(imported):
    assert "--kind goes with a CSV file" in imported(MIXED, "--kind", "accounts", name="mixed.yaml")["error"]


def test_rows_that_rest_on_one_another_in_too_many_steps_are_refused_as_a_whole(imported, monkeypatch):
    monkeypatch.setattr("workers.store.master_import.LOOKS_MAX", 2)

    done = imported(MIXED, name="mixed.yaml")

    assert "rest on refused ones in more than 2 steps" in done["error"]


def test_a_file_in_which_nothing_is_good_imports_nothing(imported):
    done = imported("id,name\nD,\n", "--kind", "accounts")

    assert (done["code"], done["good"], "new" in done) == (1, 0, False)


# ----------------------------------------------------------------------------------------------- who may
def test_rows_that_need_a_second_person_wait_for_one(imported, load):
    begin(load.operator)

    waits = imported(
        "source,subject,subscription\n/phones,k2,S-1\n/phones,k3,S-9\n", "--kind", "mappings", "--as", "finance"
    )
    before = load.operator.one("select count(*) from mappings")
    load.operator("approve", waits["request"], "--as", "approver")

    assert (waits["code"], before, len(waits["refused"])) == (4, 1, 1)
    assert load.operator.one("select count(*) from mappings") == 2


def test_who_waits_is_told_so_beside_the_refused_rows(load):
    begin(load.operator)
    file = load.file("source,subject,subscription\n/phones,k2,S-1\n/phones,k3,S-9\n", "rows.csv")

    ran = load.operator("master", "import", file, "--kind", "mappings", "--as", "finance")

    assert ran.code == 4
    assert "waits for somebody else" in " ".join(ran.out.split())
    assert "1 rows can go in, 1 are refused" in " ".join(ran.out.split())


def test_an_import_without_a_reason_names_its_file_in_the_audit_log(imported, load):
    imported("id,name\nD,Delta\n", "--kind", "accounts")

    assert load.operator.one("select reason from audit_log order by no desc limit 1") == "imported rows.csv"


BOOK = """
name: us
currency: USD
valid_from: 2026-01-01
plans:
  start:
    title: Start
    charges:
      - {metric: calls, terms: {model: per_unit, unit_amount: "0.05"}, tax_category: service, revenue_account: r}
"""


@pytest.fixture
def booked(load):
    """A published book that versions of contracts may refer to."""
    assert load.operator("prices", "publish", load.file(BOOK, "book.yaml")).code == 0


def test_versions_of_contracts_go_in_with_their_plans_and_each_wrong_row_is_told(imported, load, booked):
    done = imported(
        "contract,version,from,to,plan\nC-1,2,2026-05-01,,us/start\nC-1,3,2026-06-01,,us/gold\nC-9,1,2026-01-01,,us/start\n"
        "C-1,x,2026-07-01,,us/start\nC-1,4,2026-08-01,,\nC-1,1,2026-02-01,,us/start\n",
        "--kind", "contract_versions",
    )  # fmt: skip

    assert done["new"] == {"contract_versions": 1, "prices": 1}
    assert [(each["row"], each["field"]) for each in done["refused"]] == [
        (3, "plan"), (4, "contracts.C-9.account"), (5, "version"), (6, "contract"), (7, "from"),
    ]  # fmt: skip
    assert load.operator.rows("select version, starts_at::text from contract_versions order by 1") == [
        (1, "2026-01-01 05:00:00+00"), (2, "2026-05-01 04:00:00+00"),
    ]  # fmt: skip


def test_the_same_versions_twice_change_nothing(imported, booked):
    rows = "contract,version,from,plan\nC-1,2,2026-05-01,us/start\n"
    imported(rows, "--kind", "contract_versions")

    again = imported(rows, "--kind", "contract_versions")

    assert (again["code"], again["new"], again["changed"]) == (0, {}, {})


def test_tax_registrations_go_in_and_each_wrong_row_is_told(imported, load):
    done = imported(
        "legal_entity;country;number;from;to\nus;DE;DE 136695976;2026-01-01;2027-01-01\nus;DE;DE136695977;2027-01-01;\n"
        "them;DE;DE136695976;2026-01-01;\nus;de;DE136695976;2026-01-01;\nus;GB;GB980780684;2026-01-01;2025-01-01\n",
        "--kind", "tax_registrations",
    )  # fmt: skip

    assert done["new"] == {"tax_registrations": 1}
    assert [(each["row"], each["field"]) for each in done["refused"]] == [
        (3, "number"), (4, "legal_entities.them.name"), (5, "country"), (6, "to"),
    ]  # fmt: skip
    assert load.operator.rows("select legal_entity_id, country, number, is_checked from tax_registrations") == [
        ("us", "DE", "136695976", True)
    ]
    assert load.operator.one("select name from legal_entities") == "Us"
