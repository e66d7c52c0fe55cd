"""Units: how a quantity is rounded and turned into another unit, exactly unless the rule names a rounding."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_05UP, ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, ROUND_UP, Context, Decimal
from typing import Final, Literal, cast

from domain.canonical import EXPONENT_MAX, Json, decimal_text
from domain.definitions import Definition
from domain.money import DIGITS, EXACT, QUOTIENT, ROUNDING, ZERO

#: Half up sends a tie away from zero; ceiling and floor go to the greater and the lesser, up and down from and to zero.
Mode = Literal["none", "half_up", "ceiling", "floor", "up", "down"]
_DECIMAL_MODES: Final[Mapping[Mode, str]] = {
    "half_up": ROUND_HALF_UP,
    "ceiling": ROUND_CEILING,
    "floor": ROUND_FLOOR,
    "up": ROUND_UP,
    "down": ROUND_DOWN,
}
MODES: Final[tuple[Mode, ...]] = ("none", *_DECIMAL_MODES)
_ONE: Final = Decimal(1)
#: A quotient that is cut ends on another digit than 0 or 5, so rounding it once more cannot mistake it for a tie.
_TO_BE_ROUNDED: Final = Context(prec=DIGITS, rounding=ROUND_05UP, traps=ROUNDING.traps)


@dataclass(frozen=True, slots=True)
class Rounding:
    """A mode and the decimals it leaves: -2 rounds to hundreds. `none` leaves a number as it is."""

    mode: Mode = "none"
    scale: int = 0

    def __post_init__(self) -> None:
        assert self.mode in MODES, self.mode
        assert abs(self.scale) <= EXPONENT_MAX, self.scale

    @classmethod
    def parse(cls, terms: Definition) -> "Rounding":
        """The fields `rounding` and `scale` of a definition; not to round if neither is given."""
        scale = terms.integer("scale")
        mode = cast("Mode", terms.choice("rounding", MODES, default="none"))
        if scale is not None and mode == "none":
            raise terms.refuse("scale", "is given, and nothing is rounded", fix="name the rounding, or leave scale out")
        if scale is not None and abs(scale) > EXPONENT_MAX:
            raise terms.refuse("scale", f"is {scale}", fix=f"give -{EXPONENT_MAX} to {EXPONENT_MAX} decimals")
        return cls(mode, scale or 0)

    def to_json(self) -> dict[str, Json]:
        """The fields that `parse` reads back."""
        return {} if self.mode == "none" else {"rounding": self.mode, "scale": self.scale}

    def apply(self, number: Decimal) -> Decimal:
        """The number, rounded; never minus zero."""
        if self.mode == "none":
            return number
        rounded = number.quantize(_ONE.scaleb(-self.scale), _DECIMAL_MODES[self.mode], ROUNDING)
        return ROUNDING.add(rounded, ZERO)

    def quotient(self, number: Decimal, divisor: Decimal) -> Decimal:
        """Their quotient, rounded once; where nothing is rounded it is cut at `money.QUOTIENT_DIGITS` digits."""
        if self.mode == "none":
            return QUOTIENT.divide(number, divisor)
        return self.apply(_TO_BE_ROUNDED.divide(number, divisor))


@dataclass(frozen=True, slots=True)
class Conversion:
    """From one unit to another: times `factor`, divided by `divisor`, then rounded if it says so.

    Both stand side by side so that a third needs no factor that is cut.
    """

    factor: Decimal = _ONE
    divisor: Decimal = _ONE
    rounding: Mode = "none"
    scale: int = 0

    def __post_init__(self) -> None:
        assert self.factor > 0, self.factor
        assert self.divisor > 0, self.divisor
        Rounding(self.rounding, self.scale)

    @classmethod
    def parse(cls, terms: Definition) -> "Conversion":
        """The conversion of a definition such as `{"divisor": "1000", "rounding": "ceiling", "scale": 0}`.

        Raises the definition's refusal, which names the field and the fix.
        """
        terms.only("factor", "divisor", "rounding", "scale")
        numbers = []
        for name in ("factor", "divisor"):
            number = terms.optional_decimal(name)
            if number is not None and number <= 0:
                raise terms.refuse(name, f"is {decimal_text(number)}", fix="give a number above zero")
            numbers.append(_ONE if number is None else number)
        rounding = Rounding.parse(terms)
        return cls(numbers[0], numbers[1], rounding.mode, rounding.scale)

    def to_json(self) -> dict[str, Json]:
        """The fields that `parse` reads back."""
        numbers = {"factor": self.factor, "divisor": self.divisor}
        shown = {name: decimal_text(number) for name, number in numbers.items() if number != 1}
        return {**shown, **Rounding(self.rounding, self.scale).to_json()}

    def apply(self, quantity: Decimal) -> Decimal:
        """The quantity in the other unit: exact unless it is to be rounded or its quotient does not end."""
        product = EXACT.multiply(quantity, self.factor)
        if self.divisor == 1:
            return Rounding(self.rounding, self.scale).apply(product)
        return Rounding(self.rounding, self.scale).quotient(product, self.divisor)

    def unrounded(self, quantity: Decimal) -> Decimal:
        """The quantity in the other unit, before its rounding."""
        return Conversion(self.factor, self.divisor).apply(quantity)
