"""Explanations: the trace of a line, told as sentences that its customer could be sent; their figures add up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from string import Formatter
from typing import Final

from domain.canonical import Json, plain_text
from domain.money import EXACT, ZERO, Currency, Money, exact_sum, rounded_to
from domain.prices import TraceStep

#: Decimals of an amount that are told at most; what is cut there is part of the sentence about rounding.
DECIMALS_MAX: Final = 8
#: Steps that are told one by one: a month by the hour may have more, which are told together by their rule.
STEPS_MAX: Final = 400
#: Amounts that are written out as a sum; of more only the sum is told.
TERMS_MAX: Final = 12

#: For each rule its sentences without the amount; the first holds whose facts the step has. `:n` writes a number, `:u`
#: so many units, `:e` so many events, `:m` an amount; `stretch` is told from the bounds of a tier.
SENTENCES: Final[Mapping[str, tuple[str, ...]]] = {
    "no_usage": ("Nothing was used",),
    "not_subscribed": ("There was nothing of it in the period",),
    "negative_quantity_is_free": ("The quantity is {quantity:n}, below zero, and nothing is asked for it",),
    "flat": ("A flat amount",),
    "per_unit": ("{quantity:u} at {unit_amount:m} for each {per:n}", "{quantity:u} at {unit_amount:m} each"),
    "cap": ("It costs {cap_amount:m} at most",),
    "tier": (
        "Tier {tier}, {stretch}: {quantity:u} at {unit_amount:m} each",
        "Tier {tier}, {stretch}: {rate_percent:n} % of {quantity:n}",
    ),
    "tier_flat": ("Tier {tier} has a flat amount, due once",),
    "tier_cap": ("Tier {tier} costs {cap_amount:m} at most",),
    "volume_tier": (
        "{chosen_by:n} in the whole period fall in tier {tier}, {stretch}: {quantity:u} at {unit_amount:m} each",
        "The whole quantity falls in tier {tier}, {stretch}: {quantity:u} at {unit_amount:m} each",
    ),
    "stair": (
        "{chosen_by:n} in the whole period fall in tier {tier} ({stretch}), which has one amount",
        "{quantity:n} in all fall in tier {tier} ({stretch}), which has one amount",
    ),
    "package": ("Packages of {package_size:u} for {quantity:u}: {packages:n} at {package_amount:m} each",),
    "block_tier": ("Tier {tier}, blocks of {block_size:u} for {quantity:u}: {blocks:n} at {block_amount:m} each",),
    "capacity_tier": ("The greatest values, {peaks}, fall in tier {tier}, which has one amount",),
    "percentage": ("{rate_percent:n} % of {quantity:n}, the sum of {events:e}",),
    "fixed_per_event": ("A fixed amount of {fixed_amount:m} for each of {events:e}",),
    "free_events": ("Free of charge are {events:e}, and {quantity:n} of what events come to",),
    "event_minimum": ("An event costs {bound:m} at least, which {events:e} did not reach",),
    "event_maximum": ("An event costs {bound:m} at most, which {events:e} were above",),
    "event_price": ("The events came with {event_amount:m}, which is taken {multiplier:n} times",),
    "matrix_cell": ("The price is that for {cell}",),
    "matrix_default": ("The price is the one without a value of its own, for {cell}",),
    "converted": ("{quantity:n} are {converted:n} in the unit of the price",),
    "free_units": ("{quantity:u} free of charge",),
    "discount": ("A discount of {percentage:n} % of {of:m}",),
    "amount_off": ("A discount of {amount_off:m}",),
    "maximum": ("Of {of:m}, {maximum:m} is asked for at most",),
    "minimum": (
        "For {service_days} days {minimum:m} is asked for at least, and {of:m} was reached",
        "{minimum:m} is asked for at least, and {of:m} was reached",
    ),
    "window_overage": ("The {above:m} above the commitment of a window count {overage_factor:n} times, which adds",),
    "window_true_up": (
        "A window is committed to {commitment:m}, and {of:m} was reached",
        "Windows in which nothing was used, each of them committed to {commitment:m}: there are {windows:n}",
    ),
    "slice": ("The quantity goes from {above:n} to {up_to:n}, for {part:n} of {whole:n} of the period",),
    "total_below_zero_is_free": ("The quantity ends at {quantity:n}, below zero, and nothing is asked for it",),
    "usage_below_zero_is_free": ("What was given back is more than what is asked for, and is not paid out",),
    "together": ("{steps:n} times {rule_name}, together",),
    "rounding": ("Rounding to {minor_units} decimals",),
    "already_billed": ("Already billed{on}",),
    "tax_included": ("Of this is tax, which is shown apart",),
    "coupon_percent": ("{percent:n} % of {of:m} is {given:m}; of it on {on:m} for {metric}",),
    "coupon_amount": ("{given:m} is given on {of:m}; of it on {on:m} for {metric}",),
    "spend_maximum": ("Of {of:m} for all charges, {maximum:m} is asked for at most; of what is above on {metric}",),
    "spend_minimum": ("{minimum:m} is asked for at least for all charges, and {of:m} was reached",),
    "already_given": ("Already given{on}",),
}
#: What is said behind the sentence of any step that has these facts; `:c` writes an amount in the currency of the line.
_BEHIND: Final = (
    ", in {buckets:n} time buckets",
    ", which is {pricing_units:n} {pricing_unit} at {conversion_rate:c} each",
    ", for {days} of {of_days} days",
)


@dataclass(frozen=True, slots=True)
class Told:
    """A line of a document, as much of it as its customer is told; `ends_on` is exclusive, `amount` unrounded.

    `period_quantity` is that of the whole period, which the steps price; `quantity` is what is new with this line.
    `asked` is the net together with its tax where the price includes that.
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
    phase: str | None = None
    asked: Money | None = None


@dataclass(frozen=True, slots=True)
class ToldBeside:
    """What a document gives or asks beside its lines, under the title that it has there; `ends_on` is exclusive."""

    title: str
    starts_on: date
    ends_on: date
    net: Money
    steps: tuple[TraceStep, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, and what it adds to the net of the line: None for those that only say what the line is about."""

    rule: str
    text: str
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Fact:
    """A fact of a step as it is told; the format says whether it is a number, units, money, or words.

    An amount `m` is in the unit that the price is in, which need not be the currency of the line.
    """

    text: str
    currency: Currency
    pricing_unit: str | None

    def __format__(self, spec: str) -> str:
        if not spec:
            return self.text
        number = number_text(Decimal(self.text))
        match spec:
            case "m" if self.pricing_unit is not None:
                return f"{self.pricing_unit} {number}"
            case "m" | "c":
                return money_text(Money(Decimal(self.text), self.currency))
            case "u" | "e":
                return f"{number} {'unit' if spec == 'u' else 'event'}{'' if number == '1' else 's'}"
            case _:
                return number


def explained(line: Told) -> tuple[Sentence, ...]:
    """What the line is about, a sentence for each step, and the sum; the amounts of the sentences sum to the net."""
    steps = [_sentence(step, line.net) for step in _together(list(_steps(line)))]
    return (*_heading(line), *steps, _sum(steps, line.net))


def explained_beside(beside: ToldBeside) -> tuple[Sentence, ...]:
    """As `explained`, for what stands beside the lines; the amounts of the sentences sum to its net."""
    last_day = beside.ends_on - timedelta(days=1)
    does = "gives" if beside.net.is_negative else "asks"
    heading = f"{beside.title} {does} this beside the lines, for all of {beside.starts_on} to {last_day}."
    steps = [_sentence(step, beside.net) for step in _together(beside.steps)]
    return (Sentence("beside", heading), *steps, _sum(steps, beside.net))


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
    asked = line.net if line.asked is None else line.asked
    billed = whole - asked
    if not billed.is_zero:
        on = f" on {', '.join(line.earlier)}" if line.earlier else ""
        yield TraceStep.of("already_billed", (-billed).amount, on=on)
    if asked != line.net:
        yield TraceStep.of("tax_included", (line.net - asked).amount)


def _together(steps: Sequence[TraceStep]) -> Iterator[TraceStep]:
    """The steps; if they are too many to read, one for each rule that has several."""
    by_rule: dict[str, list[TraceStep]] = {}
    for n, step in enumerate(steps):
        by_rule.setdefault(step.rule if len(steps) > STEPS_MAX else str(n), []).append(step)
    for rule, alike in by_rule.items():
        if len(alike) == 1:
            yield alike[0]
        else:
            amount = exact_sum(step.amount for step in alike)
            yield TraceStep.of("together", amount, steps=Decimal(len(alike)), rule_name=rule.replace("_", " "))


def _sentence(step: TraceStep, net: Money) -> Sentence:
    amount = money_text(Money(step.amount, net.currency))
    return Sentence(step.rule, f"{_words(step, net.currency)}: {amount}.", step.amount)


def _words(step: TraceStep, currency: Currency) -> str:
    texts = dict(step.facts)
    facts = {name: _Fact(text, currency, texts.get("pricing_unit")) for name, text in texts.items()}
    if "up_to" in facts:
        facts["stretch"] = _Fact(_stretch(facts), currency, None)
    said = _first_that_fits(SENTENCES.get(step.rule, ()), facts)
    if said is None:  # a trace is kept for ever: one of a rule that told less, or that is gone, is told as it is kept
        told = ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in texts.items())
        return f"{step.rule.replace('_', ' ').capitalize()}{' with ' if told else ''}{told}"
    return said + "".join(_first_that_fits((each,), facts) or "" for each in _BEHIND)


def _first_that_fits(templates: Sequence[str], facts: Mapping[str, _Fact]) -> str | None:
    """The first of the templates whose facts there are, with them; None if there is none."""
    for template in templates:
        if all(name in facts for _, name, _, _ in Formatter().parse(template) if name):
            return template.format_map(facts)
    return None


def _stretch(facts: Mapping[str, _Fact]) -> str:
    """Which units a tier is about."""
    above, up_to = facts.get("above"), facts["up_to"]
    below = f"above {above:n}" if above is not None and Decimal(above.text) else ""
    if up_to.text == "open":
        return below or ("all of it" if above is not None else "without an upper end")
    return f"{below} up to {up_to:n}" if below else f"up to {up_to:n}"


def _heading(line: Told) -> Iterator[Sentence]:
    kept_apart = ", ".join(f"{name} {plain_text(value)}" for name, value in sorted(line.dimensions.items()))
    last_day = line.ends_on - timedelta(days=1)
    about = f"This line is for {line.metric}{' of ' if kept_apart else ''}{kept_apart}"
    priced_by = "" if line.phase is None else f", at the prices of the phase {line.phase}"
    yield Sentence("period", f"{about}, from {line.starts_on} to {last_day}{priced_by}.")
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
