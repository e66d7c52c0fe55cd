"""Master data of one phone company and its customer, as a file, and how tests load it."""

from pathlib import Path

from operator_bench import Operator, Ran

PHONES = """
connections:
  books: {adapter: ledger-file}
legal_entities:
  us: {name: Us, currency: USD, zone: America/New_York, jurisdiction: us-ny, connection: books}
cycles:
  us/month: {}
accounts:
  A: {name: Account A}
  B: {name: Account B}
  C: {name: Account C}
price_books:
  plain:
    calls: {terms: {model: per_unit, unit_amount: "0.25"}, tax_category: service, revenue_account: revenue}
contracts:
  C-1: {account: A, legal_entity: us, currency: USD, versions: [{version: 1, from: 2026-01-01, prices: plain}]}
subscriptions:
  S-1: {contract: C-1, cycle: us/month}
sources:
  /phones: {owner: operations, users: [phones]}
meters:
  call.ended: {owner: operations, versions: [{version: 1, fields: [{name: minutes, kind: decimal}]}]}
metrics:
  calls: {meter: call.ended, aggregation: count, unit: call}
mappings:
  - {source: /phones, subject: k1, subscription: S-1}
tax_rates:
  - {jurisdiction: us-ny, category: service, rate: "8.875", from: 2026-01-01, source: the state}
"""


class Loader:
    """Loads what a file says, as an operator does."""

    def __init__(self, operator: Operator, folder: Path) -> None:
        self.operator = operator
        self.folder = folder

    def file(self, content: str, name: str = "master.yaml") -> Path:
        """A file of that content."""
        path = self.folder / name
        path.write_text(content)
        return path

    def __call__(self, content: str, *words: object) -> Ran:
        return self.operator("master", "load", self.file(content), *words)

    def done(self, content: str) -> dict[str, dict[str, int]]:
        """Load what must be right; what was new, changed and there already."""
        return self.operator.json("master", "load", self.file(content))

    def refused(self, content: str) -> str:
        """Load what must not be; the errors in one line."""
        ran = self(content)
        assert ran.code == 2, ran.out
        return " ".join(ran.err.split())
