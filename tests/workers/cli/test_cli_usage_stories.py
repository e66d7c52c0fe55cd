"""Usage as it is sold: a level of storage, hours of a machine, requests by the million; to the cent, and only once.

Everything goes the whole way, from a file of events to the lines of closed billing runs, in UTC and without tax.
"""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from workers.cli.send import LOCAL_USER

MASTER = f"""
connections: {{books: {{adapter: ledger-file, per_second: 1000}}}}
legal_entities: {{north: {{name: North, currency: EUR, zone: UTC, jurisdiction: de, connection: books}}}}
cycles: {{north/month: {{}}}}
tax_rates: [{{jurisdiction: de, category: exempt, rate: "0", from: 2026-01-01, source: untaxed by agreement}}]
accounts: {{a: {{name: Account A}}}}
meters:
  storage: {{owner: product, versions: [{{version: 1, fields: [{{name: gb, kind: decimal}}]}}]}}
  compressor: {{owner: product, versions: [{{version: 1, fields: [{{name: hours, kind: decimal}}]}}]}}
  requests: {{owner: product, versions: [{{version: 1, fields: [{{name: number, kind: integer}},
    {{name: region, kind: string}}]}}]}}
metrics:
  stored: {{meter: storage, aggregation: weighted_sum, property: gb, recurring: true, unit: GB-month}}
  hours: {{meter: compressor, aggregation: sum, property: hours, unit: hour}}
  requests: {{meter: requests, aggregation: sum, property: number, filter: {{region: [europe]}}, unit: request}}
price_books:
  plain:
    stored: {{terms: {{model: graduated, zero_usage: none, tiers: [{{up_to: "500", unit_amount: "0"}},
      {{up_to: null, unit_amount: "0.10"}}]}}, tax_category: exempt, revenue_account: revenue}}
    hours: {{terms: {{model: graduated, zero_usage: none, tiers: [{{up_to: "300", unit_amount: "5"}},
      {{up_to: null, unit_amount: "4"}}]}}, tax_category: exempt, revenue_account: revenue}}
    requests: {{terms: {{model: graduated, zero_usage: none, tiers: [{{up_to: "1000000", unit_amount: "0.0004"}},
      {{up_to: "5000000", unit_amount: "0.0003"}}, {{up_to: null, unit_amount: "0.0002"}}]}}, tax_category: exempt,
      revenue_account: revenue}}
sources: {{/m: {{owner: operations, users: [{LOCAL_USER}]}}}}
contracts:
  c: {{account: a, legal_entity: north, currency: EUR, versions: [{{version: 1, from: 2026-01-01, prices: plain}}]}}
subscriptions: {{s: {{contract: c, cycle: north/month}}}}
mappings: [{{source: /m, subject: k, subscription: s}}]
"""
APRIL, JUNE = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


def event(name: str, meter: str, at: datetime, **data: object) -> dict[str, object]:
    return {
        "specversion": "1.0", "id": name, "source": "/m", "type": meter, "subject": "k", "time": at.isoformat(),
        "data": data,
    }  # fmt: skip


@pytest.fixture
def books(operator, tmp_path):
    """The master data are published."""
    file = tmp_path / "master.yaml"
    file.write_text(MASTER)
    loaded = operator("master", "load", file)
    assert loaded.code == 0, loaded.err
    return operator


def send(books, lines, events) -> None:
    ran = books("send", lines(*events))
    assert ran.code == 0, ran.err


def bill(books, period: str, *words: str) -> None:
    ran = books("close", "north", period, "--approve", *words)
    assert ran.code == 0, ran.out


def billed(books, metric: str) -> dict[str, Decimal]:
    """What the lines of each period of a metric come to, by the period's first day."""
    found = books.rows(
        """select p.starts_on::text, sum(l.net) from invoice_lines l join rated_usages r on r.id = l.rated_usage_id
             join billing_periods p on p.id = r.billing_period_id join metrics m on m.id = l.metric_id
             where m.name = :metric group by 1 order by 1""",
        metric=metric,
    )
    return dict(found)


def all_is_well(books) -> None:
    status = books.json("status", "--identity")
    assert (status["differences"], status["unbilled"]) == ([], {})
    for (line,) in books.rows("select id from invoice_lines order by id"):
        ((story),) = books.json("trace", "--line", line)
        assert story["behind"]["is_proven"], story


def test_storage_is_its_mean_level_goes_on_without_events_and_is_put_right_when_events_come_late(books, lines):
    send(books, lines, [
        event("fill", "storage", JUNE, gb=400),
        event("more", "storage", JUNE + timedelta(days=10), gb="600"),
    ])  # fmt: skip

    bill(books, "2026-06")
    assert books.rows("select quantity, amount from rated_usages") == [(Decimal(800), Decimal(30))]
    assert (400 * 10 + 1_000 * 20) / 30 == 800
    bill(books, "2026-07")
    assert billed(books, "stored") == {"2026-06-01": Decimal("30.00"), "2026-07-01": Decimal("50.00")}
    all_is_well(books)

    send(books, lines, [event("late", "storage", JUNE + timedelta(days=15), gb=100)])
    bill(books, "2026-06", "--invoice-on", "2026-09-01")
    bill(books, "2026-07", "--invoice-on", "2026-09-01")
    assert billed(books, "stored") == {"2026-06-01": Decimal("35.00"), "2026-07-01": Decimal("60.00")}
    all_is_well(books)


def test_readings_of_a_compressor_that_come_late_and_again_are_billed_once(books, lines):
    readings = [event(f"r{n}", "compressor", APRIL + timedelta(hours=n), hours="0.5") for n in range(720)]

    send(books, lines, readings[:648])
    send(books, lines, [*readings[600:648], *readings[648:]])
    bill(books, "2026-04")

    events = books.json("status", "--identity")["events"]
    assert (events["parsed"], events["accepted"], events["duplicate"]) == (768, 720, 48)
    assert billed(books, "hours") == {"2026-04-01": Decimal("1740.00")}
    assert 300 * 5 + 60 * 4 == 1_740
    all_is_well(books)


def test_requests_by_the_million_are_billed_by_tier_and_the_same_again_changes_nothing(books, lines):
    requests = [
        event(f"q{n}", "requests", JUNE + timedelta(hours=n // 9, minutes=n % 9), number=1_000, region="europe")
        for n in range(720 * 9)
    ]
    elsewhere = [event(f"x{n}", "requests", JUNE, number=1_000, region="africa") for n in range(10)]

    send(books, lines, requests + elsewhere)
    bill(books, "2026-06")
    assert books.rows("select quantity, amount from rated_usages") == [(Decimal(6_480_000), Decimal(1_896))]
    assert 1_000_000 * Decimal("0.0004") + 4_000_000 * Decimal("0.0003") + 1_480_000 * Decimal("0.0002") == 1_896
    send(books, lines, random.Random(1).sample(requests, len(requests)))
    bill(books, "2026-06")

    events = books.json("status", "--identity")["events"]
    assert (events["accepted"], events["duplicate"]) == (6_490, 6_480)
    assert billed(books, "requests") == {"2026-06-01": Decimal("1896.00")}
    all_is_well(books)
    excluded = books.json("trace", "/m", "x1")["exclusions"]
    assert [(each["metric"], each["rule"]) for each in excluded] == [(None, "filter")]
