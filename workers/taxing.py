"""How `tax` makes lines: what is not yet billed of each rated usage, rounded, with the tax of the whole document."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from domain.document_adjustments import Charged, Effect, Terms, Treatment, adjustments
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
    """An invoice draft whose children are all rated; `service_ends_on` is exclusive.

    `terms` are what holds beside its lines: None if its contract has no coupon and no limit, and never had.
    """

    invoice_id: int
    jurisdiction: str
    currency: Currency
    service_starts_on: date
    service_ends_on: date
    charges: tuple[Charge, ...]
    terms: Terms | None = None
    parties: TaxParties = NOBODY
    prices_include_tax: bool = False

    @property
    def last_day(self) -> date:
        """The last day of service, which is the tax point of what it bills."""
        return self.service_ends_on - timedelta(days=1)


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
    """A draft with lines, what is given or asked beside them, and taxes; without any there is nothing to bill."""

    draft: Draft
    lines: tuple[Line, ...]
    effects: tuple[Effect, ...]
    taxed: Taxed

    @property
    def is_empty(self) -> bool:
        """Whether nothing is billed."""
        return not self.lines and not self.effects

    @property
    def net(self) -> Money:
        """The sum of the lines and of what is given or asked beside them."""
        nets = [*(line.net for line in self.lines), *(effect.net for effect in self.effects)]
        return total(nets, self.draft.currency)

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

    What is given or asked beside the lines is taxed with them. Raises what the engine raises where a rate is missing.
    """
    nets = [(charge, _net(charge, draft.currency)) for charge in draft.charges]
    billable = [(charge, net) for charge, net in nets if charge.is_touched or not net.is_zero]
    taxed = engine.taxed([_taxable(draft, charge, net) for charge, net in billable], currency=draft.currency)
    lines = tuple(_lines(draft, billable, taxed))
    effects = _effects(draft, lines, engine)
    if effects:
        parts = [_known(line.asked or line.net, line.evidence, includes_tax=line.asked is not None) for line in lines]
        parts += [_known(effect.net, effect.treatment.evidence) for effect in effects]
        taxed = engine.taxed(parts, currency=draft.currency)
    return Lined(draft, lines, effects, taxed)


def _net(charge: Charge, currency: Currency) -> Money:
    return correction(Money(charge.amount, currency), billed=Money(charge.billed, currency))


def _taxable(draft: Draft, charge: Charge, net: Money) -> TaxableLine:
    """The line before tax: its tax point is the last day of service, for a correction that of the line it corrects."""
    return TaxableLine(
        net,
        draft.jurisdiction,
        charge.tax_category,
        draft.last_day,
        charge.evidence,
        draft.parties,
        draft.prices_include_tax,
    )


def _known(net: Money, evidence: TaxEvidence, *, includes_tax: bool = False) -> TaxableLine:
    """What is taxed under evidence that is there already."""
    return TaxableLine(
        net, evidence.jurisdiction, evidence.category, evidence.tax_point_on, evidence, includes_tax=includes_tax
    )


def _lines(draft: Draft, billable: Sequence[tuple[Charge, Money]], taxed: Taxed) -> list[Line]:
    service = f"{draft.service_starts_on} to {draft.last_day}"
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


def _effects(draft: Draft, lines: Sequence[Line], engine: TaxEngine) -> tuple[Effect, ...]:
    """What coupons and limits give or ask beside these lines."""
    if draft.terms is None:
        return ()
    terms = draft.terms
    limits = terms.limits
    if limits is not None and limits.tax_category is not None and limits.evidence is None:
        asked = TaxableLine(
            Money.zero(draft.currency), draft.jurisdiction, limits.tax_category, draft.last_day, parties=draft.parties
        )
        (evidence,) = engine.taxed([asked], currency=draft.currency).evidence
        terms = replace(terms, limits=replace(limits, evidence=evidence))
    charged = [
        Charged(line.charge.metric, Treatment(line.evidence, line.charge.revenue_account), line.net) for line in lines
    ]
    return adjustments(terms, charged, currency=draft.currency, on=draft.last_day)
