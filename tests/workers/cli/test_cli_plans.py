"""Contracts that refer to a plan of a price book: what they get, what they keep, and what is refused."""

import pytest
from operator_bench import DEMO, departure

BOOK = DEMO / "price-book.yaml"
UA = "contracts: {{pony-UA: {{account: UA, legal_entity: pony, currency: USD, versions: [{}]}}}}\n"
STANDARD = "{version: 2, from: 2014-01-01, plan: airport-fees/standard}"
PRICES = """select m.name, p.terms ->> 'unit_amount', b.version from prices p join metrics m on m.id = p.metric_id
  join contract_versions v on v.id = p.contract_version_id join contracts c on c.id = v.contract_id
  left join price_book_charges k on k.id = p.book_charge_id left join price_book_plans n on n.id = k.plan_id
  left join price_book_versions b on b.id = n.version_id
  where c.ref = 'pony-UA' and v.version = :version order by m.name"""


@pytest.fixture
def load(airports, tmp_path):
    def run(*versions: str, contract: str = UA):
        file = tmp_path / "contracts.yaml"
        file.write_text(contract.format(", ".join(versions)), encoding="utf-8")
        return airports("master", "load", file)

    return run


@pytest.fixture
def published(airports):
    assert airports("prices", "publish", BOOK).code == 0
    return airports


@pytest.fixture
def republish(published, tmp_path):
    """Publishes the example with some of its text replaced."""

    def publish(*changes: tuple[str, str]):
        text = BOOK.read_text(encoding="utf-8")
        for old, new in changes:
            text = text.replace(old, new)
        (tmp_path / "book.yaml").write_text(text, encoding="utf-8")
        assert published("prices", "publish", tmp_path / "book.yaml").code == 0

    return publish


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def test_a_contract_gets_the_charges_of_its_plan_and_says_where_they_came_from(published, load):
    ran = load(STANDARD)

    assert ran.code == 0, ran.err
    assert published.rows(PRICES, version=2) == [
        ("aircraft", "119.75", 1),
        ("departures", "42.5", 1),
        ("distance", None, 1),
    ]
    assert published.rows(PRICES, version=1)[1][1:] == ("41.2575", None)
    assert published.json("prices", "list")[0]["contracts"] == 1


def test_usage_is_billed_at_the_prices_of_the_plan(published, load, lines):
    load(STANDARD)

    published("send", lines(departure(1, source="/ops/jfk", time="2014-01-05T10:00:00Z")))

    # 42.50 + 119.75 + 1,400 miles x 0.026 + 250.00
    assert published.json("status")["unbilled"] == {"USD": "448.65"}


def test_the_same_file_twice_changes_nothing_whatever_the_book_says_by_now(published, load, republish):
    load(STANDARD)
    republish(('unit_amount: "42.50"', 'unit_amount: "99.00"'))

    again = load(STANDARD)

    assert again.code == 0, again.err
    assert published.rows(PRICES, version=2)[1] == ("departures", "42.5", 1)


def test_a_new_version_gets_what_is_in_force_on_its_first_day(published, load, republish):
    republish(("valid_from: 2014-01-01", "valid_from: 2014-07-01"), ('unit_amount: "42.50"', 'unit_amount: "44.00"'))

    load(STANDARD, "{version: 3, from: 2014-06-30, plan: airport-fees/standard}",
         "{version: 4, from: 2014-07-01, plan: airport-fees/standard}")  # fmt: skip

    assert [published.rows(PRICES, version=version)[1][1:] for version in (2, 3, 4)] == [
        ("42.5", 1),
        ("42.5", 1),
        ("44", 2),
    ]


def test_prices_of_a_plan_may_be_written_out_as_they_are(published, load):
    load(STANDARD)
    own = "{departures: {terms: {model: per_unit, unit_amount: 42.50}, tax_category: runway, revenue_account: r}}"
    ran = load(f"{{version: 2, from: 2014-01-01, prices: {own}}}")

    assert "version 2 is published with other prices" in text_of(ran)


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("{version: 2, from: 2014-01-01, plan: none/standard}", "no version of price book 'none' is in force"),
        ("{version: 2, from: 2013-12-31, plan: airport-fees/standard}", "is in force on 2013-12-31"),
        # in New York this is still the last day of the year before
        ("{version: 2, from: 2014-01-01T03:00:00Z, plan: airport-fees/standard}", "is in force on 2013-12-31"),
        ("{version: 2, from: 2014-01-01, plan: airport-fees/gold}", "has no plan 'gold'; `tallyline prices show"),
        ("{version: 2, from: 2014-01-01, plan: standard}", "contracts.pony-UA.versions[0].plan"),
        ("{version: 2, from: 2014-01-01}", "has to have either `prices` or a `plan`"),
        ("{version: 2, from: 2014-01-01, plan: airport-fees/hub, prices: x}", "has to have either"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_named_with_line_and_fix(published, load, version, says):
    ran = load(version)

    assert ran.code == 2
    assert "contracts.yaml:1: contracts.pony-UA.versions[0]" in text_of(ran)
    assert says in text_of(ran)
    assert published.rows(PRICES, version=2) == []


def test_a_plan_in_another_currency_is_refused(published, load, republish):
    republish(("name: airport-fees", "name: euro-fees"), ("currency: USD", "currency: EUR"))

    ran = load("{version: 2, from: 2014-01-01, plan: euro-fees/standard}")

    assert "is in EUR, and the contract in USD; give the contract a plan in USD" in text_of(ran)


def test_a_published_version_keeps_its_plan(published, load):
    load(STANDARD)

    other = load("{version: 2, from: 2014-01-01, plan: airport-fees/hub}")
    own = load("{version: 1, from: 2013-01-01, plan: airport-fees/hub}", STANDARD)

    assert "version 2 is published with airport-fees/standard; add version 3" in text_of(other)
    assert "version 1 is published with prices of its own; add version 3" in text_of(own)
