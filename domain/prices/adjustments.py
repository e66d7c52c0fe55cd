"""Adjustments: what a contract changes about a price, in one order that holds for all of them.

Convert the unit, take off free units, price, discount by percent, then by an amount, cut at the maximum, top up to the
minimum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from domain.canonical import Json, decimal_text
from domain.commitments import WindowedCommitment, prorated_minimum
from domain.definitions import Definition
from domain.money import EXACT, ROUNDING, ZERO
from domain.prices.priced import PriceInvalid
from domain.units import Conversion

#: Of a contract's quantity: up and down, from and to zero, would round what is given back another way.
_ROUNDINGS: Final = ("none", "half_up", "ceiling", "floor")
#: Decimals that a converted quantity may be rounded to.
SCALE_MAX: Final = 12
#: Digits of a factor or divisor: an exbibyte in bytes has 19. With more, an exact product might not fit `money.DIGITS`.
FACTOR_DIGITS_MAX: Final = 20
#: Digits of a percentage or an overage factor, and the highest overage factor.
RATE_DIGITS_MAX: Final = 9
OVERAGE_FACTOR_MAX: Final = 1_000
_HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Minimum:
    """What is paid at least in a period, by the share of its days that the price is in force for.

    Unless `is_prorated` is false: then a price that changes within a period has its minimum in full twice.
    """

    amount: Decimal
    is_prorated: bool = True


@dataclass(frozen=True, slots=True)
class Adjustments:
    """What is changed about a price; whatever is not given changes nothing.

    They act on each rated usage: one price, subscription, period and set of dimensions. `percentage` is taken off
    each amount, `amount_off` once off the period, down to nothing; `maximum` and `minimum` bound the period, `windowed`
    bounds each time bucket of it that holds usage; without buckets the period is one.
    """

    convert: Conversion | None = None
    free_units: Decimal = ZERO
    percentage: Decimal = ZERO
    amount_off: Decimal = ZERO
    maximum: Decimal | None = None
    minimum: Minimum | None = None
    windowed: WindowedCommitment | None = None

    def __post_init__(self) -> None:
        if self.convert is not None:
            _check_conversion(self.convert)
        for name, number in (("free_units", self.free_units), ("amount_off", self.amount_off)):
            if number < 0:
                raise PriceInvalid("is below zero", field=name, fix="give zero or more")
        if not 0 <= self.percentage <= _HUNDRED:
            raise PriceInvalid(
                f"is {decimal_text(self.percentage)}", field="percentage", fix="give more than 0 and at most 100"
            )
        _check_digits(self.percentage, RATE_DIGITS_MAX, field="percentage")
        if self.maximum is not None and self.maximum < 0:
            raise PriceInvalid("is below zero", field="maximum", fix="give zero or more")
        if self.minimum is not None:
            _check_minimum(self.minimum.amount, self.maximum)
        if self.windowed is not None:
            _check_windowed(self.windowed)

    @property
    def changes_quantity(self) -> bool:
        """Whether the price sees another quantity than the metric's, or its quantity window by window."""
        return self.convert is not None or self.free_units > 0 or self.windowed is not None

    def converted(self, quantity: Decimal) -> Decimal:
        """The quantity in the unit of the price."""
        return quantity if self.convert is None else self.convert.apply(quantity)

    def discount(self, amount: Decimal) -> Decimal:
        """What the percentage takes off an amount; of a credit it takes off the credit."""
        return EXACT.multiply(amount, self.percentage.scaleb(-2, ROUNDING))

    def minimum_for(self, service_days: tuple[int, int] | None) -> Decimal:
        """What is paid at least, of so many of the period's days; None means all of them. Zero without a minimum."""
        if self.minimum is None:
            return ZERO
        part, whole = (1, 1) if service_days is None or not self.minimum.is_prorated else service_days
        return prorated_minimum(self.minimum.amount, part=part, whole=whole)

    def to_json(self) -> dict[str, Json]:
        """As kept in the terms of the price; what changes nothing is left out."""
        found: dict[str, Json] = {}
        if self.convert is not None:
            found["convert"] = _conversion_json(self.convert)
        for name in ("free_units", "percentage", "amount_off"):
            if getattr(self, name):
                found[name] = decimal_text(getattr(self, name))
        if self.maximum is not None:
            found["maximum"] = decimal_text(self.maximum)
        if self.minimum is not None:
            found["minimum"] = {"amount": decimal_text(self.minimum.amount), "prorate": self.minimum.is_prorated}
        if self.windowed is not None:
            found["windowed"] = {
                "amount": decimal_text(self.windowed.amount),
                "true_up": self.windowed.is_trued_up,
                "overage_factor": decimal_text(self.windowed.overage_factor),
            }
        return found


def _check_digits(number: Decimal, digits_max: int, *, field: str) -> None:
    if len(number.normalize(ROUNDING).as_tuple().digits) > digits_max:
        raise PriceInvalid(f"has more than {digits_max} digits", field=field, fix=f"give at most {digits_max} digits")


def _check_conversion(convert: Conversion) -> None:
    for name, number in (("factor", convert.factor), ("divisor", convert.divisor)):
        _check_digits(number, FACTOR_DIGITS_MAX, field=f"convert.{name}")
    if not 0 <= convert.scale <= SCALE_MAX:
        raise PriceInvalid(f"is {convert.scale}", field="convert.scale", fix=f"give 0 to {SCALE_MAX} decimals")


def _check_minimum(amount: Decimal, maximum: Decimal | None) -> None:
    if amount <= 0:
        raise PriceInvalid("is not above zero", field="minimum.amount", fix="give more than zero, or no minimum")
    if maximum is not None and amount > maximum:
        raise PriceInvalid("is above the maximum", field="minimum.amount", fix="give at most the maximum")


def _check_windowed(windowed: WindowedCommitment) -> None:
    if windowed.amount <= 0:
        raise PriceInvalid("is not above zero", field="windowed.amount", fix="give more than zero, or no commitment")
    if not 0 < windowed.overage_factor <= OVERAGE_FACTOR_MAX:
        sentence, fix = f"is {decimal_text(windowed.overage_factor)}", f"give more than 0, at most {OVERAGE_FACTOR_MAX}"
        raise PriceInvalid(sentence, field="windowed.overage_factor", fix=fix)
    _check_digits(windowed.overage_factor, RATE_DIGITS_MAX, field="windowed.overage_factor")


def free_in(free: Decimal, before: Decimal, quantity: Decimal) -> tuple[Decimal, Decimal]:
    """How many of the free units earlier parts of a period have used up, and how many this one uses.

    A part below zero gives back those that it takes the period's usage down from: they cost nothing, so they are no
    credit.
    """
    used, after = (min(free, max(units, ZERO)) for units in (before, EXACT.add(before, quantity)))
    return used, EXACT.subtract(after, used)


def parse_adjustments(terms: Mapping[str, Json]) -> Adjustments | None:
    """The adjustments among the terms of a price, None if nothing is changed. Raises `PriceInvalid`."""
    adjustments = Definition(terms, PriceInvalid).optional_object("adjustments")
    if adjustments is None:
        return None
    adjustments.only("convert", "free_units", "percentage", "amount_off", "maximum", "minimum", "windowed")
    percentage = adjustments.optional_decimal("percentage")
    if percentage is not None and percentage <= 0:
        raise adjustments.refuse("percentage", "is not above zero", fix="give more than 0 and at most 100")
    try:
        found = Adjustments(
            convert=_parse_conversion(adjustments.optional_object("convert")),
            free_units=adjustments.optional_decimal("free_units") or ZERO,
            percentage=percentage or ZERO,
            amount_off=adjustments.optional_decimal("amount_off") or ZERO,
            maximum=adjustments.optional_decimal("maximum"),
            minimum=_parse_minimum(adjustments.optional_object("minimum")),
            windowed=_parse_windowed(adjustments.optional_object("windowed")),
        )
    except PriceInvalid as error:
        raise _placed(error, adjustments.path) from error
    return None if found == Adjustments() else found


def _placed(error: PriceInvalid, path: str) -> PriceInvalid:
    """The refusal with the field's path from the top of the terms."""
    is_placed = error.field.startswith(f"{path}.")
    sentence = error.sentence.removeprefix(f"{error.field}: ")
    return PriceInvalid(sentence, field=error.field if is_placed else f"{path}.{error.field}", fix=error.fix)


def _parse_conversion(terms: Definition | None) -> Conversion | None:
    if terms is None:
        return None
    terms.only("factor", "divisor", "rounding", "scale")
    terms.choice("rounding", _ROUNDINGS, default="none")
    if (terms.entries.get("factor") is None) == (terms.entries.get("divisor") is None):
        fix = "give a factor to multiply by, or a divisor to divide by"
        raise terms.refuse("factor", "and divisor are both given or both missing", fix=fix)
    return Conversion.parse(terms)


def _conversion_json(convert: Conversion) -> dict[str, Json]:
    found = convert.to_json()
    return found if "divisor" in found else {"factor": decimal_text(convert.factor), **found}


def _parse_minimum(terms: Definition | None) -> Minimum | None:
    if terms is None:
        return None
    terms.only("amount", "prorate")
    return Minimum(terms.decimal("amount"), terms.boolean("prorate", default=True))


def _parse_windowed(terms: Definition | None) -> WindowedCommitment | None:
    if terms is None:
        return None
    terms.only("amount", "true_up", "overage_factor")
    factor = terms.optional_decimal("overage_factor")
    is_trued_up = terms.boolean("true_up", default=False)
    return WindowedCommitment(terms.decimal("amount"), is_trued_up, Decimal(1) if factor is None else factor)
