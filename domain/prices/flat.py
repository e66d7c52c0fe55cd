"""Flat: one amount for the period, however much was used."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Literal, cast

from domain.canonical import Json, decimal_text
from domain.definitions import Definition
from domain.money import ZERO
from domain.prices.measured import OfQuantity
from domain.prices.priced import NEGATIVE, NegativeQuantity, Priced, TraceStep, below_zero, refuse_below_zero

Due = Literal["always", "when_used"]
_DUE: Final = ("always", "when_used")


@dataclass(frozen=True, slots=True)
class Flat(OfQuantity):
    """`amount` once, due `always` or `when_used`: where the quantity is above zero.

    A quantity below zero is refused, or counts as none. It is due for each window: where usage is kept apart by
    dimensions, once for each of their values that were seen.
    """

    model: ClassVar[Literal["flat"]] = "flat"
    amount: Decimal
    due: Due
    negative_quantity: NegativeQuantity = "refuse"

    def __post_init__(self) -> None:
        refuse_below_zero(amount=self.amount)

    @classmethod
    def parse(cls, terms: Definition) -> "Flat":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "amount", "due", "negative_quantity")
        negative = terms.choice("negative_quantity", NEGATIVE, default="refuse")
        return cls(terms.decimal("amount"), cast("Due", terms.choice("due", _DUE)), cast("NegativeQuantity", negative))

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        return {"amount": decimal_text(self.amount), "due": self.due, "negative_quantity": self.negative_quantity}

    def amount_for(self, quantity: Decimal) -> Priced:
        """The amount, or nothing. Raises `QuantityNegative` unless the price says what that means."""
        if quantity < 0:
            none = below_zero(quantity, is_refused=self.negative_quantity == "refuse")
            if self.due == "when_used":
                return none
        if quantity > 0 or self.due == "always":
            return Priced.of(TraceStep.of("flat", self.amount, due=self.due, quantity=quantity))
        return Priced.of(TraceStep.of("no_usage", ZERO, quantity=quantity))
