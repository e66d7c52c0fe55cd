"""How `tax` makes lines: what is not yet billed of each rated usage, rounded, with the tax of the whole document."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from domain.documents import kind_of
from domain.money import Currency, Money, total
from domain.rating import correction
from domain.taxation import TaxableLine, Taxed, TaxEvidence
from domain.vat import NOBODY, TaxParties
from workers.tax_engines.protocol import TaxEngine


@dataclass(frozen=True, slots=True)
class Charge:
    """The rated usage of one price in a period, what earlier documents billed of it, and under which evidence.

    `amount` is that of the whole period, `quantity` is what no earlier document holds, as their lines and this one's
    sum to the period's. Both amounts include the tax where prices do.
    """

    rated_usage_id: int
    subscription_id: int
    metric_id: int
    price_id: int
    metric: str
    unit: str
    dimensions: str
    quantity: Decimal
    amount: Decimal
    tax_category: str
    revenue_account: str
    billed: Decimal
    evidence: TaxEvidence | None
    is_touched: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice draft whose children are all rated; `service_ends_on` is exclusive."""

    invoice_id: int
    jurisdiction: str
    currency: Currency
    service_starts_on: date
    service_ends_on: date
    charges: tuple[Charge, ...]
    parties: TaxParties = NOBODY
    prices_include_tax: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a draft: a charge, its rounded net, the evidence of its tax, and what was asked if that includes it."""

    charge: Charge
    description: str
    net: Money
    evidence: TaxEvidence
    asked: Money | None


@dataclass(frozen=True, slots=True)
class Lined:
    """A draft with lines and taxes; without a line there is nothing to bill."""

    draft: Draft
    lines: tuple[Line, ...]
    taxed: Taxed

    @property
    def net(self) -> Money:
        """The sum of the lines."""
        return total((line.net for line in self.lines), self.draft.currency)

    @property
    def tax(self) -> Money:
        """The sum of the taxes."""
        return total((subtotal.tax for subtotal in self.taxed.subtotals), self.draft.currency)

    @property
    def kind(self) -> str:
        """What the document is: a credit note if it gives money."""
        return kind_of(self.net + self.tax)


def lined(draft: Draft, engine: TaxEngine) -> Lined:
    """The draft with a line for each charge that bills something or holds usage of its own, and its taxes.

    Raises what the engine raises where a rate is missing.
    """
    nets = [(charge, _net(charge, draft.currency)) for charge in draft.charges]
    billable = [(charge, net) for charge, net in nets if charge.is_touched or not net.is_zero]
    taxed = engine.taxed([_taxable(draft, charge, net) for charge, net in billable], currency=draft.currency)
    return Lined(draft, tuple(_lines(draft, billable, taxed)), taxed)


def _net(charge: Charge, currency: Currency) -> Money:
    return correction(Money(charge.amount, currency), billed=Money(charge.billed, currency))


def _taxable(draft: Draft, charge: Charge, net: Money) -> TaxableLine:
    """The line before tax: its tax point is the last day of service, for a correction that of the line it corrects."""
    last_day = draft.service_ends_on - timedelta(days=1)
    return TaxableLine(
        net, draft.jurisdiction, charge.tax_category, last_day, charge.evidence, draft.parties, draft.prices_include_tax
    )


def _lines(draft: Draft, billable: Sequence[tuple[Charge, Money]], taxed: Taxed) -> list[Line]:
    last_day = draft.service_ends_on - timedelta(days=1)
    service = f"{draft.service_starts_on} to {last_day}"
    return [
        Line(
            charge,
            " ".join(filter(None, (charge.metric, charge.dimensions, service))),
            net,
            evidence,
            asked if draft.prices_include_tax else None,
        )
        for (charge, asked), evidence, net in zip(billable, taxed.evidence, taxed.nets, strict=True)
    ]
