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


class UsageNotPriced(Rejection):
    """The price has terms for some values or names, and this usage has another."""

    code = "usage_not_priced"


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


def started(units: Decimal, size: Decimal) -> Decimal:
    """How many packages of a size hold the units, the last one started or full.

    Counted by whole division, which is exact where a quotient may not be.
    """
    whole = EXACT.divide_int(units, size)
    rest = EXACT.subtract(units, EXACT.multiply(whole, size))
    return EXACT.add(whole, Decimal(1)) if rest else whole


def refuse_below_zero(**numbers: Decimal | None) -> None:
    """Raises `PriceInvalid` for the first of the fields that is given and below zero."""
    for name, number in numbers.items():
        if number is not None and number < 0:
            raise PriceInvalid("is below zero", field=name, fix="give zero or more")


def texts_of(**amounts: Decimal | None) -> dict[str, Json]:
    """Those fields that are given, as decimal texts: options that are not used are not printed."""
    return {name: decimal_text(amount) for name, amount in amounts.items() if amount is not None}
