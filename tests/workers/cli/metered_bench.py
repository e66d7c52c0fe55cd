"""A subscription billed by metrics of a test's choice, from a file of events to closed runs, without tax."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from operator_bench import Operator

from workers.cli.send import LOCAL_USER

MASTER = """
connections: {{books: {{adapter: ledger-file, per_second: 1000}}}}
legal_entities: {{north: {{name: North, currency: EUR, zone: {zone}, jurisdiction: de, connection: books}}}}
cycles: {{north/month: {{}}}}
tax_rates: [{{jurisdiction: de, category: exempt, rate: "0", from: 2026-01-01, source: untaxed by agreement}}]
accounts: {{a: {{name: Account A}}}}
meters:
  m: {{owner: product, versions: [{{version: 1, fields: [{{name: n, kind: decimal}},
    {{name: who, kind: string, is_required: false}}, {{name: op, kind: string, is_required: false}},
    {{name: reset, kind: boolean, is_required: false}}]}}]}}
metrics: {{{metrics}}}
price_books: {{plain: {{{prices}}}}}
sources: {{/m: {{owner: operations, users: [{user}]}}}}
contracts:
  c: {{account: a, legal_entity: north, currency: EUR, versions: [{{version: 1, from: {first_on}, prices: plain}}]}}
subscriptions: {{s: {{contract: c, cycle: north/month}}}}
mappings: [{{source: /m, subject: k, subscription: s}}]
"""
PER_UNIT = "{model: per_unit, unit_amount: '1'}"


class Books:
    """What a test does with them."""

    def __init__(self, operator: Operator, folder: Path) -> None:
        self.operator = operator
        self._folder = folder

    def publish(
        self, metrics: Mapping[str, str], *, zone: str = "UTC", first_on: str = "2026-01-01", terms: str = PER_UNIT
    ) -> None:
        """The metrics by name, as fields of their definitions; all of them at the same terms."""
        of_price = f"terms: {terms}, tax_category: exempt, revenue_account: revenue"
        defined = ", ".join(f"{name}: {{meter: m, unit: u, {fields}}}" for name, fields in metrics.items())
        prices = ", ".join(f"{name}: {{{of_price}}}" for name in metrics)
        words = MASTER.format(zone=zone, metrics=defined, prices=prices, user=LOCAL_USER, first_on=first_on)
        file = self._folder / "master.yaml"
        file.write_text(words)
        ran = self.operator("master", "load", file)
        assert ran.code == 0, ran.err

    def bill(self, period: str, *words: str) -> None:
        """Close the period to the end."""
        ran = self.operator("close", "north", period, "--approve", *words)
        assert ran.code == 0, ran.out

    def blocked(self, period: str, *words: str) -> str:
        """What is told of a period that cannot be closed."""
        ran = self.operator("close", "north", period, "--approve", *words)
        assert ran.code == 1, ran.out
        return ran.out

    def billed(self, metric: str) -> dict[str, Decimal]:
        """What the lines of each period of a metric come to, by the period's first day."""
        found = self.operator.rows(
            """select p.starts_on::text, sum(l.net) from invoice_lines l join rated_usages r on r.id = l.rated_usage_id
                 join invoices i on i.id = l.invoice_id and i.state <> 'void'
                 join billing_periods p on p.id = r.billing_period_id join metrics m on m.id = l.metric_id
                 where m.name = :metric group by 1 order by 1""",
            metric=metric,
        )
        return dict(found)

    def quantities(self, metric: str) -> list[Decimal]:
        """What was rated of it, oldest first."""
        found = self.operator.rows(
            """select quantity from rated_usages r join metrics m on m.id = metric_id where m.name = :metric
                 order by r.id""",
            metric=metric,
        )
        return [quantity for (quantity,) in found]

    def all_is_well(self) -> None:
        """Every usage has its fate, no line differs from a recount, and each is explained to the cent."""
        status = self.operator.json("status", "--identity")
        assert (status["differences"], status["unbilled"]) == ([], {})
        for (line,) in self.operator.rows("select id from invoice_lines order by id"):
            ((story),) = self.operator.json("trace", "--line", line)
            assert story["behind"]["is_proven"], story
        for line, net in self.operator.rows("select id, net from invoice_lines order by id"):
            ((told),) = self.operator.json("explain", line)
            amounts = [Decimal(each["amount"]) for each in told["sentences"] if each["amount"] is not None]
            assert sum(amounts) == net, told

    def sentences(self, line: int) -> list[str]:
        """How a line is explained."""
        ((told),) = self.operator.json("explain", line)
        return [each["text"] for each in told["sentences"]]


def event(name: str, at: datetime, **data: object) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": name, "source": "/m", "type": "m", "subject": "k", "time": at.isoformat(),
        "data": data,
    }  # fmt: skip
