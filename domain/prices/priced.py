"""What every price model answers with: an amount and the steps that led to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from domain.canonical import Json, decimal_text
from domain.definitions import DefinitionInvalid
from domain.errors import Rejection
from domain.money import EXACT, ZERO

#: What a quantity below zero means to a price that gives no credit for it.
NegativeQuantity = Literal["refuse", "zero"]
NEGATIVE: Final = ("refuse", "zero")


class PriceInvalid(DefinitionInvalid):
    """The terms of a price contradict themselves or leave something open; `facts` name the field and the fix."""

    code = "price_invalid"


class QuantityNegative(Rejection):
    """The quantity of a period is below zero, and the price does not say what that means."""

    code = "quantity_negative"


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step of a calculation, kept as data so that it can be told as a sentence.

    `rule` names the step, `amount` is what it adds, `facts` are (name, decimal or plain text) in the order of telling.
    """

    rule: str
    amount: Decimal
    facts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, rule: str, amount: Decimal, **facts: Decimal | str) -> "TraceStep":
        """The step, with its numbers as decimal texts."""
        texts = tuple((name, decimal_text(fact) if isinstance(fact, Decimal) else fact) for name, fact in facts.items())
        return cls(rule, amount, texts)

    def fact(self, name: str) -> str | None:
        """One fact, or None if the step has none of that name."""
        return dict(self.facts).get(name)

    def to_json(self) -> dict[str, Json]:
        """As kept with the rated usage."""
        return {"rule": self.rule, "amount": decimal_text(self.amount), **dict(self.facts)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Json]) -> "TraceStep":
        """The step that `to_json` wrote."""
        facts = tuple((name, str(fact)) for name, fact in fields.items() if name not in {"rule", "amount"})
        return cls(str(fields["rule"]), Decimal(str(fields["amount"])), facts)


@dataclass(frozen=True, slots=True)
class Priced:
    """An unrounded amount and its steps, whose amounts sum to it."""

    amount: Decimal
    steps: tuple[TraceStep, ...]

    @classmethod
    def of(cls, *steps: TraceStep) -> "Priced":
        """The sum of the steps."""
        amount = ZERO
        for step in steps:
            amount = EXACT.add(amount, step.amount)
        return cls(amount, steps)


def below_zero(quantity: Decimal, *, is_refused: bool) -> Priced:
    """What a quantity below zero costs: nothing. Raises `QuantityNegative` if it is refused."""
    if is_refused:
        raise QuantityNegative(f"the quantity is {decimal_text(quantity)}", quantity=quantity)
    return Priced.of(TraceStep.of("negative_quantity_is_free", ZERO, quantity=quantity))
