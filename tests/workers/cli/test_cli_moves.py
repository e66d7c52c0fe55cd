"""Master data that arrive late or change: parked usage heals, attributed usage moves, and no total changes."""

import pytest
from operator_bench import departure

from workers.store import identity
from workers.store.database import snapshot


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def assert_identity() -> None:
    with snapshot() as conn:
        assert identity.differences(conn) == []


@pytest.fixture
def load(airports, tmp_path):
    def run(content: str):
        file = tmp_path / "more.yaml"
        file.write_text(content)
        return airports("master", "load", file, "--json")

    return run


def windows(operator) -> list[tuple[str, int, int]]:
    return operator.rows("""select s.ref, v.version, sum(a.quantity) from aggregates a
      join subscriptions s on s.id = subscription_id join contract_versions v on v.id = contract_version_id
      join metrics m on m.id = metric_id where m.name = 'departures' and a.quantity <> 0 group by 1, 2 order by 1, 2""")


def test_parked_usage_heals_when_its_mapping_arrives(airports, lines, load):
    airports("send", lines(departure(1, subject="ZZ")))
    assert windows(airports) == []

    loaded = load("mappings:\n- {source: /ops/ewr, subject: ZZ, subscription: newark-UA-usage}\n").json

    assert loaded["woken"] == 1
    assert windows(airports) == [("newark-UA-usage", 1, 1)]
    assert airports.rows("select distinct state from exceptions") == [("resolved",)]
    assert_identity()


def test_parked_usage_heals_when_a_contract_gets_a_version(airports, lines, load):
    airports("send", lines(departure(1, time="2012-12-31T10:00:00Z")))
    airports.run("update subscriptions set starts_at = '2012-01-01'")
    airports.run("update mappings set starts_at = '2012-01-01'")
    assert airports("replay", "--code", "subscription_not_found", "--yes").code == 0
    assert airports.rows("select distinct code from exceptions where state = 'open'") == [("contract_not_in_force",)]

    load("""
contracts:
  newark-UA:
    account: UA
    legal_entity: newark
    currency: USD
    versions:
      - version: 2
        from: 2012-01-01
        to: 2013-01-01
        prices: {departures: {terms: {model: per_unit, unit_amount: "1"}, tax_category: runway, revenue_account: r}}
""")

    assert windows(airports) == [("newark-UA-usage", 2, 1)]
    assert_identity()


def test_a_mapping_that_covers_attributed_usage_moves_it(airports, lines, load):
    airports("send", lines(departure(1), departure(2, time="2013-01-03T10:00:00Z")))

    ran = load("mappings:\n- {source: /ops/ewr, subject: UA, subscription: newark-AA-usage, from: 2013-01-02}\n")

    assert ran.code == 0
    assert windows(airports) == [("newark-AA-usage", 1, 1), ("newark-UA-usage", 1, 1)]
    assert airports.one("select sum(sign) from attributions") == 6
    assert_identity()


def test_a_backdated_contract_version_moves_the_usage_it_covers(airports, lines, load):
    airports("send", lines(departure(1), departure(2, time="2013-01-20T10:00:00Z")))

    load("""
contracts:
  newark-UA:
    account: UA
    legal_entity: newark
    currency: USD
    versions:
      - version: 2
        from: 2013-01-15
        prices: {departures: {terms: {model: per_unit, unit_amount: "1"}, tax_category: runway, revenue_account: r}}
""")

    assert windows(airports) == [("newark-UA-usage", 1, 1), ("newark-UA-usage", 2, 1)]
    assert_identity()


def test_a_subscription_does_not_end_before_usage_that_is_attributed_to_it(airports, lines, load):
    airports("send", lines(departure(1)))
    ended = "subscriptions:\n  newark-UA-usage: {contract: newark-UA, cycle: newark/month, from: 2013-01-01, to: %s}\n"

    refused = load(ended % "2013-01-01T06:00Z")

    assert refused.code == 2
    assert "before usage that is attributed to it" in text_of(refused)
    assert load(ended % "2014-01-01").code == 0
    assert airports.one("select ends_at::date::text from subscriptions where ref = 'newark-UA-usage'") == "2014-01-01"


def test_usage_that_was_moved_away_by_mistake_comes_back(airports, lines, load):
    airports("send", lines(departure(1)))
    load("""
subscriptions:
  too-late: {contract: newark-UA, cycle: newark/month, from: 2014-01-01}
mappings:
- {source: /ops/ewr, subject: UA, subscription: too-late, from: 2013-01-01}
""")
    assert windows(airports) == []
    assert airports.rows("select distinct code, state from exceptions") == [("subscription_not_found", "open")]

    for _ in range(2):
        load("mappings:\n- {source: /ops/ewr, subject: UA, subscription: newark-UA-usage, from: 2013-01-01}\n")

    assert windows(airports) == [("newark-UA-usage", 1, 1)]
    assert airports.rows("select distinct state from exceptions") == [("resolved",)]
    assert airports.rows("select distinct state from work") == [("done",)]
    assert_identity()
