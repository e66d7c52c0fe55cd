"""Electronic invoices: what the database knows of issued documents that an electronic one has to say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from domain.documents import Document
from domain.einvoices import PRECEDING_MAX, Address, Facts
from domain.vat import Registration, TaxParties
from workers.store import invoices, tax_parties

#: Documents that one question loads.
PORTION = 200

#: As both parties are known today on the invoice date: what is loaded later of a day that is past sets it right.
_HEADS = text("""
select i.id, i.number_text as number, i.kind, i.invoice_on, i.legal_entity_id, e.name as seller, i.account_id,
  a.name as buyer, e.jurisdiction, case when u.id <> a.id then u.name end as used_by,
  coalesce(c.payment_days, e.payment_days) as payment_days,
  to_jsonb(s) as seller_address, to_jsonb(b) as buyer_address,
  coalesce((select -sum(n.amount) from credit_entries n where n.invoice_id = i.id), 0) as prepaid
from invoices i join legal_entities e on e.id = i.legal_entity_id join accounts a on a.id = i.account_id
join contracts c on c.id = i.contract_id join accounts u on u.id = c.account_id
left join legal_entity_addresses s on s.legal_entity_id = e.id and s.superseded_at = '9999-12-31 00:00:00+00'
  and i.invoice_on >= s.starts_on and i.invoice_on < s.ends_on
left join account_addresses b on b.account_id = a.id and b.superseded_at = '9999-12-31 00:00:00+00'
  and i.invoice_on >= b.starts_on and i.invoice_on < b.ends_on
where i.id = any(cast(:ids as bigint[])) and i.state in ('issued', 'posted') order by i.id
""")
#: Earlier documents that hold the same lines of the same period: what a correction corrects.
_PRECEDING = text("""
select t.id, p.number, p.invoice_on from unnest(cast(:ids as bigint[])) as t (id)
cross join lateral (
  select distinct j.id, j.number_text as number, j.invoice_on
  from invoice_lines l join rated_usages r on r.id = l.rated_usage_id
  join invoice_lines o on o.subscription_id = l.subscription_id and o.metric_id = l.metric_id
    and o.price_id = l.price_id and o.invoice_id < l.invoice_id
  join rated_usages q on q.id = o.rated_usage_id and q.billing_period_id = r.billing_period_id
    and q.dimensions = r.dimensions
  join invoices j on j.id = o.invoice_id and j.state in ('issued', 'posted')
  where l.invoice_id = t.id order by j.id desc limit :earlier_max) p
order by t.id, p.id
""")
#: Issued documents of a period of a cycle, by number, after one of them.
_OF_PERIOD = text("""
select i.id from invoices i join billing_runs r on r.id = i.billing_run_id
where r.billing_period_id = :period and i.state in ('issued', 'posted') and i.id > :after order by i.id limit :limit
""")
_COUNT = text("""
select count(*) from invoices i join billing_runs r on r.id = i.billing_run_id
where r.billing_period_id = :period and i.state in ('issued', 'posted')
""")


@dataclass(frozen=True, slots=True)
class Issued:
    """An issued document, with what it does not say itself."""

    document: Document
    facts: Facts


def issued(conn: Connection, ids: Sequence[int]) -> dict[int, Issued]:
    """Those of these documents that are issued and not void, by id; at most `PORTION` at once."""
    assert len(ids) <= PORTION, len(ids)
    heads = {head.id: head for head in conn.execute(_HEADS, {"ids": list(ids)})}
    documents = invoices.documents(conn, list(heads))
    parties = tax_parties.load(conn, {(head.legal_entity_id, head.account_id) for head in heads.values()})
    preceding = _preceding(conn, list(heads))
    return {
        key: Issued(documents[key], _facts(head, documents[key], parties, preceding.get(key, ())))
        for key, head in heads.items()
    }


def ids_of_period(conn: Connection, period_id: int, *, after: int) -> list[int]:
    """The next portion of issued documents of a billing period, after one of them."""
    return list(conn.execute(_OF_PERIOD, {"period": period_id, "after": after, "limit": PORTION}).scalars())


def count_of_period(conn: Connection, period_id: int) -> int:
    """How many documents of a billing period are issued."""
    return int(conn.execute(_COUNT, {"period": period_id}).scalar_one())


def _preceding(conn: Connection, ids: list[int]) -> dict[int, tuple[tuple[str, date], ...]]:
    found: dict[int, tuple[tuple[str, date], ...]] = {}
    for row in conn.execute(_PRECEDING, {"ids": ids, "earlier_max": PRECEDING_MAX}):
        found[row.id] = (*found.get(row.id, ()), (row.number, row.invoice_on))
    return found


def _facts(
    head: Row[Any],
    document: Document,
    parties: Mapping[tuple[str, str], TaxParties],
    preceding: tuple[tuple[str, date], ...],
) -> Facts:
    known = parties[head.legal_entity_id, head.account_id]
    days = head.payment_days
    return Facts(
        number=head.number,
        due_on=None if days is None else head.invoice_on + timedelta(days=days),
        seller=(head.legal_entity_id, head.seller, _address(head.seller_address)),
        buyer=(head.account_id, head.buyer, _address(head.buyer_address)),
        seller_numbers=_seller_numbers(document, known.seller, head.jurisdiction),
        buyer_number=_buyer_number(document, known.buyer),
        used_by=head.used_by,
        preceding=preceding,
        prepaid=head.prepaid,
    )


def _address(kept: Mapping[str, Any] | None) -> Address | None:
    return None if kept is None else Address(*(kept[each.name] for each in fields(Address)))


def _seller_numbers(
    document: Document, registrations: Sequence[Registration], jurisdiction: str
) -> tuple[str | None, str | None]:
    """The VAT identifier, or the other number for taxes: what the evidence names, else that of the jurisdiction."""
    named = next((part.evidence.seller_number for part in document.parts if part.evidence.seller_number), None)
    in_force = [each for each in registrations if each.covers(document.invoice_on)]
    in_force.sort(key=lambda each: (each.country != jurisdiction[:2].upper(), each.country))
    vat = named or next((each.identifier for each in in_force if each.is_vat), None)
    return vat, None if vat else next((each.identifier for each in in_force), None)


def _buyer_number(document: Document, registrations: Sequence[Registration]) -> str | None:
    """The VAT identifier: what the evidence names, else the first that is in force."""
    named = next((part.evidence.buyer_number for part in document.parts if part.evidence.buyer_number), None)
    in_force = [each for each in registrations if each.covers(document.invoice_on) and each.is_vat]
    return named or next((each.identifier for each in in_force), None)
