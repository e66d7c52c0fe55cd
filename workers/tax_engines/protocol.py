"""What a tax engine answers, whoever it is: the evidence of each line and the document's taxes."""

from collections.abc import Sequence
from typing import Protocol

from domain.errors import Snooze
from domain.money import Currency
from domain.taxation import TaxableLine, Taxed


class TaxEngineAway(Snooze):
    """The engine did not answer, or asks us to wait: nobody's failure, the draft is taxed later."""

    outcome = "tax_engine_away"


class TaxEngine(Protocol):
    """Computes the taxes of one document at a time."""

    def taxed(self, lines: Sequence[TaxableLine], *, currency: Currency) -> Taxed:
        """The taxes of a document with these lines.

        Raises a `Rejection` that names what is missing, and `TaxEngineAway`.
        """
