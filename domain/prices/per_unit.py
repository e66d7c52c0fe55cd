"""Per unit: every unit costs the same."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Literal, cast

from domain.canonical import Json, decimal_text
from domain.definitions import Definition
from domain.money import EXACT
from domain.prices.measured import OfQuantity
from domain.prices.priced import Priced, PriceInvalid, TraceStep, below_zero

NegativeQuantity = Literal["refuse", "zero", "credit"]
_NEGATIVE: Final = ("refuse", "zero", "credit")


@dataclass(frozen=True, slots=True)
class PerUnit(OfQuantity):
    """`unit_amount` a unit; a quantity below zero is refused, costs nothing, or is a credit at the same rate."""

    model: ClassVar[Literal["per_unit"]] = "per_unit"
    unit_amount: Decimal
    negative_quantity: NegativeQuantity = "refuse"

    def __post_init__(self) -> None:
        if self.unit_amount < 0:
            raise PriceInvalid("is below zero", field="unit_amount", fix="give zero or more; a credit is a discount")

    @classmethod
    def parse(cls, terms: Definition) -> "PerUnit":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "unit_amount", "negative_quantity")
        negative = terms.choice("negative_quantity", _NEGATIVE, default="refuse")
        return cls(terms.decimal("unit_amount"), cast("NegativeQuantity", negative))

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        return {"unit_amount": decimal_text(self.unit_amount), "negative_quantity": self.negative_quantity}

    def amount_for(self, quantity: Decimal) -> Priced:
        """The exact amount. Raises `QuantityNegative` unless the price says what that means."""
        if quantity < 0 and self.negative_quantity != "credit":
            return below_zero(quantity, is_refused=self.negative_quantity == "refuse")
        amount = EXACT.multiply(quantity, self.unit_amount)
        return Priced.of(TraceStep.of("per_unit", amount, quantity=quantity, unit_amount=self.unit_amount))
