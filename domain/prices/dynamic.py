"""Dynamic: the events come with their price, and the sum of it is charged."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Literal, cast

from domain.canonical import Json, decimal_text
from domain.definitions import Definition
from domain.money import EXACT, ZERO
from domain.prices.measured import Measured, NotMeasured
from domain.prices.priced import Priced, TraceStep, below_zero, refuse_below_zero

NegativeQuantity = Literal["refuse", "zero", "credit"]
_NEGATIVE: Final = ("refuse", "zero", "credit")


@dataclass(frozen=True, slots=True)
class Dynamic:
    """The money of the events times the `multiplier`; nothing where no unit is left, whatever money came with it.

    Units or money below zero are refused, cost nothing, or are a credit.
    """

    model: ClassVar[Literal["dynamic"]] = "dynamic"
    multiplier: Decimal
    negative_quantity: NegativeQuantity = "refuse"

    def __post_init__(self) -> None:
        refuse_below_zero(multiplier=self.multiplier)

    @classmethod
    def parse(cls, terms: Definition) -> "Dynamic":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "multiplier", "negative_quantity")
        multiplier = terms.optional_decimal("multiplier")
        negative = terms.choice("negative_quantity", _NEGATIVE, default="refuse")
        return cls(Decimal(1) if multiplier is None else multiplier, cast("NegativeQuantity", negative))

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        return {"multiplier": decimal_text(self.multiplier), "negative_quantity": self.negative_quantity}

    def price(self, measured: Measured) -> Priced:
        """The exact amount. Raises `NotMeasured`, and `QuantityNegative` unless the price says what that means."""
        if measured.amount is None:
            raise NotMeasured("the metric does not keep the money that events come with", model=self.model)
        lower = min(measured.quantity, measured.amount)
        if lower < 0 and self.negative_quantity != "credit":
            return below_zero(lower, is_refused=self.negative_quantity == "refuse")
        if not measured.quantity:
            return Priced.of(TraceStep.of("no_usage", ZERO, quantity=ZERO))
        amount = EXACT.multiply(measured.amount, self.multiplier)
        facts = {"quantity": measured.quantity, "event_amount": measured.amount, "multiplier": self.multiplier}
        return Priced.of(TraceStep.of("event_price", amount, **facts))
