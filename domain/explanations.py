"""Explanations: the trace of a line, told as sentences that its customer could be sent; their figures add up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from domain.canonical import Json, plain_text
from domain.money import EXACT, ZERO, Money, rounded_to
from domain.prices import TraceStep

#: Decimals of an amount that are told at most; what is cut there is part of the sentence about rounding.
DECIMALS_MAX: Final = 8
#: Amounts that are written out as a sum; of more only the sum is told.
TERMS_MAX: Final = 12

#: A sentence for each rule, without its amount. `:n` writes a number, `:u` so many units, `:m` an amount of money;
#: `stretch` is told from the bounds of a tier.
SENTENCES: Final[Mapping[str, str]] = {
    "no_usage": "Nothing was used",
    "not_subscribed": "There was nothing of it in the period",
    "negative_quantity_is_free": "The quantity is {quantity:n}, below zero, and nothing is asked for it",
    "free_units": "{quantity:u} free of charge",
    "per_unit": "{quantity:u} at {unit_amount:m} each",
    "tier": "Tier {tier}, {stretch}: {quantity:u} at {unit_amount:m} each",
    "tier_flat": "Tier {tier} has a flat amount, due once",
    "volume_tier": "The whole quantity falls in tier {tier}, {stretch}: {quantity:u} at {unit_amount:m} each",
    "package": "Packages of {package_size:u}, started for {quantity:u}: {packages:n} at {package_amount:m} each",
    "rounding": "Rounding to {minor_units} decimals",
    "already_billed": "Already billed{on}",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A line of a document, as much of it as its customer is told; `ends_on` is exclusive, `amount` unrounded.

    `period_quantity` is that of the whole period, which the steps price; `quantity` is what is new with this line.
    """

    metric: str
    unit: str
    dimensions: Mapping[str, Json]
    starts_on: date
    ends_on: date
    period_quantity: Decimal
    quantity: Decimal
    amount: Money
    net: Money
    steps: tuple[TraceStep, ...]
    earlier: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, and what it adds to the net of the line: None for those that only say what the line is about."""

    rule: str
    text: str
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Fact:
    """A fact of a step as it is told; the format says whether it is a number, units, money, or words."""

    text: str
    currency: str

    def __format__(self, spec: str) -> str:
        if not spec:
            return self.text
        number = number_text(Decimal(self.text))
        unit = "" if spec == "n" else " unit" if number == "1" else " units"
        return f"{self.currency} {number}" if spec == "m" else f"{number}{unit}"


def explained(line: Told) -> tuple[Sentence, ...]:
    """What the line is about, a sentence for each step, and the sum; the amounts of the sentences sum to the net."""
    steps = [_sentence(step, line.net) for step in _steps(line)]
    return (*_heading(line), *steps, _sum(steps, line.net))


def number_text(number: Decimal) -> str:
    """A number as people read it, with all its digits: 1,480,000 or 0.0002."""
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money_text(amount: Money) -> str:
    """An amount as people read it, with at least its minor units: USD 1,896.00."""
    whole = amount.rounded().amount
    return f"{amount.currency.code} {f'{whole:,f}' if whole == amount.amount else number_text(amount.amount)}"


def _steps(line: Told) -> Iterator[TraceStep]:
    """The steps with amounts that can be read, then what rounding adds to their sum, then what was billed before."""
    decimals = max(DECIMALS_MAX, line.net.currency.minor_units)
    sum_told = ZERO
    for step in line.steps:
        told = rounded_to(step.amount, decimals)
        sum_told = EXACT.add(sum_told, told)
        yield TraceStep(step.rule, told, step.facts)
    whole = line.amount.rounded()
    if whole.amount != sum_told:
        minor_units = str(line.net.currency.minor_units)
        yield TraceStep.of("rounding", EXACT.subtract(whole.amount, sum_told), minor_units=minor_units)
    billed = whole - line.net
    if not billed.is_zero:
        on = f" on {', '.join(line.earlier)}" if line.earlier else ""
        yield TraceStep.of("already_billed", (-billed).amount, on=on)


def _sentence(step: TraceStep, net: Money) -> Sentence:
    amount = money_text(Money(step.amount, net.currency))
    return Sentence(step.rule, f"{_words(step, net.currency.code)}: {amount}.", step.amount)


def _words(step: TraceStep, currency: str) -> str:
    facts = {name: _Fact(fact, currency) for name, fact in step.facts}
    if "up_to" in facts:
        facts["stretch"] = _Fact(_stretch(facts), currency)
    part = ", for {days} of {of_days} days" if {"days", "of_days"} <= facts.keys() else ""
    try:
        return (SENTENCES[step.rule] + part).format_map(facts)
    except KeyError:  # a trace is kept for ever: one of a rule that told less, or that is gone, is told as it is kept
        told = ", ".join(f"{name.replace('_', ' ')} {fact}" for name, fact in step.facts)
        return f"{step.rule.replace('_', ' ').capitalize()}{' with ' if told else ''}{told}"


def _stretch(facts: Mapping[str, _Fact]) -> str:
    """Which units a tier is about."""
    above, up_to = facts.get("above"), facts["up_to"]
    below = f"above {above:n}" if above is not None and Decimal(above.text) else ""
    if up_to.text == "open":
        return below or "which has no upper end"
    return f"{below} up to {up_to:n}" if below else f"up to {up_to:n}"


def _heading(line: Told) -> Iterator[Sentence]:
    kept_apart = ", ".join(f"{name} {plain_text(value)}" for name, value in sorted(line.dimensions.items()))
    last_day = line.ends_on - timedelta(days=1)
    about = f"This line is for {line.metric}{' of ' if kept_apart else ''}{kept_apart}"
    yield Sentence("period", f"{about}, from {line.starts_on} to {last_day}.")
    quantity = f"The quantity of the whole period is {number_text(line.period_quantity)}"
    yield Sentence("quantity", f"{quantity}, counted by the unit {line.unit}.")
    if line.quantity != line.period_quantity:
        change = f"{'adds' if line.quantity >= 0 else 'takes back'} {number_text(abs(line.quantity))}"
        yield Sentence("change", f"Earlier documents hold a part of the period; this line {change}.")


def _sum(sentences: Sequence[Sentence], net: Money) -> Sentence:
    total = money_text(net)
    amounts = [amount for each in sentences if (amount := each.amount)]
    if not 1 < len(amounts) <= TERMS_MAX:
        return Sentence("sum", f"The sum before tax is {total}.")
    first, *others = (Money(amount, net.currency) for amount in amounts)
    rest = "".join(f" {'-' if each.is_negative else '+'} {money_text(abs(each))}" for each in others)
    return Sentence("sum", f"The sum before tax is {money_text(first)}{rest} = {total}.")
