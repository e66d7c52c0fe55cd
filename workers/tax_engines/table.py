"""The table engine: rates by jurisdiction, category and date, as they stand in the database."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from domain import taxation
from domain.money import Currency
from domain.tax_evidence import parts_of
from domain.taxation import TaxableLine, Taxed, TaxRate, TaxTable
from workers.tax_engines.protocol import TaxDocument


@dataclass(frozen=True, slots=True)
class TableEngine:
    """Answers from a table that was read once for a batch of documents."""

    table: TaxTable

    @classmethod
    def loaded(cls, conn: Connection, jurisdictions: Collection[str]) -> "TableEngine":
        """The engine with all rates of these jurisdictions."""
        found = conn.execute(
            text("""select jurisdiction, category, rate, starts_on, source, ends_on, vat_category, exemption_code,
                 exemption_reason, parts, is_compound
                 from tax_rates where jurisdiction = any(cast(:names as text[])) order by 1, 2, 4"""),
            {"names": sorted(jurisdictions)},
        )
        rates: list[TaxRate] = []
        for row in found:
            jurisdiction, category, rate, starts_on, source, ends_on, vat, code, reason, parts, is_compound = row
            because = vat, code, reason
            rates.append(
                TaxRate(
                    jurisdiction, category, rate, starts_on, source, ends_on, *because, parts_of(parts), is_compound
                )
            )
        return cls(TaxTable(tuple(rates)))

    def taxed(self, lines: Sequence[TaxableLine], *, currency: Currency) -> Taxed:
        """As the protocol. Raises `TaxRateNotFound` or `TaxRateAmbiguous`."""
        return taxation.taxed(lines, self.table, currency=currency)

    def commit(self, document: TaxDocument) -> str:
        """A table is told nothing; that it was is recorded by the caller, under our number."""
        return document.number

    def void(self, document: TaxDocument) -> None:
        """As `commit`: there is nobody to tell."""
