"""Compares what the demo billed with control totals that were made by another path, figure by figure."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from workers.cli.console import FOUND, Failure
from workers.cli.flights import DEMO
from workers.store import identity

SCRIPT = DEMO / "control_totals.py"
#: Plain Python over one month takes under a second.
SCRIPT_S_MAX = 60


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure by both paths; `found` is what Tallyline has."""

    name: str
    expected: str
    found: str

    @property
    def is_equal(self) -> bool:
        """Whether both paths came to the same, to the last digit."""
        return self.expected == self.found


def control_totals() -> Mapping[str, Any]:
    """Run the script in a process that shares nothing with this one but the CSV. Raises `Failure`."""
    ran = subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=SCRIPT_S_MAX, check=False
    )
    if ran.returncode:
        says = (ran.stderr.strip() or f"it ended with {ran.returncode}").splitlines()[-1]
        raise Failure(f"no control totals: {says}", fix=f"run {SCRIPT} by itself", code=FOUND)
    totals: Mapping[str, Any] = json.loads(ran.stdout)
    return totals


_QUANTITIES = text("""
select i.legal_entity_id as entity, m.name as metric, sum(l.quantity) as quantity
from invoice_lines l join invoices i on i.id = l.invoice_id and i.state = 'posted' join metrics m on m.id = l.metric_id
group by 1, 2
""")
_DOCUMENTS = text("""
select i.legal_entity_id || '/' || i.account_id as name, i.net, i.tax, i.gross
from invoices i join erp_postings p on p.invoice_id = i.id and p.state = 'confirmed' where i.state = 'posted'
""")
_MONEY = text("""
select legal_entity_id as entity, sum(net) as net, sum(tax) as tax, sum(gross) as gross from invoices
where state = 'posted' group by 1
""")


def figures(conn: Connection, totals: Mapping[str, Any]) -> Iterator[Figure]:
    """Every figure of the control totals beside what the database has: events, usage, quantities, documents, money."""
    yield Figure("events", str(totals["events"]), str(identity.event_totals(conn).accepted))
    usage = {each.metric: each for each in identity.usage_totals(conn)}
    for metric, fates in totals["usage"].items():
        for fate, expected in fates.items():
            found = getattr(usage[metric], fate) if metric in usage else 0
            yield Figure(f"usage of {metric}, {fate}", str(expected), str(found))
    quantities = {(row.entity, row.metric): row.quantity for row in conn.execute(_QUANTITIES)}
    for entity, metrics in totals["quantity"].items():
        for metric, expected in metrics.items():
            found = quantities.get((entity, metric), Decimal(0))
            yield Figure(f"quantity of {metric} sold by {entity}", _plain(expected), _plain(found))
    yield from _money(conn, totals)


def _money(conn: Connection, totals: Mapping[str, Any]) -> Iterator[Figure]:
    documents = {row.name: row for row in conn.execute(_DOCUMENTS)}
    yield Figure("documents", str(len(totals["documents"])), str(len(documents)))
    for name, amounts in totals["documents"].items():
        for kind, expected in amounts.items():
            found = getattr(documents[name], kind) if name in documents else None
            yield Figure(f"{kind} of {name}", expected, "missing" if found is None else f"{found:.2f}")
    sums = {row.entity: row for row in conn.execute(_MONEY)}
    for entity, amounts in totals["money"].items():
        for kind, expected in amounts.items():
            found = getattr(sums[entity], kind) if entity in sums else Decimal(0)
            yield Figure(f"{kind} of {entity}", expected, f"{found:.2f}")


def _plain(number: object) -> str:
    return f"{Decimal(str(number)).normalize():f}"
