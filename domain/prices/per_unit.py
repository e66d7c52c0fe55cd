"""Per unit: every unit costs the same."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Literal, cast

from domain.canonical import Json, decimal_text
from domain.definitions import Definition
from domain.money import EXACT, QUOTIENT
from domain.prices.measured import OfQuantity
from domain.prices.priced import Priced, PriceInvalid, TraceStep, below_zero, refuse_below_zero, texts_of

NegativeQuantity = Literal["refuse", "zero", "credit"]
_NEGATIVE: Final = ("refuse", "zero", "credit")


@dataclass(frozen=True, slots=True)
class PerUnit(OfQuantity):
    """`unit_amount` for each `per` units, by the exact part of them, at most `cap_amount` in all.

    A quantity below zero is refused, costs nothing, or is a credit at the same rate.
    """

    model: ClassVar[Literal["per_unit"]] = "per_unit"
    unit_amount: Decimal
    negative_quantity: NegativeQuantity = "refuse"
    per: Decimal | None = None
    cap_amount: Decimal | None = None

    def __post_init__(self) -> None:
        if self.unit_amount < 0:
            raise PriceInvalid("is below zero", field="unit_amount", fix="give zero or more; a credit is a discount")
        if self.per is not None and self.per <= 0:
            raise PriceInvalid("is not above zero", field="per", fix="give the units that the amount is for")
        refuse_below_zero(cap_amount=self.cap_amount)

    @classmethod
    def parse(cls, terms: Definition) -> "PerUnit":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "unit_amount", "per", "cap_amount", "negative_quantity")
        negative = terms.choice("negative_quantity", _NEGATIVE, default="refuse")
        return cls(
            terms.decimal("unit_amount"),
            cast("NegativeQuantity", negative),
            terms.optional_decimal("per"),
            terms.optional_decimal("cap_amount"),
        )

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        return {
            "unit_amount": decimal_text(self.unit_amount),
            "negative_quantity": self.negative_quantity,
            **texts_of(per=self.per, cap_amount=self.cap_amount),
        }

    def amount_for(self, quantity: Decimal) -> Priced:
        """The amount, exact unless a division by `per` never ends. Raises `QuantityNegative`."""
        if quantity < 0 and self.negative_quantity != "credit":
            return below_zero(quantity, is_refused=self.negative_quantity == "refuse")
        facts = {"quantity": quantity, "unit_amount": self.unit_amount}
        amount = EXACT.multiply(quantity, self.unit_amount)
        if self.per is not None:
            amount = QUOTIENT.divide(amount, self.per)
            facts["per"] = self.per
        step = TraceStep.of("per_unit", amount, **facts)
        if self.cap_amount is None or amount <= self.cap_amount:
            return Priced.of(step)
        return Priced.of(step, TraceStep.of("cap", EXACT.subtract(self.cap_amount, amount), cap_amount=self.cap_amount))
