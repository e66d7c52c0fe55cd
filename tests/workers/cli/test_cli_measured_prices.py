"""Prices that need more than a quantity, through the line: what a metric keeps is what its price sees."""

from decimal import Decimal

from workers.cli.send import LOCAL_USER

MASTER = f"""
connections: {{books: {{adapter: ledger-file, per_second: 1000}}}}
legal_entities: {{north: {{name: North, currency: EUR, zone: Asia/Kathmandu, jurisdiction: de, connection: books}}}}
cycles: {{north/month: {{}}}}
tax_rates: [{{jurisdiction: de, category: exempt, rate: "0", from: 2026-01-01, source: untaxed by agreement}}]
accounts: {{a: {{name: Account A}}}}
meters:
  sold: {{owner: product, versions: [{{version: 1, fields: [{{name: n, kind: decimal}}, {{name: money, kind: decimal}},
    {{name: what, kind: string}}]}}]}}
metrics:
  payments: {{meter: sold, aggregation: each, property: money, filter: {{what: [payment]}}, unit: EUR}}
  calls: {{meter: sold, aggregation: charged, property: n, amount: money, filter: {{what: [call]}}, unit: call}}
  machine: {{meter: sold, aggregation: peaks, property: n, by: what, filter: {{what: [cpu, ram]}}, unit: unit}}
  traffic: {{meter: sold, aggregation: sum, property: n, bucket: hour, filter: {{what: [gb]}}, unit: GB}}
price_books:
  plain:
    payments: {{terms: {{model: percentage, rate_percent: "1", fixed_amount: "0.30"}}, tax_category: exempt,
      revenue_account: revenue}}
    calls: {{terms: {{model: dynamic, multiplier: "1.1"}}, tax_category: exempt, revenue_account: revenue}}
    machine: {{terms: {{model: capacity, zero_usage: none, tiers: [{{amount: "50", limits: {{cpu: "4", ram: "16"}}}},
      {{amount: "100", limits: {{cpu: "8", ram: "64"}}}}, {{amount: "300", limits: {{cpu: null, ram: null}}}}]}},
      tax_category: exempt, revenue_account: revenue}}
    traffic: {{terms: {{model: bucketed, price: {{model: graduated, zero_usage: none, tiers: [
      {{up_to: "10", unit_amount: "1"}}, {{up_to: null, unit_amount: "0.5"}}]}}}}, tax_category: exempt,
      revenue_account: revenue}}
sources: {{/m: {{owner: operations, users: [{LOCAL_USER}]}}}}
contracts:
  c: {{account: a, legal_entity: north, currency: EUR, versions: [{{version: 1, from: 2026-01-01, prices: plain}}]}}
subscriptions: {{s: {{contract: c, cycle: north/month}}}}
mappings: [{{source: /m, subject: k, subscription: s}}]
"""
#: (what, n, money, minute of the sixth of April, 2 pm in Kathmandu, where hours begin at a quarter past in UTC)
SOLD = (
    ("payment", 1, "100", 0), ("payment", 1, "200", 5),
    ("call", 2, "1.5", 0), ("call", 3, "2.25", 0),
    ("cpu", 6, "0", 0), ("cpu", 8, "0", 3), ("cpu", 2, "0", 9), ("ram", 40, "0", 0),
    ("gb", 10, "0", 0), ("gb", 5, "0", 59), ("gb", 4, "0", 60),
)  # fmt: skip


def event(number: int, what: str, n: int, money: str, minute: int) -> dict[str, object]:
    return {
        "specversion": "1.0", "id": f"e{number}", "source": "/m", "type": "sold", "subject": "k",
        "time": f"2026-04-06T{14 + minute // 60}:{minute % 60:02}:00+05:45",
        "data": {"what": what, "n": n, "money": money},
    }  # fmt: skip


def test_each_price_sees_what_its_metric_keeps(operator, lines, tmp_path):
    file = tmp_path / "master.yaml"
    file.write_text(MASTER)
    loaded = operator("master", "load", file)
    assert loaded.code == 0, loaded.err

    sent = operator("send", lines(*(event(number, *sold) for number, sold in enumerate(SOLD))))
    assert sent.code == 0, sent.err
    closed = operator("close", "north", "2026-04", "--approve")
    assert closed.code == 0, closed.out

    billed = operator.rows(
        """select m.name, r.quantity, r.amount, l.net from rated_usages r join metrics m on m.id = r.metric_id
             join invoice_lines l on l.rated_usage_id = r.id order by 1"""
    )
    assert billed == [
        ("calls", 5, Decimal("3.75") * Decimal("1.1"), Decimal("4.13")),
        ("machine", 40, 100, Decimal("100.00")),
        ("payments", 300, 1 + Decimal("0.30") + 2 + Decimal("0.30"), Decimal("3.60")),
        ("traffic", 19, 10 + Decimal("2.5") + 4, Decimal("16.50")),
    ]
    for (line,) in operator.rows("select id from invoice_lines order by id"):
        ((story),) = operator.json("trace", "--line", line)
        assert story["behind"]["is_proven"], story
    assert operator.json("status", "--identity")["differences"] == []
