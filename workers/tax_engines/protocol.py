"""What a tax engine answers, whoever it is: the evidence of each line and the document's taxes."""

from collections.abc import Sequence
from typing import Protocol

from domain.money import Currency
from domain.taxation import TaxableLine, Taxed


class TaxEngine(Protocol):
    """Computes the taxes of one document at a time."""

    def taxed(self, lines: Sequence[TaxableLine], *, currency: Currency) -> Taxed:
        """The taxes of a document with these lines. Raises a `Rejection` that names what is missing."""
