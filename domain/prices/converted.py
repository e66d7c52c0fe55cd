"""Converted: the price is in a unit of its own, such as credits, which has a rate in the contract's currency."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from domain.canonical import Json, decimal_text
from domain.definitions import Definition
from domain.money import EXACT
from domain.prices.measured import Measured
from domain.prices.nested import Inner, inner_json, parse_inner
from domain.prices.priced import Priced, PriceInvalid, TraceStep


@dataclass(frozen=True, slots=True)
class Converted:
    """What the nested price comes to in `pricing_unit`s, times `conversion_rate`: the money that one of them is."""

    model: ClassVar[Literal["converted"]] = "converted"
    pricing_unit: str
    conversion_rate: Decimal
    in_units: Inner

    def __post_init__(self) -> None:
        if self.conversion_rate <= 0:
            fix = "give the money that one pricing unit is"
            raise PriceInvalid("is not above zero", field="conversion_rate", fix=fix)

    @classmethod
    def parse(cls, terms: Definition) -> "Converted":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "pricing_unit", "conversion_rate", "price")
        return cls(terms.text("pricing_unit"), terms.decimal("conversion_rate"), parse_inner(terms))

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        return {
            "pricing_unit": self.pricing_unit,
            "conversion_rate": decimal_text(self.conversion_rate),
            "price": inner_json(self.in_units),
        }

    def price(self, measured: Measured) -> Priced:
        """The exact amount; its steps tell the pricing units that they were. Raises what the nested price raises."""
        return Priced.of(*(self._step(step) for step in self.in_units.price(measured).steps))

    def _step(self, step: TraceStep) -> TraceStep:
        return TraceStep.of(
            step.rule,
            EXACT.multiply(step.amount, self.conversion_rate),
            **dict(step.facts),
            pricing_units=step.amount,
            pricing_unit=self.pricing_unit,
            conversion_rate=self.conversion_rate,
        )
