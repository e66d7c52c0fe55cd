"""What a tax engine answers, whoever it is: the evidence of each line, the document's taxes, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from domain.errors import Rejection, Snooze
from domain.money import Currency, Money
from domain.taxation import TaxableLine, Taxed


class TaxEngineAway(Snooze):
    """The engine did not answer, or asks us to wait: nobody's failure, the same work is due again later."""

    outcome = "tax_engine_away"


class TaxRefused(Rejection):
    """The engine refused to take note of a document; a person must look."""

    code = "tax_refused"


@dataclass(frozen=True, slots=True)
class TaxDocument:
    """A document as an engine keeps it: under our number, which is never given to another."""

    number: str
    legal_entity_id: str
    invoice_on: date
    net: Money
    tax: Money


class TaxEngine(Protocol):
    """Computes the taxes of one document at a time, and takes note of what was issued.

    `commit` and `void` may be asked again for the same number, and then change nothing; they raise `TaxEngineAway` or
    `TaxRefused`.
    """

    def taxed(self, lines: Sequence[TaxableLine], *, currency: Currency) -> Taxed:
        """The taxes of a document with these lines, and the net of each, also where its price includes the tax.

        Raises a `Rejection` that names what is missing, and `TaxEngineAway`.
        """

    def commit(self, document: TaxDocument) -> str:
        """The document is issued: its tax is owed. Returns the engine's reference."""

    def void(self, document: TaxDocument) -> None:
        """The document is void: nothing is owed of it, also where it was never committed."""
