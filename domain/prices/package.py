"""Package: units are sold by the package, and a started package is charged whole."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final, Literal, cast

from domain.canonical import Json, decimal_text
from domain.definitions import Definition
from domain.money import EXACT, ZERO
from domain.prices.measured import OfQuantity
from domain.prices.priced import (
    NEGATIVE,
    NegativeQuantity,
    Priced,
    PriceInvalid,
    TraceStep,
    below_zero,
    refuse_below_zero,
    started,
)

Rounding = Literal["up", "down"]
_ROUNDINGS: Final = ("up", "down")


@dataclass(frozen=True, slots=True)
class Package(OfQuantity):
    """`package_amount` for each package of `package_size` units; `free_units` come off first.

    A started package is charged whole, or not at all where packages are rounded down.
    """

    model: ClassVar[Literal["package"]] = "package"
    package_size: Decimal
    package_amount: Decimal
    free_units: Decimal = ZERO
    negative_quantity: NegativeQuantity = "refuse"
    rounding: Rounding = "up"

    def __post_init__(self) -> None:
        if self.package_size <= 0:
            raise PriceInvalid("is not above zero", field="package_size", fix="give the units of one package")
        refuse_below_zero(package_amount=self.package_amount, free_units=self.free_units)

    @classmethod
    def parse(cls, terms: Definition) -> "Package":
        """The price of those terms. Raises `PriceInvalid`."""
        terms.only("model", "package_size", "package_amount", "free_units", "rounding", "negative_quantity")
        free = terms.optional_decimal("free_units")
        negative = terms.choice("negative_quantity", NEGATIVE, default="refuse")
        return cls(
            terms.decimal("package_size"),
            terms.decimal("package_amount"),
            ZERO if free is None else free,
            cast("NegativeQuantity", negative),
            cast("Rounding", terms.choice("rounding", _ROUNDINGS, default="up")),
        )

    def to_json(self) -> dict[str, Json]:
        """The terms, without the model."""
        rounding: dict[str, Json] = {} if self.rounding == "up" else {"rounding": self.rounding}
        return {
            "package_size": decimal_text(self.package_size),
            "package_amount": decimal_text(self.package_amount),
            "free_units": decimal_text(self.free_units),
            "negative_quantity": self.negative_quantity,
            **rounding,
        }

    def amount_for(self, quantity: Decimal) -> Priced:
        """The exact amount. Raises `QuantityNegative` unless the price says what that means."""
        if quantity < 0:
            return below_zero(quantity, is_refused=self.negative_quantity == "refuse")
        free = min(quantity, self.free_units)
        paid = EXACT.subtract(quantity, free)
        is_up = self.rounding == "up"
        packages = started(paid, self.package_size) if is_up else EXACT.divide_int(paid, self.package_size)
        step = TraceStep.of(
            "package",
            EXACT.multiply(packages, self.package_amount),
            quantity=paid,
            packages=packages,
            package_size=self.package_size,
            package_amount=self.package_amount,
        )
        return Priced.of(TraceStep.of("free_units", ZERO, quantity=free), step) if free else Priced.of(step)
