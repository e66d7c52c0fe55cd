"""Invoice drafts: the charges that become lines, and the lines and taxes that become the taxed draft."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, TextClause, text

from domain.money import Currency
from domain.taxation import TaxEvidence, TaxSubtotal
from workers.store import adjustments, tax_parties
from workers.taxing import Charge, Draft, Line, Lined

_encode = msgspec.json.Encoder(decimal_format="string").encode

_DRAFTS = text("""
select i.id, e.jurisdiction, i.currency, i.service_starts_on, i.service_ends_on, i.legal_entity_id, i.account_id,
  c.prices_include_tax
from invoices i join legal_entities e on e.id = i.legal_entity_id join contracts c on c.id = i.contract_id
where i.id = any(cast(:ids as bigint[])) and i.state = 'draft' order by i.id for update of i
""")
#: Drafts of two periods of a contract come one after another: the second has to see what the first gave of a coupon.
_ROUNDS = text("""
select array_agg(t.id order by t.id) from (
  select i.id, row_number() over (partition by i.contract_id order by i.id) as round
  from invoices i where i.id = any(cast(:ids as bigint[]))) t
group by t.round order by t.round
""")
#: Billed before is what documents that were not voided hold of the same subscription, price, period and dimensions.
_CHARGES = text("""
select i.id, r.id, r.subscription_id, r.metric_id, r.price_id, m.name, m.unit, r.dimensions,
  r.quantity - coalesce(b.quantity, 0), r.amount,
  p.tax_category, p.revenue_account, coalesce(b.billed, 0), b.evidence, r.is_touched
from invoices i
join subscriptions s on s.contract_id = i.contract_id
join rated_usages r on r.billing_run_id = i.billing_run_id and r.subscription_id = s.id
join metrics m on m.id = r.metric_id
join prices p on p.id = r.price_id
left join lateral (
  select sum(coalesce(l.asked, l.net)) as billed, sum(l.quantity) as quantity,
    (array_agg(l.tax_evidence order by l.id))[1] as evidence
  from invoice_lines l join rated_usages o on o.id = l.rated_usage_id join invoices j on j.id = l.invoice_id
  where l.subscription_id = r.subscription_id and l.metric_id = r.metric_id and l.price_id = r.price_id
    and o.billing_period_id = r.billing_period_id and o.dimensions = r.dimensions and j.state <> 'void') b on true
where i.id = any(cast(:ids as bigint[])) order by i.id, r.subscription_id, m.id, r.price_id, r.dimensions
""")
_LINES = text("""
insert into invoice_lines (invoice_id, position, rated_usage_id, subscription_id, metric_id, price_id, description,
  quantity, unit, net, tax_category, tax_rate, tax_evidence, revenue_account, service_starts_on, service_ends_on,
  asked)
select * from unnest(cast(:invoice_id as bigint[]), cast(:position as integer[]), cast(:rated_usage_id as bigint[]),
  cast(:subscription_id as integer[]), cast(:metric_id as integer[]), cast(:price_id as integer[]),
  cast(:description as text[]), cast(:quantity as numeric[]), cast(:unit as text[]), cast(:net as numeric[]),
  cast(:tax_category as text[]), cast(:tax_rate as numeric[]), cast(:tax_evidence as jsonb[]),
  cast(:revenue_account as text[]), cast(:service_starts_on as date[]), cast(:service_ends_on as date[]),
  cast(:asked as numeric[]))
order by 1, 2
""")
_TAXES = text("""
insert into invoice_taxes (invoice_id, category, rate, net, tax, vat_category, exemption_code, exemption_reason, parts)
select * from unnest(cast(:invoice_id as bigint[]), cast(:category as text[]), cast(:rate as numeric[]),
  cast(:net as numeric[]), cast(:tax as numeric[]), cast(:vat_category as text[]), cast(:exemption_code as text[]),
  cast(:exemption_reason as text[]), cast(:parts as jsonb[])) order by 1, 2, 3, 6
""")
_TAXED = text("""
update invoices i set state = t.state, kind = t.kind, net = t.net, tax = t.tax, gross = t.gross
from unnest(cast(:id as bigint[]), cast(:state as text[]), cast(:kind as text[]), cast(:net as numeric[]),
  cast(:tax as numeric[]), cast(:gross as numeric[])) as t (id, state, kind, net, tax, gross) where i.id = t.id
""")


def _charge(row: Row[Any]) -> Charge:
    columns: Sequence[Any] = row[1:]
    charge = Charge(*columns)
    return charge if charge.evidence is None else replace(charge, evidence=TaxEvidence.from_json(row.evidence))


def rounds(conn: Connection, ids: Sequence[int]) -> Sequence[Sequence[int]]:
    """The drafts in as many rounds as a contract has drafts among them; a round is saved before the next is loaded."""
    return conn.execute(_ROUNDS, {"ids": list(ids)}).scalars().all()


def load(conn: Connection, ids: Sequence[int]) -> list[Draft]:
    """The drafts with their charges, locked; one that is taxed already is left out."""
    found = conn.execute(_DRAFTS, {"ids": list(ids)}).all()
    charges: dict[int, list[Charge]] = {}
    for row in conn.execute(_CHARGES, {"ids": [draft.id for draft in found]}):
        charges.setdefault(row[0], []).append(_charge(row))
    parties = tax_parties.load(conn, {(draft.legal_entity_id, draft.account_id) for draft in found})
    terms = adjustments.terms_of(conn, [draft.id for draft in found])
    return [
        Draft(
            draft.id,
            draft.jurisdiction,
            Currency(draft.currency),
            draft.service_starts_on,
            draft.service_ends_on,
            tuple(charges.get(draft.id, ())),
            terms.get(draft.id),
            parties[draft.legal_entity_id, draft.account_id],
            draft.prices_include_tax,
        )
        for draft in found
    ]


def save(conn: Connection, lined: Sequence[Lined]) -> None:
    """Insert lines, adjustments and taxes, and mark the drafts taxed, or empty where nothing is billed."""
    _insert(conn, _LINES, [_line(each.draft, n, line) for each in lined for n, line in enumerate(each.lines, 1)])
    adjustments.save(conn, lined)
    _insert(conn, _TAXES, [_tax(each.draft, subtotal) for each in lined for subtotal in each.taxed.subtotals])
    _insert(conn, _TAXED, [_totals(each) for each in lined])


def _insert(conn: Connection, statement: TextClause, rows: Sequence[Mapping[str, object]]) -> None:
    """Run a statement over all rows at once, each column an array."""
    if rows:
        conn.execute(statement, {name: [row[name] for row in rows] for name in rows[0]})


def _totals(lined: Lined) -> dict[str, object]:
    return {
        "id": lined.draft.invoice_id,
        "state": "empty" if lined.is_empty else "taxed",
        "kind": lined.kind,
        "net": lined.net.amount,
        "tax": lined.tax.amount,
        "gross": (lined.net + lined.tax).amount,
    }


def _tax(draft: Draft, subtotal: TaxSubtotal) -> dict[str, object]:
    return {
        "invoice_id": draft.invoice_id,
        "category": subtotal.category,
        "rate": subtotal.percent,
        "net": subtotal.net.amount,
        "tax": subtotal.tax.amount,
        "vat_category": subtotal.vat,
        "exemption_code": subtotal.exemption_code,
        "exemption_reason": subtotal.exemption_reason,
        "parts": _encode([(name, tax.amount) for name, tax in subtotal.parts]).decode() if subtotal.parts else None,
    }


def _line(draft: Draft, number: int, line: Line) -> dict[str, object]:
    charge = line.charge
    return {
        "invoice_id": draft.invoice_id,
        "position": number,
        "rated_usage_id": charge.rated_usage_id,
        "subscription_id": charge.subscription_id,
        "metric_id": charge.metric_id,
        "price_id": charge.price_id,
        "description": line.description,
        "quantity": charge.quantity,
        "unit": charge.unit,
        "net": line.net.amount,
        "tax_category": line.evidence.category,
        "tax_rate": line.evidence.percent,
        "tax_evidence": _encode(line.evidence.to_json()).decode(),
        "revenue_account": charge.revenue_account,
        "service_starts_on": draft.service_starts_on,
        "service_ends_on": draft.service_ends_on,
        "asked": None if line.asked is None else line.asked.amount,
    }
