"""Coupons and limits in master data files: what is published, and what is refused with its place."""

import pytest

COUPONS = """
products: {talk: {name: Talk}}
coupons:
  welcome: {title: Welcome, percent: "10", metrics: [calls], uses: 3, expires: 2027-01-01}
  gift: {title: Gift, amount: "25.00", currency: USD, amount_is: in_all, products: [talk]}
contracts:
  C-1:
    coupons:
      - {coupon: welcome, from: 2026-01-01}
      - {coupon: gift, from: 2026-01-01, place: 2}
"""


EUROS = """
coupons: {x: {title: X, amount: '1', currency: EUR}}
contracts: {C-1: {coupons: [{coupon: x, from: 2026-01-01}]}}
"""


def in_force(operator):
    return [
        tuple(row)
        for row in operator.rows(
            """select p.name, k.place, k.is_given, k.starts_on::text, k.ends_on::text from contract_coupons k
            join coupons p on p.id = k.coupon_id where k.superseded_at > now() order by 1, 4"""
        )
    ]


def test_a_file_gives_coupons_to_a_contract_and_the_same_file_changes_nothing(load, operator):
    assert load.done(COUPONS)["new"] == {"products": 1, "coupons": 2, "contract_coupons": 2}
    assert load.done(COUPONS)["same"]["contract_coupons"] == 2

    assert in_force(operator) == [
        ("gift", 2, True, "2026-01-01", "9999-12-31"), ("welcome", 1, True, "2026-01-01", "9999-12-31"),
    ]  # fmt: skip


def test_a_coupon_that_is_taken_away_stays_known_as_it_was(load, operator):
    load.done(COUPONS)

    load.done("contracts: {C-1: {coupons: [{coupon: welcome, from: 2026-06-01, given: false}]}}")

    assert in_force(operator)[1:] == [
        ("welcome", 1, True, "2026-01-01", "2026-06-01"), ("welcome", 1, False, "2026-06-01", "9999-12-31"),
    ]  # fmt: skip
    assert operator.one("select count(*) from contract_coupons where superseded_at <= now()") == 1
    actions = {row[0] for row in operator.rows("select distinct action from audit_log")}
    assert {"coupons.insert", "contract_coupons.insert", "contract_coupons.update"} <= actions


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("coupons: {x: {title: X, percent: '120'}}", "coupons.x.percent: is 120"),
        ("coupons: {x: {title: X, percent: '5', amount: '1', currency: USD}}", "both given or both missing"),
        ("coupons: {x: {title: X}}", "both given or both missing"),
        ("coupons: {x: {title: X, amount: '1'}}", "has to have a `currency`"),
        ("coupons: {x: {title: X, percent: '5', amount_is: in_all}}", "given once in all"),
        ("coupons: {x: {title: X, amount: '1.005', currency: USD}}", "give whole minor units"),
        ("coupons: {x: {title: X, amount: '1', currency: XAU}}", "coupons.x.currency: XAU has no minor unit"),
        ("coupons: {x: {title: X, percent: '5', metrics: [nothing]}}", "there is no metric 'nothing'"),
        ("coupons: {x: {title: X, percent: '5', products: [nothing]}}", "there is no product 'nothing'"),
        ("coupons: {x: {title: X, percent: '5', uses: 0}}", "greater than or equal to 1"),
        ("contracts: {C-1: {coupons: [{coupon: nothing, from: 2026-01-01}]}}", "there is no coupon 'nothing'"),
        (EUROS, "contracts.C-1.coupons[0].coupon: x is in another currency"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(load, content, says):
    assert says in load.refused(content)


def test_what_a_coupon_gives_never_changes(load):
    load.done(COUPONS)

    refused = load.refused("coupons: {welcome: {title: Hello, percent: '20', metrics: [calls], uses: 3}}")

    assert "coupons.welcome.percent: is kept as 10" in refused
    assert "coupons.welcome.expires: is kept as 2027-01-01" in refused


VERSION = "contracts: {{C-1: {{versions: [{{version: {}, from: 2026-02-01, prices: {{}}, limits: {}}}]}}}}"


def test_limits_are_terms_of_a_version_and_published_with_it(load, operator):
    limits = "{minimum: '100', tax_category: service, revenue_account: commitment, maximum: '500'}"

    assert load.done(VERSION.format(2, limits))["new"] == {"contract_limits": 1, "contract_versions": 1}
    assert load.done(VERSION.format(2, limits))["same"]["contract_limits"] == 1

    assert "minimum: is kept as 100" in load.refused(VERSION.format(2, limits.replace("100", "90")))
    assert operator.one("select count(*) from audit_log where action = 'contract_limits.insert'") == 1


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ("{}", "has to have a `minimum` or a `maximum`"),
        ("{minimum: '100'}", "has to have a `tax_category` and a `revenue_account`"),
        ("{maximum: '100', tax_category: service}", "has to have a `tax_category` and a `revenue_account`"),
        ("{minimum: '9', maximum: '8', tax_category: a, revenue_account: b}", "has a `minimum` above its `maximum`"),
        ("{maximum: '1.005'}", "limits.maximum: is finer than USD has"),
    ],
)
def test_limits_that_make_no_sense_are_refused(load, limits, says):
    assert says in load.refused(VERSION.format(2, limits))


def test_a_published_version_gets_no_limits(load):
    refused = load.refused(
        "contracts: {C-1: {versions: [{version: 1, from: 2026-01-01, limits: {maximum: '1'}, "
        "prices: {calls: {terms: {model: per_unit, unit_amount: '0.25'}, tax_category: service, "
        "revenue_account: revenue}}}]}}"
    )

    assert "version 1 is published without limits" in refused


def test_a_table_of_coupons_and_one_of_who_has_them_are_imported(load, operator):
    coupons = load.file("name,title,percent,uses\nten,Ten,10,3\nbad,Bad,120,\n", "coupons.csv")
    given = load.file("contract,coupon,from,place\nC-1,ten,2026-01-01,5\nC-1,bad,2026-01-01,\n", "given.csv")

    assert operator("master", "import", coupons, "--kind", "coupons").code == 1
    ran = operator("master", "import", given, "--kind", "contract_coupons")

    assert ("there is no coupon 'bad'" in ran.out, in_force(operator)) == (
        True, [("ten", 5, True, "2026-01-01", "9999-12-31")],
    )  # fmt: skip
