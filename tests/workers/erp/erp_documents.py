"""Documents for the tests of ERP adapters."""

from datetime import date
from decimal import Decimal

from domain.documents import Document, Line, kind_of
from domain.journal import JournalEntry, Posting
from domain.money import Currency, Money
from domain.periods import Days
from domain.taxation import TaxEvidence, TaxSubtotal
from workers.erp.protocol import ErpDocument

JANUARY = Days(date(2013, 1, 1), date(2013, 2, 1))
PERCENT = Decimal("8.875")


def line(net: Money) -> Line:
    return Line(
        description="Departures, 1 to 31 January",
        quantity=Decimal(300),
        unit="flight",
        net=net,
        revenue_account="revenue:departures",
        service=JANUARY,
        evidence=TaxEvidence("table", "us-ny", "standard", PERCENT, date(2013, 1, 31), "test"),
    )


def entry(postings: list[tuple[str, Money]], posting_on: date = date(2013, 1, 31)) -> JournalEntry:
    legs = tuple(Posting(name, amount) for name, amount in postings if not amount.is_zero)
    return JournalEntry("pny", posting_on, "invoice", legs)


def document(  # noqa: PLR0913 - a test names only what it is about
    key: str = "TL-A",
    *,
    net: str = "100.00",
    tax: str = "8.88",
    currency: str = "USD",
    account_id: str = "AA",
    posting_on: date = date(2013, 1, 31),
) -> ErpDocument:
    unit = Currency(currency)
    net_money, tax_money = Money.of(net, unit), Money.of(tax, unit)
    gross = net_money + tax_money
    return ErpDocument(
        key=key,
        number=f"PNY-{key}",
        account_name="American Airlines, Inc. (AA)",
        document=Document(
            kind=kind_of(gross),
            legal_entity_id="pny",
            account_id=account_id,
            currency=unit,
            invoice_on=date(2013, 2, 1),
            posting_on=posting_on,
            lines=(line(net_money),),
            taxes=(TaxSubtotal("standard", PERCENT, net_money, tax_money),),
        ),
        entry=entry(
            [
                (f"assets:receivable:{account_id}", gross),
                ("revenue:departures", -net_money),
                ("liabilities:tax", -tax_money),
            ],
            posting_on,
        ),
    )
