"""Entitlements from the master data file to the answer of a check, as an operator sees them."""

import pytest

from workers import looking
from workers.cli.send import LOCAL_USER
from workers.store import entitlement_usage, master_grants

MASTER = f"""
connections: {{books: {{adapter: ledger-file}}}}
legal_entities:
  us: {{name: Us, currency: USD, zone: America/New_York, jurisdiction: us-ny, connection: books}}
cycles: {{us/month: {{}}}}
accounts: {{a: {{name: Account A}}}}
meters:
  call:
    owner: product
    versions:
    - version: 1
      max_age_days: 36000
      fields: [{{name: minutes, kind: decimal}}, {{name: caller, kind: string}}]
metrics:
  minutes: {{meter: call, aggregation: sum, property: minutes, unit: minute}}
  callers: {{meter: call, aggregation: unique_count, property: caller, unit: caller}}
sources: {{/phones: {{owner: operations, users: [{LOCAL_USER}]}}}}
features:
  talk: {{kind: metered, metric: minutes, owner: product, meaning: minutes of calls}}
  lines: {{kind: metered, metric: callers, owner: product}}
  recording: {{kind: boolean, owner: product}}
  region: {{kind: static, owner: product}}
contracts:
  c:
    account: a
    legal_entity: us
    currency: USD
    versions:
    - version: 1
      from: 2026-01-01
      prices: {{}}
      entitlements:
        talk: {{limit: "100", enforcement: hard, rollover_max: "20"}}
        lines: {{limit: "2", enforcement: soft}}
        recording: {{is_on: false}}
        region: {{value: us-east}}
subscriptions: {{s: {{contract: c, cycle: us/month}}, t: {{contract: c, cycle: us/month}}}}
mappings: [{{source: /phones, subject: s, subscription: s}}]
entitlements:
- {{subscription: t, feature: recording, from: 2026-02-01, terms: {{is_on: true}}}}
grants:
- {{subscription: s, feature: talk, name: welcome, quantity: "50", from: 2026-01-01, expires: 2026-03-01}}
"""
MARCH = "2026-03-20T12:00:00Z"


@pytest.fixture
def load(operator, tmp_path):
    def run(content: str, name: str = "master.yaml"):
        file = tmp_path / name
        file.write_text(content)
        return operator("master", "load", file)

    return run


@pytest.fixture
def books(operator, load):
    loaded = load(MASTER)
    assert loaded.code == 0, loaded.err
    return operator


@pytest.fixture
def use(books, lines):
    sent = []

    def send(minutes, *, at: str, caller: str = "ann"):
        sent.append(minutes)
        call = {
            "specversion": "1.0", "id": f"call {len(sent)}", "source": "/phones", "type": "call", "subject": "s",
            "time": at, "data": {"minutes": minutes, "caller": caller},
        }  # fmt: skip
        assert books("send", lines(call)).code == 0

    return send


def check(operator, feature, *words, subscription="s", at=MARCH):
    ran = operator("entitlements", "check", subscription, feature, "--at", at, *words, "--json")
    found = ran.json
    assert ran.code == (0 if found["allowed"] else 1)
    return found["reason"], *(found[name] for name in ("limit", "used", "remaining") if found[name])


def test_the_same_file_twice_changes_nothing_and_each_table_is_counted(books, load, tmp_path):
    again = books.json("master", "load", tmp_path / "master.yaml")

    assert (again["new"], again["changed"]) == ({}, {})
    same = {name: again["same"][name] for name in ("features", "entitlements", "entitlement_grants")}
    assert same == {"features": 4, "entitlements": 5, "entitlement_grants": 1}


def test_a_limit_is_answered_from_usage_with_what_was_left_and_what_was_granted(books, use):
    use("30", at="2026-02-10T12:00:00Z")
    use("12.5", at="2026-03-10T12:00:00Z")

    # February began with 100, 20 from January and the grant of 50, of which 30 are used; the grant ends with it.
    assert check(books, "talk", at="2026-02-11T00:00:00Z") == ("within_limit", "170", "30", "140")
    assert check(books, "talk") == ("within_limit", "120", "12.5", "107.5")
    assert check(books, "talk", "--amount", "107.5")[0] == "within_limit"
    assert check(books, "talk", "--amount", "107.6")[0] == "limit_reached"


def test_usage_that_comes_late_for_an_earlier_period_is_in_the_answer_for_this_one(books, use):
    use("12.5", at="2026-03-10T12:00:00Z")
    assert check(books, "talk")[1] == "120"

    use("115", at="2026-02-10T12:00:00Z")

    assert check(books, "talk")[1] == "105"


def test_distinct_values_are_counted_once_and_a_soft_limit_lets_pass(books, use):
    for n, caller in enumerate(("ann", "bob", "ann", "cid"), start=1):
        use("1", at=f"2026-03-0{n}T12:00:00Z", caller=caller)

    assert check(books, "lines") == ("over_soft_limit", "2", "3", "0")


def test_switches_and_values_of_the_contract_and_of_the_subscription_itself(books):
    assert check(books, "recording") == ("switched_off",)
    assert check(books, "recording", subscription="t") == ("switched_on",)
    assert check(books, "recording", subscription="t", at="2026-02-01T04:59:59Z") == ("switched_off",)
    assert books.json("entitlements", "check", "s", "region", "--at", MARCH)["value"] == "us-east"
    assert check(books, "region", at="2025-12-31T00:00:00Z") == ("not_entitled",)


def test_a_subscription_without_any_usage_has_its_limit(books):
    assert check(books, "talk", subscription="t") == ("within_limit", "120", "0", "120")


def test_now_is_when_the_database_says(books):
    assert books.json("entitlements", "check", "s", "region")["reason"] == "has_value"


def test_the_answer_for_people_says_why(books, use):
    use("120", at="2026-03-10T12:00:00Z")

    ran = books("entitlements", "check", "s", "talk", "--at", MARCH)
    assert (ran.code, ran.out) == (
        1, "talk: not allowed, since the limit is reached (limit 120, used 120, remaining 0)\n",
    )  # fmt: skip
    assert books("entitlements", "check", "s", "recording").out == "recording: not allowed, since it is switched off\n"


def test_the_features_of_a_subscription_are_listed(books, use):
    use("1", at="2026-03-10T12:00:00Z")

    listed = books.json("entitlements", "list", "s", "--at", MARCH)

    assert [(each["feature"], each["decision"]["reason"]) for each in listed] == [
        ("lines", "within_limit"), ("recording", "switched_off"), ("region", "has_value"), ("talk", "within_limit"),
    ]  # fmt: skip
    assert "minute" in books("entitlements", "list", "s", "--at", MARCH).out


@pytest.mark.parametrize("words", [("s", "fax"), ("nobody", "talk")])
def test_a_feature_or_subscription_that_is_not_there_is_named(books, words):
    ran = books("entitlements", "check", *words)

    assert ran.code == 2
    assert words[1] in ran.err


@pytest.mark.parametrize("amount", ["0", "-1", "much", "1e99", "nan"])
def test_an_amount_that_is_none_is_refused(books, amount):
    assert books("entitlements", "check", "s", "talk", f"--amount={amount}").code in {1, 2}


@pytest.mark.parametrize("at", ["yesterday", "2026-03-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-05:00"])
def test_an_instant_that_is_none_is_refused(books, at):
    assert books("entitlements", "check", "s", "talk", "--at", at).code == 2


# ---------------------------------------------------------------------------------------------------- publishing
def test_what_a_contract_version_gives_stays_and_the_next_one_may_give_something_else(books, load):
    refused = load(MASTER.replace('limit: "100"', 'limit: "200"'))
    assert refused.code == 2
    assert "contracts.c.versions[0].entitlements.talk.limit: is kept as 100" in refused.err

    second = """
    - version: 2
      from: 2026-03-01
      prices: {}
      entitlements: {talk: {limit: "200", enforcement: hard}}
subscriptions"""
    assert load(MASTER.replace("\nsubscriptions", second, 1)).code == 0
    assert check(books, "talk") == ("within_limit", "220", "0", "220")
    assert check(books, "region") == ("not_entitled",)


def test_a_feature_that_a_version_says_nothing_of_may_be_added(books, load):
    more = "features: {fax: {kind: boolean, owner: product}}\n"
    added = MASTER.replace("        region: {value", "        fax: {}\n        region: {value").replace(
        "features:\n", "features:\n  fax: {kind: boolean, owner: product}\n"
    )

    assert load(more, "more.yaml").code == 0
    assert load(added).code == 0
    assert check(books, "fax") == ("switched_on",)


def test_terms_of_a_subscription_replace_each_other_from_an_instant_on(books, load):
    content = """entitlements:
- {subscription: t, feature: talk, from: 2026-02-01, terms: {limit: "7", enforcement: hard}}
- {subscription: t, feature: talk, from: 2026-04-01, terms: {limit: "9", enforcement: hard}}
"""
    assert load(content, "own.yaml").code == 0
    assert load(content, "own.yaml").code == 0

    # January, under the contract, leaves 20; February and March leave nothing.
    assert check(books, "talk", subscription="t", at="2026-02-02T00:00:00Z")[1] == "27"
    assert check(books, "talk", subscription="t")[1] == "7"
    assert check(books, "talk", subscription="t", at="2026-04-02T00:00:00Z")[1] == "9"

    later = content + '- {subscription: t, feature: talk, from: 2026-05-01, terms: {limit: "5", enforcement: hard}}'
    assert load(later, "own.yaml").code == 0
    assert check(books, "talk", subscription="t", at="2026-05-02T00:00:00Z")[1] == "5"
    assert load(content.replace('limit: "7"', 'limit: "8"'), "own.yaml").code == 0
    assert check(books, "talk", subscription="t")[1] == "8"
    assert check(books, "talk", subscription="t", at="2026-04-02T00:00:00Z")[1] == "9"
    assert books.one("select count(*) from entitlements where superseded_at < now()") == 1
    short = "entitlements: [{subscription: t, feature: talk, from: 2026-06-01, to: 2026-07-01, terms: %s}]"
    refused = load(short % "{limit: 1, enforcement: hard}", "own.yaml")
    assert "ends within what is in force after it" in refused.err


def test_a_grant_is_superseded_by_another_of_its_name_and_taken_back_by_none(books, load):
    content = "grants: [{subscription: s, feature: talk, name: welcome, quantity: %s, from: 2026-01-01}]"
    at = "2026-01-15T00:00:00Z"

    assert check(books, "talk", at=at)[1] == "150"
    assert load(content % '"70"', "g.yaml").code == 0
    assert check(books, "talk", at=at)[1] == "170"
    assert load(content % "0", "g.yaml").code == 0
    assert check(books, "talk", at=at)[1] == "100"
    assert books.one("select count(*) from entitlement_grants") == 3


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: metered, metric: minutes,", "kind: metered,", "features.talk.metric: is missing"),
        ("{kind: boolean, owner", "{kind: boolean, metric: minutes, owner", "features.recording.metric: is not used"),
        ("metric: minutes, owner", "metric: hours, owner", "there is no metric 'hours'"),
        ('limit: "100"', 'limit: "-1"', "entitlements.talk.limit: is negative"),
        ("{is_on: false}", "{limit: 1}", "entitlements.recording.limit: is not known here"),
        ("        region: {value", "        regions: {value", "there is no feature 'regions'"),
        ("terms: {is_on: true}", "terms: {is_on: 1}", "entitlements[0].terms.is_on"),
        ("{subscription: t, feature: rec", "{subscription: x, feature: rec", "there is no subscription 'x'"),
        ("from: 2026-02-01, terms", "from: 2026-02-01, to: 2026-02-01, terms", "entitlements[0].to: is not after"),
        ("grants:\n", "- {subscription: t, feature: recording, from: 2026-02-01, terms: {}}\ngrants:\n", "second time"),
        ("feature: talk, name: welcome", "feature: region, name: welcome", "grants[0].feature: is not metered"),
        ("expires: 2026-03-01", "expires: 2026-01-01", "grants[0].expires: is not after"),
        ('quantity: "50"', 'quantity: "-50"', "grants[0].quantity"),
        ('quantity: "50"', 'quantity: "1e99"', "grants[0].quantity"),
        (
            "grants:\n",
            "grants:\n- {subscription: s, feature: talk, name: welcome, quantity: 1, from: 2026-01-01}\n",
            "is there twice",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(operator, load, old, new, says):
    assert old in MASTER

    refused = load(MASTER.replace(old, new, 1))

    assert refused.code == 2
    assert says in refused.err
    assert operator.one("select count(*) from features") == 0


def test_entitlements_that_are_kept_are_not_lengthened(books, load):
    refused = load(
        "entitlements: [{subscription: t, feature: recording, from: 2026-02-01, to: 2027-01-01, terms: {is_on: true}}]",
        "own.yaml",
    )

    assert refused.code == 2
    assert "entitlements[0].to: is kept as ending at" in refused.err


def test_more_grants_than_a_check_reads_are_refused(books, load, monkeypatch):
    monkeypatch.setattr(master_grants, "GRANTS_MAX", 1)

    refused = load("grants: [{subscription: s, feature: talk, name: more, quantity: 1, from: 2026-01-01}]", "g.yaml")

    assert refused.code == 2
    assert "more than 1 grants" in refused.err


def test_every_change_is_in_the_audit_log_under_what_it_is_about(books):
    subjects = {row[0] for row in books.rows("select subject from audit_log where action like 'entitlement%'")}

    assert {"c/1/talk", "t/recording", "s/talk/welcome"} <= subjects


def test_limits_on_seats_and_on_what_must_be_measured_are_answered_and_told(books, load, use, monkeypatch):
    more = """
metrics:
  longest: {meter: call, aggregation: max, property: minutes, unit: minute}
  seats: {aggregation: subscribed, property: seat, unit: seat}
features:
  length: {kind: metered, metric: longest, owner: product}
  seats: {kind: metered, metric: seats, owner: product}
entitlements:
- {subscription: s, feature: length, from: 2026-01-01, terms: {limit: "60", enforcement: soft}}
- {subscription: s, feature: seats, from: 2026-01-01, terms: {limit: "5", enforcement: hard, thresholds: [100]}}
subscriptions: {s: {quantities: [{item: seat, quantity: "5", from: 2026-01-01}]}}
"""
    loaded = load(more, "more.yaml")
    assert loaded.code == 0, loaded.err
    use("45", at="2026-03-10T12:00:00Z")
    use("50", at="2026-03-11T12:00:00Z")
    use("50.5", at="2026-03-11T12:00:00Z")

    assert check(books, "length") == ("within_limit", "60", "50.5", "9.5")
    assert check(books, "seats") == ("limit_reached", "5", "5", "0")
    assert check(books, "seats", at="2025-12-31T00:00:00Z") == ("not_entitled",)
    looking.tick()
    looking.tick()
    told = books.rows("""select body ->> 'subject', body -> 'data' ->> 'threshold' from notices
      where body ->> 'subject' in ('s/length', 's/seats') order by 1""")
    assert [tuple(row) for row in told] == [("s/length", "80"), ("s/seats", "100")]

    monkeypatch.setattr(entitlement_usage, "CHECKED_MAX", 1)
    use("55", at="2026-03-12T12:00:00Z")
    assert "as measured at" in books("entitlements", "check", "s", "length", "--at", MARCH).out
    assert books.json("entitlements", "check", "s", "length", "--at", MARCH)["used"] == "50.5"
