"""Taxation: the treatment of each line by jurisdiction, category, tax point and parties, and the tax of a document.

Tax is on the summed net of a VAT category and rate, and rounded once. What a price includes of it is taken out of the
sum in the same way, so that lines and tax come to what was asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from domain.errors import Rejection
from domain.money import EXACT, ZERO, Currency, Money, spread, total
from domain.tax_evidence import Because, RatePart, TaxEvidence
from domain.tax_rules import included_taxes, percent_of, tax_on_both
from domain.vat import NOBODY, REASONS, WITHOUT_REASON, TaxParties, VatCategory, vat_category_of

__all__ = [
    "ENGINE", "RatePart", "TaxEvidence", "TaxRate", "TaxRateAmbiguous", "TaxRateNotFound", "TaxSubtotal", "TaxTable",
    "TaxableLine", "Taxed", "tax_on", "taxed",
]  # fmt: skip

#: Name of the engine in evidence.
ENGINE: Final = "table"


class TaxRateNotFound(Rejection):
    """No rate is in force for the jurisdiction, category and tax point."""

    code = "tax_rate_not_found"


class TaxRateAmbiguous(Rejection):
    """Two rates are in force for the jurisdiction, category and tax point."""

    code = "tax_rate_ambiguous"


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A rate in percent, in force over the local days `[starts_on, ends_on)`; `source` says where it is published.

    `percent` is that of all `parts` together; where `is_compound`, each of them is on the net and the parts before it.
    Without a VAT category it is standard, or zero-rated if it asks for nothing.
    """

    jurisdiction: str
    category: str
    percent: Decimal
    starts_on: date
    source: str
    ends_on: date = date.max
    vat_category: str | None = None
    exemption_code: str | None = None
    exemption_reason: str | None = None
    parts: tuple[RatePart, ...] = ()
    is_compound: bool = False

    def covers(self, day: date) -> bool:
        """Whether it is in force on the day."""
        return self.starts_on <= day < self.ends_on


@dataclass(frozen=True, slots=True)
class TaxableLine:
    """A line before tax. A correction brings the evidence of the line it corrects: its tax point, its rate.

    `net` is rounded; where the price `includes_tax` it is what was asked for, and the tax is taken out of it.
    """

    net: Money
    jurisdiction: str
    category: str
    tax_point_on: date
    evidence: TaxEvidence | None = None
    parties: TaxParties = NOBODY
    includes_tax: bool = False


@dataclass(frozen=True, slots=True)
class TaxSubtotal:
    """The tax of all lines of one category, treatment and rate, and what it is on; both rounded.

    What several categories share of a VAT category and rate is taxed together; their subtotals sum to its tax. So do
    the taxes of the parts that a rate is made of, by name.
    """

    category: str
    percent: Decimal
    net: Money
    tax: Money
    vat_category: str | None = None
    exemption_code: str | None = None
    exemption_reason: str | None = None
    parts: tuple[tuple[str, Money], ...] = ()

    @property
    def vat(self) -> VatCategory:
        """The VAT category of its lines."""
        return vat_category_of(self.vat_category, is_taxed=bool(self.percent))


@dataclass(frozen=True, slots=True)
class Taxed:
    """The evidence and the net of each line, in their order, and the document's taxes, by category and rate."""

    evidence: tuple[TaxEvidence, ...]
    subtotals: tuple[TaxSubtotal, ...]
    nets: tuple[Money, ...]


@dataclass(frozen=True, slots=True)
class TaxTable:
    """All rates that are known."""

    rates: tuple[TaxRate, ...]

    def rate(self, jurisdiction: str, category: str, *, on: date) -> TaxRate:
        """The one rate in force on the tax point. Raises `TaxRateNotFound` or `TaxRateAmbiguous`."""
        found = [r for r in self.rates if (r.jurisdiction, r.category) == (jurisdiction, category) and r.covers(on)]
        facts = {"jurisdiction": jurisdiction, "category": category, "tax_point_on": on.isoformat()}
        if not found:
            raise TaxRateNotFound(f"no rate for {jurisdiction}, {category} on {on}", **facts)
        if len(found) > 1:
            raise TaxRateAmbiguous(f"{len(found)} rates for {jurisdiction}, {category} on {on}", **facts)
        return found[0]

    def evidence_for(self, jurisdiction: str, category: str, *, on: date, parties: TaxParties = NOBODY) -> TaxEvidence:
        """How such a line is taxed: by the rate in force, unless it asks for tax that this buyer does not owe us.

        An exemption of the buyer goes before the reverse charge. Raises `TaxRateNotFound` or `TaxRateAmbiguous`.
        """
        rate = self.rate(jurisdiction, category, on=on)
        asked = TaxEvidence(
            ENGINE, jurisdiction, category, rate.percent, on, rate.source,
            vat_category=vat_category_of(rate.vat_category, is_taxed=bool(rate.percent)),
            parts=rate.parts, is_compound=rate.is_compound,
        )  # fmt: skip
        if not rate.percent:
            return _reasoned(asked, rate.exemption_code, rate.exemption_reason)
        exemption = parties.exemption(jurisdiction, category, on=on)
        if exemption is not None:
            exempt = _waived(asked, exemption.vat_category, because="exemption")
            exempt = replace(exempt, certificate=exemption.certificate)
            return _reasoned(exempt, exemption.code, exemption.reason)
        charged = parties.reverse_charge(jurisdiction, on=on)
        if charged is not None:
            seller, buyer = charged
            waived = _waived(asked, "AE", because="reverse_charge")
            waived = replace(waived, seller_number=seller.identifier, buyer_number=buyer.identifier)
            return _reasoned(waived, None, None)
        return asked


def _waived(asked: TaxEvidence, vat_category: str, *, because: Because) -> TaxEvidence:
    """The evidence without the tax that it asked for."""
    return replace(
        asked, percent=ZERO, vat_category=vat_category, because=because, waived_percent=asked.percent, parts=(),
        is_compound=False,
    )  # fmt: skip


def _reasoned(evidence: TaxEvidence, code: str | None, reason: str | None) -> TaxEvidence:
    """The evidence with the reason that is given, or that of its VAT category if there is none."""
    if evidence.vat in WITHOUT_REASON:
        return evidence
    if code is None and reason is None:
        code, reason = REASONS.get(evidence.vat, (None, None))
    return replace(evidence, exemption_code=code, exemption_reason=reason)


def tax_on(net: Money, percent: Decimal) -> Money:
    """The tax on a net amount, rounded half up to minor units."""
    return Money(percent_of(net.amount, percent), net.currency).rounded()


def taxed(lines: Sequence[TaxableLine], table: TaxTable, *, currency: Currency) -> Taxed:
    """The taxes of a document: per VAT category and rate on the summed net, rounded once (EN 16931, BR-CO-17).

    Raises `TaxRateNotFound`, `TaxRateAmbiguous` or `CurrenciesMixed`.
    """
    evidence = _evidence(lines, table)
    nets = [line.net for line in lines]
    places: dict[tuple[str, Decimal], list[int]] = {}
    for place, why in enumerate(evidence):
        places.setdefault((why.vat, why.percent), []).append(place)
    subtotals: list[TaxSubtotal] = []
    for (_, percent), found in places.items():
        included = [place for place in found if lines[place].includes_tax]
        plain = total((nets[place] for place in found if not lines[place].includes_tax), currency)
        asked = total((nets[place] for place in included), currency)
        tax = Money(tax_on_both(plain.amount, asked.amount, percent, decimals=currency.minor_units), currency)
        within = included_taxes([nets[place].amount for place in included], percent, currency.minor_units)
        for place, amount in zip(included, within, strict=True):
            nets[place] -= Money(amount, currency)
        subtotals += _by_category([(evidence[place], nets[place]) for place in found], tax)
    subtotals.sort(key=lambda each: (each.category, each.percent, each.vat))
    return Taxed(evidence, tuple(subtotals), tuple(nets))


def _evidence(lines: Sequence[TaxableLine], table: TaxTable) -> tuple[TaxEvidence, ...]:
    """How each line is taxed; lines of one kind and the same parties are looked at once."""
    known: dict[tuple[str, str, date, int], TaxEvidence] = {}
    found = []
    for line in lines:
        key = (line.jurisdiction, line.category, line.tax_point_on, id(line.parties))
        why = line.evidence or known.get(key)
        if why is None:
            why = table.evidence_for(line.jurisdiction, line.category, on=line.tax_point_on, parties=line.parties)
            known[key] = why
        found.append(why)
    return tuple(found)


def _by_category(lines: Sequence[tuple[TaxEvidence, Money]], tax: Money) -> list[TaxSubtotal]:
    """The tax of one VAT category and rate as subtotals of the categories that share it, and of their parts."""
    categories: dict[str, list[tuple[TaxEvidence, Money]]] = {}
    for line in lines:
        categories.setdefault(line[0].category, []).append(line)
    named = sorted(categories)
    nets = [total((net for _, net in categories[name]), tax.currency) for name in named]
    shares = spread(tax, [percent_of(net.amount, lines[0][0].percent) for net in nets]) if len(named) > 1 else (tax,)
    return [_subtotal(categories[name], net, share) for name, net, share in zip(named, nets, shares, strict=True)]


def _subtotal(lines: Sequence[tuple[TaxEvidence, Money]], net: Money, tax: Money) -> TaxSubtotal:
    evidence = lines[0][0]
    parts: dict[str, Decimal] = {}
    for each, of_line in lines:
        taxes = each.rates.on(of_line.amount, tax.currency.minor_units).unrounded if each.parts else ()
        for part, amount in zip(each.parts, taxes, strict=True):
            parts[part.name] = EXACT.add(parts.get(part.name, ZERO), amount)
    reasons = sorted({each.exemption_reason for each, _ in lines if each.exemption_reason is not None})
    codes = {each.exemption_code for each, _ in lines}
    return TaxSubtotal(
        evidence.category, evidence.percent, net, tax, evidence.vat,
        codes.pop() if len(codes) == 1 else None,
        "; ".join(reasons) or None,
        tuple(zip(parts, spread(tax, list(parts.values())), strict=True)) if parts else (),
    )  # fmt: skip
