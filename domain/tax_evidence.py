"""Tax evidence: why a line is taxed as it is, kept with the line and reused by whatever corrects it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal, cast

from domain.canonical import Json, decimal_of, decimal_text
from domain.tax_rules import StackedRates
from domain.vat import VatCategory, vat_category_of

#: What decided how a line is taxed: the rate in force, the buyer's exemption, or that the buyer owes the tax.
Because = Literal["rate", "exemption", "reverse_charge"]


@dataclass(frozen=True, slots=True)
class RatePart:
    """One of several taxes that make up a rate, such as a state's and a city's; it may be booked by its name."""

    name: str
    percent: Decimal


@dataclass(frozen=True, slots=True)
class TaxEvidence:
    """Why a line is taxed as it is; stored with the line, and reused by a correction of it.

    `waived_percent` is what would have been asked for but for the exemption or the reverse charge.
    """

    engine: str
    jurisdiction: str
    category: str
    percent: Decimal
    tax_point_on: date
    source: str
    vat_category: str | None = None
    because: Because = "rate"
    exemption_code: str | None = None
    exemption_reason: str | None = None
    certificate: str | None = None
    seller_number: str | None = None
    buyer_number: str | None = None
    waived_percent: Decimal | None = None
    parts: tuple[RatePart, ...] = ()
    is_compound: bool = False

    @property
    def vat(self) -> VatCategory:
        """The VAT category of the line."""
        return vat_category_of(self.vat_category, is_taxed=bool(self.percent))

    @property
    def rates(self) -> StackedRates:
        """The taxes that its rate is made of."""
        percents = tuple(part.percent for part in self.parts) or (self.percent,)
        return StackedRates(percents, compound=self.is_compound)

    def to_json(self) -> dict[str, Json]:
        """As kept with the line; what does not apply is left out."""
        kept: dict[str, Json] = {
            "engine": self.engine,
            "jurisdiction": self.jurisdiction,
            "category": self.category,
            "percent": decimal_text(self.percent),
            "tax_point_on": self.tax_point_on.isoformat(),
            "source": self.source,
        }
        if self.because != "rate":
            kept["because"] = self.because
        kept |= {name: value for name in _TEXTS if (value := getattr(self, name)) is not None}
        if self.waived_percent is not None:
            kept["waived_percent"] = decimal_text(self.waived_percent)
        if self.parts:
            kept["parts"] = [[part.name, decimal_text(part.percent)] for part in self.parts]
            kept["is_compound"] = self.is_compound
        return kept

    @classmethod
    def from_json(cls, fields: Mapping[str, Json]) -> "TaxEvidence":
        """The evidence that `to_json` wrote."""
        engine, jurisdiction, category, percent, tax_point_on, source = (
            str(fields[name]) for name in ("engine", "jurisdiction", "category", "percent", "tax_point_on", "source")
        )
        waived = fields.get("waived_percent")
        return cls(
            engine, jurisdiction, category, decimal_of(percent), date.fromisoformat(tax_point_on), source,
            because=cast("Because", fields.get("because", "rate")),
            waived_percent=None if waived is None else decimal_of(str(waived)),
            parts=parts_of(fields.get("parts")),
            is_compound=fields.get("is_compound") is True,
            **{name: str(fields[name]) for name in _TEXTS if name in fields},
        )  # fmt: skip


#: Fields of evidence that are texts, and kept only where they apply.
_TEXTS: Final = (
    "vat_category", "exemption_code", "exemption_reason", "certificate", "seller_number", "buyer_number",
)  # fmt: skip


def parts_of(kept: Json) -> tuple[RatePart, ...]:
    """The parts of a rate as they are kept: pairs of name and percent."""
    pairs = cast("Sequence[tuple[str, str]]", kept or ())
    return tuple(RatePart(name, decimal_of(percent)) for name, percent in pairs)
