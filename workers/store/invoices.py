"""Drafts and documents: who is billed what in a run, kept as lines and taxes, and read back as documents."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, Row, text

from domain.documents import Document, Line
from domain.money import Currency, Money
from domain.periods import Days
from domain.taxation import TaxEvidence, TaxSubtotal

_HEADS = text("""
select id, kind, legal_entity_id, account_id, currency, invoice_on, posting_on
from invoices where id = any(cast(:ids as bigint[])) order by id
""")
_LINES = text("""
select invoice_id, description, quantity, unit, net, tax_evidence, revenue_account, service_starts_on, service_ends_on
from invoice_lines where invoice_id = any(cast(:ids as bigint[])) order by invoice_id, position
""")
_TAXES = text("""
select invoice_id, category, rate, net, tax, vat_category, exemption_code, exemption_reason, parts from invoice_taxes
where invoice_id = any(cast(:ids as bigint[])) order by invoice_id, category, rate, vat_category
""")


def documents(conn: Connection, ids: Collection[int]) -> dict[int, Document]:
    """The documents of these invoices, by id; each has lines."""
    values = {"ids": list(ids)}
    lines, taxes = _by_invoice(conn.execute(_LINES, values).all()), _by_invoice(conn.execute(_TAXES, values).all())
    return {head.id: _document(head, lines[head.id], taxes.get(head.id, ())) for head in conn.execute(_HEADS, values)}


def _by_invoice(rows: Sequence[Row[tuple[object, ...]]]) -> Mapping[int, Sequence[Row[tuple[object, ...]]]]:
    found: dict[int, list[Row[tuple[object, ...]]]] = {}
    for row in rows:
        found.setdefault(row.invoice_id, []).append(row)
    return found


def _document(
    head: Row[tuple[object, ...]], lines: Sequence[Row[tuple[object, ...]]], taxes: Sequence[Row[tuple[object, ...]]]
) -> Document:
    currency = Currency(head.currency)
    return Document(
        kind=head.kind,
        legal_entity_id=head.legal_entity_id,
        account_id=head.account_id,
        currency=currency,
        invoice_on=head.invoice_on,
        posting_on=head.posting_on,
        lines=tuple(
            Line(
                description=line.description,
                quantity=line.quantity,
                unit=line.unit,
                net=Money(line.net, currency),
                revenue_account=line.revenue_account,
                service=Days(line.service_starts_on, line.service_ends_on),
                evidence=TaxEvidence.from_json(line.tax_evidence),
            )
            for line in lines
        ),
        taxes=tuple(_subtotal(tax, currency) for tax in taxes),
    )


def _subtotal(tax: Row[tuple[object, ...]], currency: Currency) -> TaxSubtotal:
    return TaxSubtotal(
        tax.category, tax.rate, Money(tax.net, currency), Money(tax.tax, currency), tax.vat_category,
        tax.exemption_code, tax.exemption_reason,
        tuple((name, Money.of(amount, currency)) for name, amount in tax.parts or ()),
    )  # fmt: skip
