"""Drafts and documents: who is billed what in a run, kept as lines and taxes, and read back as documents."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, Row, text

from domain.documents import Adjustment, Document, Line
from domain.money import Currency, Money
from domain.periods import Days
from domain.taxation import TaxEvidence, TaxSubtotal

_Row = Row[tuple[object, ...]]

_HEADS = text("""
select id, kind, legal_entity_id, account_id, currency, invoice_on, posting_on
from invoices where id = any(cast(:ids as bigint[])) order by id
""")
_LINES = text("""
select invoice_id, description, quantity, unit, net, tax_evidence, revenue_account, service_starts_on, service_ends_on
from invoice_lines where invoice_id = any(cast(:ids as bigint[])) order by invoice_id, position
""")
_ADJUSTMENTS = text("""
select invoice_id, description, net, tax_evidence, revenue_account, service_starts_on, service_ends_on
from invoice_adjustments where invoice_id = any(cast(:ids as bigint[])) order by invoice_id, position
""")
_TAXES = text("""
select invoice_id, category, rate, net, tax, vat_category, exemption_code, exemption_reason, parts from invoice_taxes
where invoice_id = any(cast(:ids as bigint[])) order by invoice_id, category, rate, vat_category
""")


def documents(conn: Connection, ids: Collection[int]) -> dict[int, Document]:
    """The documents of these invoices, by id; each has lines, or something beside them."""
    values = {"ids": list(ids)}
    lines, taxes, beside = (
        _by_invoice(conn.execute(statement, values).all()) for statement in (_LINES, _TAXES, _ADJUSTMENTS)
    )
    return {
        head.id: _document(head, lines.get(head.id, ()), taxes.get(head.id, ()), beside.get(head.id, ()))
        for head in conn.execute(_HEADS, values)
    }


def _by_invoice(rows: Sequence[_Row]) -> Mapping[int, Sequence[_Row]]:
    found: dict[int, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.invoice_id, []).append(row)
    return found


def _document(head: _Row, lines: Sequence[_Row], taxes: Sequence[_Row], beside: Sequence[_Row]) -> Document:
    currency = Currency(head.currency)
    return Document(
        kind=head.kind,
        legal_entity_id=head.legal_entity_id,
        account_id=head.account_id,
        currency=currency,
        invoice_on=head.invoice_on,
        posting_on=head.posting_on,
        lines=tuple(_line(line, currency) for line in lines),
        taxes=tuple(_subtotal(tax, currency) for tax in taxes),
        adjustments=tuple(
            Adjustment(
                description=each.description,
                net=Money(each.net, currency),
                revenue_account=each.revenue_account,
                service=Days(each.service_starts_on, each.service_ends_on),
                evidence=TaxEvidence.from_json(each.tax_evidence),
            )
            for each in beside
        ),
    )


def _line(line: _Row, currency: Currency) -> Line:
    return Line(
        description=line.description,
        quantity=line.quantity,
        unit=line.unit,
        net=Money(line.net, currency),
        revenue_account=line.revenue_account,
        service=Days(line.service_starts_on, line.service_ends_on),
        evidence=TaxEvidence.from_json(line.tax_evidence),
    )


def _subtotal(tax: _Row, currency: Currency) -> TaxSubtotal:
    return TaxSubtotal(
        tax.category, tax.rate, Money(tax.net, currency), Money(tax.tax, currency), tax.vat_category,
        tax.exemption_code, tax.exemption_reason,
        tuple((name, Money.of(amount, currency)) for name, amount in tax.parts or ()),
    )  # fmt: skip
