"""Master data from one file: checked with line and field, loaded as one, and the same file twice changes nothing."""

import json
from pathlib import Path

import pytest
from operator_bench import DEMO

SMALL = """
connections:
  books: {adapter: ledger-file}
legal_entities:
  us: {name: Us, currency: USD, zone: America/New_York, jurisdiction: us-ny, connection: books}
cycles:
  us/month: {}
accounts:
  A: {name: Account A}
price_books:
  plain:
    calls: {terms: {model: per_unit, unit_amount: "0.25"}, tax_category: service, revenue_account: revenue}
contracts:
  C-1: {account: A, legal_entity: us, currency: USD, versions: [{version: 1, from: 2026-01-01, prices: plain}]}
subscriptions:
  S-1: {contract: C-1, cycle: us/month}
  S-2: {contract: C-1, cycle: us/month}
sources:
  /phones: {owner: operations, users: [phones]}
meters:
  call.ended: {owner: operations, versions: [{version: 1, fields: [{name: minutes, kind: decimal}]}]}
metrics:
  calls: {meter: call.ended, aggregation: count, unit: call}
exclusion_rules:
  tests: {meter: call.ended, conditions: [{property: minutes, op: equals, value: "0"}], reason: no call was made}
mappings:
  - {source: /phones, subject: k1, subscription: S-1}
tax_rates:
  - {jurisdiction: us-ny, category: service, rate: "8.875", from: 2026-01-01, source: the state}
"""


@pytest.fixture
def load(operator, tmp_path):
    def run(content: str, name: str = "master.yaml"):
        file = tmp_path / name
        file.write_text(content)
        return operator("master", "load", file)

    return run


def changed(old: str, new: str) -> str:
    assert old in SMALL, old
    return SMALL.replace(old, new)


def line_of(content: str, words: str) -> int:
    return next(n for n, line in enumerate(content.splitlines(), start=1) if words in line)


def test_the_demo_file_loads_and_the_second_time_nothing_changes(operator):
    first = operator.json("master", "load", DEMO / "master.yaml")
    before = operator.rows("select relname, n_tup_ins + n_tup_upd from pg_stat_user_tables where relname = 'mappings'")
    second = operator.json("master", "load", DEMO / "master.yaml")

    assert first["new"]["accounts"] == 16
    assert first["new"]["contracts"] == first["new"]["subscriptions"] == 25
    assert (second["new"], second["changed"]) == ({}, {})
    assert second["same"] == {name: n for name, n in first["new"].items() if name != "prices"}
    assert operator.rows("select count(*) from prices") == [(75,)]
    assert before is not None


def test_a_date_is_the_first_instant_of_that_day_in_the_legal_entitys_zone(load, operator):
    load(SMALL)

    assert operator.one("select starts_at::text from contract_versions") == "2026-01-01 05:00:00+00"


def test_json_is_read_as_well(load, operator):
    content = json.dumps({"accounts": {"A": {"name": "Account A"}}})

    assert load(content, "master.json").code == 0
    assert operator.one("select name from accounts") == "Account A"


def test_a_file_may_build_on_what_was_loaded_before(load, operator):
    load(SMALL)

    assert load("mappings:\n- {source: /phones, subject: k2, subscription: S-1}\n", "more.yaml").code == 0
    assert operator.one("select count(*) from mappings") == 2


def test_names_and_owners_may_change(load, operator):
    load(SMALL)
    content = changed("name: Account A", "name: Account Alpha").replace("owner: operations", "owner: network")

    load(content)

    assert operator.one("select name from accounts") == "Account Alpha"
    assert operator.one("select owner from sources") == "network"


def test_a_user_that_is_no_longer_named_may_no_longer_claim_the_source(load, operator):
    load(SMALL)

    load(changed("users: [phones]", "users: [handsets]"))

    assert operator.rows("select user_name from source_users") == [("handsets",)]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("currency: USD, zone", "currency: EUR, zone", "legal_entities.us.currency: is kept as USD"),
        ("zone: America/New_York", "zone: Europe/Berlin", "is kept as America/New_York"),
        ("adapter: ledger-file", "adapter: netsuite", "connections.books.adapter: is kept as ledger-file"),
        ("unit: call", "unit: calls", "metrics.calls.unit: is kept as call"),
        ("kind: decimal", "kind: integer", "meters.call.ended.versions[0].fields: is kept as"),
        ('rate: "8.875"', 'rate: "9"', "tax_rates[0].rate: is kept as 8.875"),
        ('value: "0"', 'value: "1"', "exclusion_rules.tests.conditions: is kept as"),
        ('unit_amount: "0.25"', 'unit_amount: "0.35"', "version 1 is published with other prices; add version 2"),
        ("from: 2026-01-01, prices", "from: 2026-01-02, prices", "version 1 is published from 2026-01-01"),
        ("from: 2026-01-01, prices", "from: 2026-01-01, to: 2027-01-01, prices", "is kept as ending at 9999"),
        (
            "contract: C-1, cycle: us/month}\n  S-2",
            "contract: C-1, cycle: us/month, from: 2026-01-01}\n  S-2",
            "from: is kept",
        ),
    ],
)
def test_what_others_rest_on_is_not_edited(operator, tmp_path, old, new, says):
    kept, edited = tmp_path / "kept.yaml", tmp_path / "edited.yaml"
    kept.write_text(SMALL)
    edited.write_text(changed(old, new))
    operator("master", "load", kept)

    ran = operator("master", "load", edited)

    assert ran.code == 2
    assert says in " ".join(ran.err.split())
    assert operator.json("master", "load", kept)["changed"] == {}


def test_a_published_version_may_get_a_price_that_it_lacks_and_none_that_it_has_changes(load, operator):
    talk = "  talk: {meter: call.ended, aggregation: sum, property: minutes, unit: minute}\nexclusion_rules:"
    with_metric = changed("exclusion_rules:", talk)
    load(with_metric)
    calls = SMALL[SMALL.index("    calls: {terms:") : SMALL.index("contracts:")]
    lacking = calls + calls.replace("calls:", "talk:").replace("0.25", "0.01")

    ran = load(with_metric.replace(calls, lacking))

    assert ran.code == 0
    assert operator.rows("""select m.name, p.terms ->> 'unit_amount', v.version from prices p
      join metrics m on m.id = p.metric_id join contract_versions v on v.id = p.contract_version_id order by 1""") == [
        ("calls", "0.25", 1), ("talk", "0.01", 1),
    ]  # fmt: skip
    ran = load(with_metric)
    assert "version 1 is published with other prices" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("currency: USD, zone", "currency: usd, zone", "string should match pattern"),
        ("currency: USD, zone", "currency: XXA, zone", "no currency of ISO 4217"),
        ("currency: USD, versions", "currency: XAU, versions", "has no minor unit"),
        ("zone: America/New_York", "zone: America/Newark", "no IANA time zone"),
        ("us/month: {}", "us/month: {zone: Mars/Base}", "no IANA time zone"),
        ("us/month: {}", "eu/month: {}", "there is no legal entity 'eu'"),
        ("connection: books", "connection: ledger", "there is no connection 'ledger'"),
        ("account: A,", "account: B,", "there is no account 'B'"),
        ("legal_entity: us,", "legal_entity: eu,", "there is no legal entity 'eu'"),
        ("prices: plain", "prices: other", "there is no price book 'other'"),
        ("contract: C-1, cycle: us/month}\n  S-2", "contract: C-2, cycle: us/month}\n  S-2", "no contract 'C-2'"),
        ("cycle: us/month}\n  S-2", "cycle: us/week}\n  S-2", "there is no cycle 'us/week'"),
        ("source: /phones, subject", "source: /mail, subject", "there is no source '/mail'"),
        ("subscription: S-1", "subscription: S-9", "there is no subscription 'S-9'"),
        ("calls: {meter: call.ended", "calls: {meter: call", "there is no meter 'call'"),
        ("tests: {meter: call.ended", "tests: {meter: call", "there is no meter 'call'"),
        ("tests: {meter: call.ended", "tests: {metric: talks, meter: call.ended", "there is no metric 'talks'"),
        ("aggregation: count", "aggregation: median", "metrics.calls.aggregation: is 'median'"),
        ("aggregation: count", "aggregation: sum, property: seconds", "has no seconds, which calls reads"),
        ('unit_amount: "0.25"', 'unit_amount: "-1"', "price_books.plain.calls.terms.unit_amount: is below zero"),
        ("model: per_unit", "model: by_moon", "price_books.plain.calls.terms.model"),
        ("kind: decimal", "kind: number", "meters.call.ended.versions[0].fields[0].kind"),
        ("op: equals", "op: like", "exclusion_rules.tests.conditions[0].op"),
        ("version: 1, from: 2026-01-01, prices", "version: 1, from: 2026-01-01, to: 2026-01-01, prices", "not after"),
        ("from: 2026-01-01, source", "from: 2026-01-01, to: 2025-01-01, source", "tax_rates[0].to: is not after"),
        ("from: 2026-01-01, prices", "from: 2026-02-30, prices", "is no date"),
        ("from: 2026-01-01, prices", 'from: "2026-01-01T25:00:00Z", prices', "neither a date nor an instant"),
        ("from: 2026-01-01, prices", 'from: "2026-01-01T00:00:00", prices', "an instant without an offset"),
        ("from: 2026-01-01, source", "from: 20260101, source", "tax_rates[0].from"),
        ("owner: operations, users", "owners: operations, users", "remove it, or correct its spelling"),
        ("name: Account A", "name: 7", "write it as text, in quotes"),
        ('rate: "8.875"', "rate: much", 'write a decimal text such as "4.5"'),
        ("users: [phones]", "users: phones", "write a list"),
        ("subject: k1, ", "", "add it"),
        ("subscription: S-1}", "subscription: S-1, from: 2026-01-02, to: 2026-01-01}", "is not after `from`"),
    ],
)
def test_a_mistake_is_named_with_file_line_field_and_fix_and_nothing_is_loaded(operator, tmp_path, old, new, says):
    file = tmp_path / "master.yaml"
    file.write_text(changed(old, new).replace("\n  books:", "\n  ledger-x: {adapter: ledger-file}\n  books:"))

    ran = operator("master", "load", file)

    told = " ".join(ran.err.split())
    assert ran.code == 2
    assert says in told
    assert "master.yaml:" in told.replace(" ", "")
    assert "nothing was loaded" in told
    assert operator.rows("select 1 from erp_connections where id = 'ledger-x'") == []


def test_a_price_of_a_metric_that_is_not_there_is_refused(load):
    assert "there is no metric 'talks'" in " ".join(load(changed("    calls: {terms", "    talks: {terms")).err.split())


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        (
            'model: percentage, rate_percent: "2", fixed_amount: "0.30"',
            "calls.terms.model: percentage needs what each event came to; price a metric with the aggregation each",
        ),
        (
            'model: matrix, dimensions: [region], default: {unit_amount: "1"}',
            "calls.terms.dimensions: the metric is not kept apart by region; name dimensions of the metric",
        ),
    ],
)
def test_a_price_that_its_metric_can_never_be_priced_with_is_refused(load, operator, terms, says):
    ran = load(changed('model: per_unit, unit_amount: "0.25"', terms))

    assert ran.code == 2
    assert says in " ".join(ran.err.split())
    assert operator.rows("select 1 from metrics where name = 'calls'") == []


def test_every_problem_of_a_file_is_named_at_once_with_its_line(load):
    content = changed("currency: USD, zone", "currency: usd, zone").replace("name: Account A", "nam: Account A")
    content = content.replace("tax_category: service, revenue", "revenue")

    told = "".join(load(content).err.split())

    assert f"master.yaml:{line_of(content, 'usd')}:legal_entities.us.currency" in told
    assert f"master.yaml:{line_of(content, 'nam: Account')}:accounts.A.nam" in told
    assert f"master.yaml:{line_of(content, 'calls: {terms')}:price_books.plain.calls.tax_category" in told


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("accounts: [", "is no YAML"),
        ("accounts: \x01", "is no YAML"),
        ("accounts:\n  A: &one {name: x}\n  B: *one\n", "aliases (*name) are not read here"),
        ("accounts: !!python/object:os.system {}\n", "tags (!name) are not read here"),
        ("accounts:\n  A: {name: x}\n  A: {name: y}\n", "accounts.A: is there twice"),
        ("[a]: 1\n", "has a key that is no text"),
        ("- 1\n", "holds no master data"),
        ("", "holds no master data"),
        ("accounts: " + "[" * 40 + "]" * 40 + "\n", "nests more than 32 deep"),
        ("accounts:\n  " + "[" * 100_000 + "\n", "is no YAML: nests more than 100 deep; correct the syntax here"),
    ],
)
def test_a_file_that_is_no_plain_yaml_is_refused(operator, tmp_path, content, says):
    file = tmp_path / "master.yaml"
    file.write_text(content)

    ran = operator("master", "load", file)

    assert ran.code == 2
    assert says in " ".join(ran.err.split())


def test_yaml_has_no_surprises(load, operator):
    load("accounts:\n  NO: {name: yes}\n  9E1: {name: 1_000}\n")

    assert operator.rows("select id, name from accounts order by id") == [("9E1", "1_000"), ("NO", "yes")]


def test_a_file_that_is_missing_not_utf_8_or_too_large_is_refused(operator, tmp_path, monkeypatch):
    from workers.store import master_file

    latin = tmp_path / "latin.yaml"
    latin.write_bytes("accounts:\n  A: {name: Zürich}\n".encode("latin-1"))
    monkeypatch.setattr(master_file, "FILE_BYTES_MAX", 40)
    large = tmp_path / "large.yaml"
    large.write_text("accounts: {}" + " " * 40)

    assert "cannot be read" in operator("master", "load", tmp_path / "none.yaml").err
    assert "latin.yaml:2" in "".join(operator("master", "load", latin).err.split())
    assert "split it" in operator("master", "load", large).err
    assert "has more than 40 bytes" in " ".join(operator("master", "load", Path("/dev/zero")).err.split())


def test_the_check_needs_no_database(operator, tmp_path, monkeypatch):
    file = tmp_path / "master.yaml"
    file.write_text(SMALL)
    monkeypatch.setenv("TALLYLINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    assert operator("master", "load", "--check", file).code == 0


def test_a_later_version_ends_the_one_before_it(load, operator):
    second = 'version: 2, from: 2026-07-01, prices: {calls: {terms: {model: per_unit, unit_amount: "0.30"}, '
    second += "tax_category: service, revenue_account: revenue}}"
    content = changed("prices: plain}]}", "prices: plain}, {" + second + "}]}")
    load(SMALL)

    assert load(content).code == 0
    assert load(content).code == 0

    assert operator.rows(
        "select version, starts_at::date::text, ends_at::date::text from contract_versions order by 1"
    ) == [
        (1, "2026-01-01", "2026-07-01"),
        (2, "2026-07-01", "9999-12-31"),
    ]
    assert operator.one("select count(*) from prices") == 2


def test_a_version_from_the_same_day_supersedes_the_one_before_it(load, operator):
    two = "prices: plain}, {version: 2, from: 2026-01-01, prices: plain}]}"
    load(changed("prices: plain}]}", two))

    assert load(changed("prices: plain}]}", two)).code == 0

    assert operator.rows("select version from contract_versions where superseded_at > now()") == [(2,)]


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("version: 1, from: 2026-01-01", "version: 1, from: 2026-02-01", "is there twice"),
        ("version: 3, from: 2026-01-01", "version: 2, from: 2026-02-01", None),
        ("version: 1, from: 2026-01-01", "version: 2, from: 2026-02-01, to: 2026-03-01", "within what is in force"),
    ],
)
def test_versions_have_their_order_and_split_nothing(load, first, second, says):
    versions = f"{{{first}, prices: plain}}, {{{second}, prices: plain}}"

    ran = load(changed("{version: 1, from: 2026-01-01, prices: plain}", versions))

    assert ran.code == (0 if says is None else 2)
    assert says is None or says in " ".join(ran.err.split())


def test_a_version_below_the_last_published_one_is_refused(load):
    load(changed("version: 1, from", "version: 5, from"))

    ran = load(changed("version: 1, from", "version: 4, from"))

    assert "is lower than 5, which is published" in " ".join(ran.err.split())


def test_a_mapping_that_starts_later_ends_the_one_before_it(load, operator):
    later = "  - {source: /phones, subject: k1, subscription: S-2, from: 2026-03-01}\n"
    more = changed("subscription: S-1}\n", "subscription: S-1}\n" + later)
    load(SMALL)

    assert load(more).code == 0
    assert load(more).code == 0

    rows = operator.rows("""select s.ref, m.ends_at::date::text from mappings m
      join subscriptions s on s.id = subscription_id where superseded_at > now() order by m.starts_at""")
    assert rows == [("S-1", "2026-03-01"), ("S-2", "9999-12-31")]


def test_two_mappings_from_the_same_instant_are_refused(load):
    more = SMALL.replace(
        "subscription: S-1}\n", "subscription: S-1}\n  - {source: /phones, subject: k1, subscription: S-2}\n"
    )

    assert "a second time from the same instant" in " ".join(load(more).err.split())


def test_a_tax_rate_said_twice_is_refused(load):
    rate = '  - {jurisdiction: us-ny, category: service, rate: "9", from: 2026-01-01, source: x}\n'

    assert "says the same day as tax_rates[0]" in " ".join(load(SMALL + rate.lstrip("\n")).err.split())


def test_the_demo_file_is_named_in_the_help_and_exists(operator):
    assert "infra/demo/master.yaml" in operator("master", "load", "--help").out
    assert Path(DEMO / "master.yaml").is_file()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("[{name: minutes, kind: string}]", "say that minutes is a string, which talked cannot add up"),
        ("[{name: seconds, kind: decimal}]", "has no minutes, which talked reads"),
    ],
)
def test_a_later_version_of_a_meter_feeds_the_metrics_that_are_there(load, operator, fields, says):
    talked = (
        "aggregation: count, unit: call}\n  talked: {meter: call.ended, aggregation: sum, property: minutes, unit: min}"
    )
    assert load(changed("aggregation: count, unit: call}", talked)).code == 0
    version = f"{{version: 2, from: 2026-02-01, fields: {fields}}}"

    ran = load(f"meters:\n  call.ended: {{owner: operations, versions: [{version}]}}\n", "second.yaml")

    assert ran.code == 2
    assert says in " ".join(ran.err.split())
    assert operator.rows("select version from meter_versions") == [(1,)]


OWNERS = """select 'version', owner from meter_versions union all select 'metric', owner from metrics
  union all select 'prices', owner from contract_versions union all select 'mapping', owner from mappings order by 1"""


def test_what_names_no_owner_is_owned_like_what_it_belongs_to(operator, load):
    assert load(SMALL).code == 0

    assert operator.rows(OWNERS) == [
        ("mapping", "operations"), ("metric", "operations"), ("prices", "Us"), ("version", "operations"),
    ]  # fmt: skip


OWNED = (
    SMALL.replace("{meter: call.ended, aggregation: count", "{owner: product, meter: call.ended, aggregation: count")
    .replace("{version: 1, fields", "{version: 1, owner: network, fields")
    .replace("{version: 1, from: 2026", "{version: 1, owner: sales, from: 2026")
    .replace("subscription: S-1}", "subscription: S-1, owner: support}")
)


def test_owners_are_named_at_once_or_later_and_stay_where_a_file_leaves_them_out(operator, load):
    load(SMALL)

    assert load(OWNED).code == 0
    named = [("mapping", "support"), ("metric", "product"), ("prices", "sales"), ("version", "network")]
    assert operator.rows(OWNERS) == named
    count = operator.one("select count(*) from audit_log")
    assert load(SMALL).code == 0
    assert operator.rows(OWNERS) == named
    assert operator.one("select count(*) from audit_log") == count
    assert operator.one("select count(*) from contract_versions") == 1
    operator.empty()
    assert load(OWNED).code == 0
    assert operator.rows(OWNERS) == named


def test_another_owner_counts_as_a_change_of_the_row(operator, load, tmp_path):
    load(SMALL)
    file = tmp_path / "owned.yaml"
    file.write_text(OWNED)

    told = operator.json("master", "load", file)

    assert told["changed"] == {"contract_versions": 1, "mappings": 1, "meter_versions": 1, "metrics": 1}
    assert "mappings" not in told["new"]
    assert told["same"].get("mappings", 0) == 0


def test_every_dimension_of_a_metric_has_an_owner(operator, load):
    two = SMALL.replace("unit: call}", "unit: call, owner: product, dimensions: [region, country]}").replace(
        "[{name: minutes, kind: decimal}]",
        "[{name: minutes, kind: decimal}, {name: region, kind: string}, {name: country, kind: string}]",
    )
    named = two + "dimensions:\n  region: {owner: network, meaning: where the call began}\n"

    assert load(named).code == 0

    kept = [("country", "product", ""), ("region", "network", "where the call began")]
    assert operator.rows("select name, owner, meaning from dimensions order by 1") == kept
    assert load(two).code == 0
    assert operator.rows("select name, owner, meaning from dimensions order by 1") == kept
    assert load(named.replace("owner: network", "owner: operations")).code == 0
    assert operator.rows("select owner from dimensions where name = 'region'") == [("operations",)]


def test_an_owner_without_a_name_is_refused(load):
    ran = load(OWNED.replace("owner: sales", 'owner: ""'))

    assert ran.code == 2
    assert "contracts.C-1.versions[0].owner" in ran.err.replace("\n", "")


def test_a_mapping_that_is_changed_leaves_the_one_after_it_in_the_file_as_it_is(load, operator):
    first, second = (f"- {{source: /phones, subject: k9, subscription: {s}, from: 2026-0{m}-01}}\n" for s, m in
                     (("S-1", 2), ("S-2", 4)))  # fmt: skip
    load(SMALL)
    assert load(f"mappings:\n{first}{second}", "more.yaml").code == 0

    assert load(f"mappings:\n{first.replace('S-1', 'S-2')}{second}", "more.yaml").code == 0

    in_force = """select u.ref, extract(month from m.starts_at)::integer, extract(year from m.ends_at)::integer
      from mappings m join subscriptions u on u.id = m.subscription_id
      where m.subject = 'k9' and m.superseded_at > now() order by m.starts_at"""
    assert operator.rows(in_force) == [("S-2", 2, 2026), ("S-2", 4, 9999)]
