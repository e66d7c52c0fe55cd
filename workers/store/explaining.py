"""The lines of a document as they are explained: what was rated, what was billed of it, and what was billed before."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from domain.explanations import Told, ToldBeside
from domain.money import Currency, Money
from domain.prices import TraceStep
from workers.store import documents

#: Lines that one question loads.
LINES_MAX = 500
#: Earlier documents of one line that are named.
EARLIER_MAX = 12


@dataclass(frozen=True, slots=True)
class Explained:
    """A line, the document it stands on, and what is told of it."""

    line: int
    position: int
    invoice_id: int
    number: str | None
    kind: str
    state: str
    account: str
    legal_entity: str
    tax_category: str
    told: Told


@dataclass(frozen=True, slots=True)
class ExplainedBeside:
    """What a document gives or asks beside its lines, and what is told of it."""

    position: int
    invoice_id: int
    number: str | None
    kind: str
    state: str
    account: str
    legal_entity: str
    giver: str
    tax_category: str
    told: ToldBeside


_LINES = """
select l.id as line, l.position, i.id as invoice_id, i.number_text as number, i.kind, i.state, i.currency,
  a.name as account, i.legal_entity_id as legal_entity, l.tax_category, m.name as metric, l.unit, r.dimensions,
  l.service_starts_on, l.service_ends_on, r.quantity as period_quantity, l.quantity, r.amount, l.net, l.asked,
  r.trace, e.earlier, h.phase
from invoice_lines l join invoices i on i.id = l.invoice_id join accounts a on a.id = i.account_id
join rated_usages r on r.id = l.rated_usage_id join metrics m on m.id = l.metric_id
join contract_versions v on v.id = r.contract_version_id left join subscription_phases h on h.id = v.phase_id
left join lateral (
  select array_agg(coalesce(n.number_text, 'draft ' || n.id) order by n.id) as earlier from (
    select j.id, j.number_text from invoice_lines o join rated_usages p on p.id = o.rated_usage_id
    join invoices j on j.id = o.invoice_id
    where o.subscription_id = l.subscription_id and o.metric_id = l.metric_id and o.price_id = l.price_id
      and p.billing_period_id = r.billing_period_id and p.dimensions = r.dimensions and j.state <> 'void'
      and o.id < l.id and o.net <> 0 order by j.id desc limit :earlier_max) n) e on true
where {which} order by l.invoice_id, l.position limit :lines_max
"""
_BESIDE = text("""
select b.position, i.id as invoice_id, i.number_text as number, i.kind, i.state, i.currency, a.name as account,
  i.legal_entity_id as legal_entity, b.kind as giver, b.tax_category, b.description, b.service_starts_on,
  b.service_ends_on, b.net, b.trace
from invoice_adjustments b join invoices i on i.id = b.invoice_id join accounts a on a.id = i.account_id
where b.invoice_id = any(cast(:ids as bigint[])) order by b.invoice_id, b.position limit :lines_max
""")
_OF_DOCUMENTS = "l.invoice_id = any(cast(:ids as bigint[]))"


def line(conn: Connection, line_id: int) -> list[Explained]:
    """The line of that number, or none."""
    return _lines(conn, "l.id = :line_id", line_id=line_id)


def lines_of(conn: Connection, document: str, *, position: int | None) -> list[Explained]:
    """The line at a position, or all, of the documents with that number, or of the draft with that id."""
    ids = documents.called(conn, document, only_drafts=True)
    if position is None:
        return _lines(conn, _OF_DOCUMENTS, ids=ids)
    return _lines(conn, f"{_OF_DOCUMENTS} and l.position = :position", ids=ids, position=position)


def beside_lines_of(conn: Connection, document: str) -> list[ExplainedBeside]:
    """What the documents with that number, or the draft with that id, give or ask beside their lines."""
    ids = documents.called(conn, document, only_drafts=True)
    return [
        ExplainedBeside(
            row.position, row.invoice_id, row.number, row.kind, row.state, row.account, row.legal_entity, row.giver,
            row.tax_category,
            ToldBeside(
                row.description, row.service_starts_on, row.service_ends_on, Money(row.net, Currency(row.currency)),
                _steps(row.trace),
            ),
        )
        for row in conn.execute(_BESIDE, {"ids": ids, "lines_max": LINES_MAX})
    ]  # fmt: skip


def _lines(conn: Connection, which: str, **values: object) -> list[Explained]:
    bounds = {"lines_max": LINES_MAX, "earlier_max": EARLIER_MAX}
    return [_explained(row) for row in conn.execute(text(_LINES.format(which=which)), {**values, **bounds})]


def _explained(row: Row[Any]) -> Explained:
    currency = Currency(row.currency)
    told = Told(
        metric=row.metric,
        unit=row.unit,
        dimensions=json.loads(row.dimensions) if row.dimensions else {},
        starts_on=row.service_starts_on,
        ends_on=row.service_ends_on,
        period_quantity=row.period_quantity,
        quantity=row.quantity,
        amount=Money(row.amount, currency),
        net=Money(row.net, currency),
        steps=_steps(row.trace),
        earlier=tuple(row.earlier or ()),
        phase=row.phase,
        asked=None if row.asked is None else Money(row.asked, currency),
    )
    return Explained(
        row.line, row.position, row.invoice_id, row.number, row.kind, row.state, row.account, row.legal_entity,
        row.tax_category, told,
    )  # fmt: skip


def _steps(trace: Sequence[dict[str, Any]]) -> tuple[TraceStep, ...]:
    return tuple(TraceStep.from_json(step) for step in trace)
