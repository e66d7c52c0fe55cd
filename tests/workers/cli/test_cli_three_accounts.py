"""Three accounts at 1.50 a unit, untaxed: one misses events, one its subscription, one an open period; none a cent.

A sends the numbers 1 to 1,000 without 301 to 350, B 40 events that lead to no subscription, C 200 events whose document
its ERP refuses, since its month is closed there. D has a subscription and no event at all.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from workers.cli.producing import LOCAL_USER

MASTER = f"""
connections:
  books-north: {{adapter: ledger-file, per_second: 1000}}
  books-south: {{adapter: ledger-file, per_second: 1000}}
legal_entities:
  north: {{name: North, currency: EUR, zone: Europe/Berlin, jurisdiction: de, connection: books-north}}
  south: {{name: South, currency: EUR, zone: Europe/Berlin, jurisdiction: de, connection: books-south}}
cycles: {{north/month: {{}}, south/month: {{}}}}
tax_rates:
  - {{jurisdiction: de, category: exempt, rate: "0", from: 2026-01-01, source: untaxed by agreement}}
accounts: {{a: {{name: Account A}}, b: {{name: Account B}}, c: {{name: Account C}}, d: {{name: Account D}}}}
meters:
  call: {{owner: product, versions: [{{version: 1, max_age_days: 400, fields: [{{name: line, kind: string}}]}}]}}
metrics: {{calls: {{meter: call, aggregation: count, unit: call}}}}
price_books:
  plain: {{calls: {{terms: {{model: per_unit, unit_amount: "1.50"}}, tax_category: exempt, revenue_account: revenue}}}}
sources:
  /a: {{owner: switch a, users: [{LOCAL_USER}], sequence_start: 1}}
  /b: {{owner: switch b, users: [{LOCAL_USER}]}}
  /c: {{owner: switch c, users: [{LOCAL_USER}]}}
contracts:
  ca: {{account: a, legal_entity: north, currency: EUR, versions: [{{version: 1, from: 2026-01-01, prices: plain}}]}}
  cb: {{account: b, legal_entity: north, currency: EUR, versions: [{{version: 1, from: 2026-01-01, prices: plain}}]}}
  cc: {{account: c, legal_entity: south, currency: EUR, versions: [{{version: 1, from: 2026-01-01, prices: plain}}]}}
  cd: {{account: d, legal_entity: north, currency: EUR, versions: [{{version: 1, from: 2026-01-01, prices: plain}}]}}
subscriptions:
  sa: {{contract: ca, cycle: north/month}}
  sc: {{contract: cc, cycle: south/month}}
  sd: {{contract: cd, cycle: north/month}}
mappings:
  - {{source: /a, subject: line-a, subscription: sa}}
  - {{source: /c, subject: line-c, subscription: sc}}
"""
#: What B was missing.
MAPPED = """
subscriptions: {sb: {contract: cb, cycle: north/month}}
mappings: [{source: /b, subject: line-b, subscription: sb}]
"""
APRIL = datetime(2026, 4, 3, 8, tzinfo=UTC)


def call(source: str, number: int, *, is_numbered: bool = False) -> dict[str, object]:
    made: dict[str, object] = {
        "specversion": "1.0",
        "id": f"{source}/{number}",
        "source": f"/{source}",
        "type": "call",
        "subject": f"line-{source}",
        "time": (APRIL + timedelta(minutes=number)).isoformat(),
        "data": {"line": source},
    }
    return made | {"sequence": str(number)} if is_numbered else made


@pytest.fixture
def books(operator, tmp_path):
    """The master data are published, and April is closed in the books of the south."""
    file = tmp_path / "master.yaml"
    file.write_text(MASTER)
    loaded = operator("master", "load", file)
    assert loaded.code == 0, loaded.err
    south = tmp_path / "ledgers" / "books-south"
    south.mkdir(parents=True)
    (south / "periods").write_text("2026-04 closed\n")
    return operator


def excepted(operator) -> dict[str, tuple[int, Decimal]]:
    """How many exceptions are open of each code, and the money they hold up."""
    return {
        each["code"]: (each["exceptions"], sum((Decimal(amount) for amount in each["money"].values()), Decimal(0)))
        for each in operator.json("exceptions")
    }


def send(operator, lines, *events) -> None:
    ran = operator("send", lines(*events))
    assert ran.code == 0, ran.err


def close(operator, entity: str, *words: str):
    return operator("close", entity, "2026-04", *words)


def test_what_is_missing_blocked_or_refused_is_billed_in_the_end_and_nothing_twice(books, lines, tmp_path):
    send(books, lines, *(call("a", n, is_numbered=True) for n in range(1, 1_001) if not 301 <= n <= 350))
    send(books, lines, *(call("b", n) for n in range(40)))
    send(books, lines, *(call("c", n) for n in range(200)))
    # Nobody knows yet whose the events of B are, so they are in the way of both; those of A and B are not the south's.
    elsewhere = ("--override", "subscription_not_found", "--override", "sequence_gap", "--reason", "of the north")
    held = close(books, "south", *elsewhere, "--approve")
    assert held.code == 1, held.out
    assert close(books, "north").code == 1

    status = books.json("status", "--identity")
    assert status["events"]["accepted"] == 950 + 40 + 200 == 1_190
    assert excepted(books) == {
        "sequence_gap": (1, Decimal("75.00")),
        "subscription_not_found": (40, Decimal("60.00")),
        "period_closed": (1, Decimal("300.00")),
    }
    assert {code: Decimal(amount) for code, amount in status["unbilled"].items()} == {"EUR": Decimal("1425.00")}
    assert {code: Decimal(amount) for code, amount in status["excepted"].items()} == {"EUR": Decimal("360.00")}
    assert {code: Decimal(amount) for code, amount in status["estimated_loss"].items()} == {"EUR": Decimal("75.00")}
    (fates,) = (each for each in status["usage"] if each["metric"] == "calls")
    assert (fates["attributed"], fates["in_flight"], fates["excepted"]) == (1_190, 950, 240)
    blockers = {each["code"]: each["count"] for each in close(books, "north", "--json").json["blockers"]}
    assert blockers == {"sequence_gap": 1, "subscription_not_found": 40}

    send(books, lines, *(call("a", n, is_numbered=True) for n in range(350, 300, -1)))
    mapped = tmp_path / "mapped.yaml"
    mapped.write_text(MAPPED)
    assert books("master", "load", mapped).code == 0
    (tmp_path / "ledgers" / "books-south" / "periods").write_text("2026-04 open\n")
    books.run("update work set due_at = now() where state = 'ready'")
    assert close(books, "north", "--approve").code == 0
    assert close(books, "south").code == 0

    assert excepted(books) == {}
    invoices = books.rows("select account_id, state, gross from invoices where state <> 'empty' order by account_id")
    assert invoices == [
        ("a", "posted", Decimal("1500.00")),
        ("b", "posted", Decimal("60.00")),
        ("c", "posted", Decimal("300.00")),
    ]
    assert sum(gross for _, _, gross in invoices) == Decimal("1860.00") == 1_240 * Decimal("1.50")
    (unbilled,) = books.json("close", "north", "2026-04", "--unbilled")["unbilled"]
    assert (unbilled["subscription"], unbilled["account"], unbilled["reason"]) == ("sd", "d", "nothing_due")
    after = books.json("status", "--identity")
    assert (after["differences"], after["unbilled"]) == ([], {})
    (fates,) = (each for each in after["usage"] if each["metric"] == "calls")
    assert (fates["attributed"], fates["billed"]) == (1_240, 1_240)
