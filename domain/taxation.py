"""Taxation: the rate of each line by jurisdiction, category and tax point, and the tax of a document, rounded once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from domain.canonical import Json, decimal_of, decimal_text
from domain.errors import Rejection
from domain.money import EXACT, Currency, Money, total

#: Name of the engine in evidence.
ENGINE: Final = "table"
_PERCENT: Final = Decimal("0.01")


class TaxRateNotFound(Rejection):
    """No rate is in force for the jurisdiction, category and tax point."""

    code = "tax_rate_not_found"


class TaxRateAmbiguous(Rejection):
    """Two rates are in force for the jurisdiction, category and tax point."""

    code = "tax_rate_ambiguous"


@dataclass(frozen=True, slots=True)
class TaxRate:
    """A rate in percent, in force over the local days `[starts_on, ends_on)`; `source` says where it is published."""

    jurisdiction: str
    category: str
    percent: Decimal
    starts_on: date
    source: str
    ends_on: date = date.max

    def covers(self, day: date) -> bool:
        """Whether it is in force on the day."""
        return self.starts_on <= day < self.ends_on


@dataclass(frozen=True, slots=True)
class TaxEvidence:
    """Why a line is taxed as it is; stored with the line, and reused by a correction of it."""

    engine: str
    jurisdiction: str
    category: str
    percent: Decimal
    tax_point_on: date
    source: str

    def to_json(self) -> dict[str, Json]:
        """As kept with the line."""
        return {
            "engine": self.engine,
            "jurisdiction": self.jurisdiction,
            "category": self.category,
            "percent": decimal_text(self.percent),
            "tax_point_on": self.tax_point_on.isoformat(),
            "source": self.source,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Json]) -> "TaxEvidence":
        """The evidence that `to_json` wrote."""
        engine, jurisdiction, category, percent, tax_point_on, source = (
            str(fields[name]) for name in ("engine", "jurisdiction", "category", "percent", "tax_point_on", "source")
        )
        return cls(engine, jurisdiction, category, decimal_of(percent), date.fromisoformat(tax_point_on), source)


@dataclass(frozen=True, slots=True)
class TaxableLine:
    """A line before tax. A correction brings the evidence of the line it corrects: its tax point, its rate."""

    net: Money
    jurisdiction: str
    category: str
    tax_point_on: date
    evidence: TaxEvidence | None = None


@dataclass(frozen=True, slots=True)
class TaxSubtotal:
    """The tax of all lines of one category and rate, and what it is on; both rounded."""

    category: str
    percent: Decimal
    net: Money
    tax: Money


@dataclass(frozen=True, slots=True)
class Taxed:
    """The evidence of each line, in their order, and the document's taxes, by category and rate."""

    evidence: tuple[TaxEvidence, ...]
    subtotals: tuple[TaxSubtotal, ...]


@dataclass(frozen=True, slots=True)
class TaxTable:
    """All rates that are known."""

    rates: tuple[TaxRate, ...]

    def evidence_for(self, jurisdiction: str, category: str, *, on: date) -> TaxEvidence:
        """The one rate in force on the tax point. Raises `TaxRateNotFound` or `TaxRateAmbiguous`."""
        found = [r for r in self.rates if (r.jurisdiction, r.category) == (jurisdiction, category) and r.covers(on)]
        facts = {"jurisdiction": jurisdiction, "category": category, "tax_point_on": on.isoformat()}
        if not found:
            raise TaxRateNotFound(f"no rate for {jurisdiction}, {category} on {on}", **facts)
        if len(found) > 1:
            raise TaxRateAmbiguous(f"{len(found)} rates for {jurisdiction}, {category} on {on}", **facts)
        return TaxEvidence(ENGINE, jurisdiction, category, found[0].percent, on, found[0].source)


def tax_on(net: Money, percent: Decimal) -> Money:
    """The tax on a net amount, rounded half up to minor units."""
    return net.times(EXACT.multiply(percent, _PERCENT)).rounded()


def taxed(lines: Sequence[TaxableLine], table: TaxTable, *, currency: Currency) -> Taxed:
    """The taxes of a document: per category and rate on the summed net, rounded once (EN 16931, BR-CO-17).

    Raises `TaxRateNotFound`, `TaxRateAmbiguous` or `CurrenciesMixed`.
    """
    evidence = tuple(
        line.evidence or table.evidence_for(line.jurisdiction, line.category, on=line.tax_point_on) for line in lines
    )
    nets: dict[tuple[str, Decimal], list[Money]] = {}
    for line, why in zip(lines, evidence, strict=True):
        nets.setdefault((why.category, why.percent), []).append(line.net)
    subtotals = []
    for category, percent in sorted(nets):
        net = total(nets[category, percent], currency)
        subtotals.append(TaxSubtotal(category, percent, net, tax_on(net, percent)))
    return Taxed(evidence, tuple(subtotals))
