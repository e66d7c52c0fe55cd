"""Documents for the tests of ERP adapters."""

from datetime import date
from decimal import Decimal

from domain.money import Currency, Money
from workers.erp.protocol import Document, DocumentLine, Leg, Totals


def line(position: int, net: Money) -> DocumentLine:
    return DocumentLine(
        position=position,
        description="Departures, 1 to 31 January",
        quantity=Decimal(300),
        unit="flight",
        net=net,
        tax_category="standard",
        tax_rate=Decimal("8.875"),
        revenue_account="revenue:departures",
    )


def document(  # noqa: PLR0913 - a test names only what it is about
    key: str = "TL-A",
    *,
    net: str = "100.00",
    tax: str = "8.88",
    currency: str = "USD",
    account_id: str = "AA",
    posting_on: date = date(2013, 1, 31),
) -> Document:
    unit = Currency(currency)
    net_money, tax_money = Money.of(net, unit), Money.of(tax, unit)
    gross = net_money + tax_money
    amounts = [
        (f"assets:receivable:{account_id}", gross),
        ("revenue:departures", -net_money),
        ("liabilities:tax", -tax_money),
    ]
    return Document(
        key=key,
        kind="credit_note" if net_money.is_negative else "invoice",
        number=f"PNY-{key}",
        legal_entity_id="pny",
        account_id=account_id,
        account_name="American Airlines, Inc. (AA)",
        invoice_on=date(2013, 2, 1),
        posting_on=posting_on,
        service_starts_on=date(2013, 1, 1),
        service_ends_on=date(2013, 2, 1),
        totals=Totals(net=net_money, tax=tax_money, gross=gross, lines=1),
        lines=(line(1, net_money),),
        legs=tuple(Leg(name, amount) for name, amount in amounts if not amount.is_zero),
    )
