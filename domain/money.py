"""Money: exact amounts with their currency; what is rounded, and where a remainder goes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import reduce
from typing import Final

from domain.canonical import decimal_of, decimal_text
from domain.currencies import MINOR_UNITS, WITHOUT_MINOR_UNITS
from domain.errors import Rejection

#: Holds whatever accepted terms and usage come to: a number of `canonical.DIGITS_MAX` digits reaches from 10^31 down to
#: 10^-67, at most six are multiplied (units, two conversions, two rates, a percentage), and at most 10^12 are added up.
DIGITS: Final = 640
#: A quotient seldom ends; this many digits of it are kept, far below the minor unit of any sum.
QUOTIENT_DIGITS: Final = 50

_TRAPS: Final = [InvalidOperation, DivisionByZero, Overflow]
#: For sums and products: a result that would not be exact raises `decimal.Inexact` instead of being rounded silently.
EXACT: Final = Context(prec=DIGITS, traps=[*_TRAPS, Inexact])
#: For rounding on purpose; half up means away from zero on a tie, for credits too.
ROUNDING: Final = Context(prec=DIGITS, rounding=ROUND_HALF_UP, traps=_TRAPS)
#: For divisions, the only operation here whose result may be cut.
QUOTIENT: Final = Context(prec=QUOTIENT_DIGITS, rounding=ROUND_HALF_UP, traps=_TRAPS)

ZERO: Final = Decimal(0)


class CurrencyUnknown(Rejection):
    """The code is not in ISO 4217's list."""

    code = "currency_unknown"


class CurrencyWithoutMinorUnits(Rejection):
    """The code stands for a metal or a unit of account, which no document can be in."""

    code = "currency_without_minor_units"


class CurrenciesMixed(Rejection):
    """Two amounts in different currencies meet where one is needed."""

    code = "currencies_mixed"


class AllocationImpossible(Rejection):
    """The amount cannot be spread: it is not in whole minor units, or the weights are negative or all zero."""

    code = "allocation_impossible"


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency of ISO 4217; `minor_units` is the number of decimals that its rounded amounts have."""

    code: str
    minor_units: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.code in WITHOUT_MINOR_UNITS:
            raise CurrencyWithoutMinorUnits(f"{self.code} has no minor unit", currency=self.code)
        if self.code not in MINOR_UNITS:
            raise CurrencyUnknown(f"{self.code!r} is no currency of ISO 4217", currency=self.code)
        object.__setattr__(self, "minor_units", MINOR_UNITS[self.code])


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in major units of a currency, rounded or not."""

    amount: Decimal
    currency: Currency

    def __post_init__(self) -> None:
        assert isinstance(self.amount, Decimal), self.amount
        assert self.amount.is_finite(), self.amount

    @classmethod
    def zero(cls, currency: Currency) -> "Money":
        """Nothing, in that currency."""
        return cls(ZERO, currency)

    @classmethod
    def of(cls, amount: str | int | Decimal, currency: str | Currency) -> "Money":
        """Money from a decimal text such as "-12.50" and a code such as "EUR".

        Raises `CurrencyUnknown`, `CurrencyWithoutMinorUnits` or `NumberOutOfBounds`.
        """
        return cls(decimal_of(amount), currency if isinstance(currency, Currency) else Currency(currency))

    def __add__(self, other: "Money") -> "Money":
        return Money(EXACT.add(self.amount, self._same(other)), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(EXACT.subtract(self.amount, self._same(other)), self.currency)

    def __neg__(self) -> "Money":
        return Money(EXACT.minus(self.amount), self.currency)

    def __abs__(self) -> "Money":
        return Money(EXACT.abs(self.amount), self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.amount > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.amount >= self._same(other)

    @property
    def is_zero(self) -> bool:
        """Whether it is nothing."""
        return not self.amount

    @property
    def is_negative(self) -> bool:
        """Whether it is less than nothing."""
        return self.amount < 0

    @property
    def is_rounded(self) -> bool:
        """Whether it is in whole minor units."""
        return self.amount == self.rounded().amount

    def times(self, factor: Decimal) -> "Money":
        """The exact product."""
        return Money(EXACT.multiply(self.amount, factor), self.currency)

    def rounded(self) -> "Money":
        """In whole minor units, half up: a tie goes away from zero."""
        return Money(rounded_to(self.amount, self.currency.minor_units), self.currency)

    def to_text(self) -> str:
        """The amount as a decimal string without its currency: never an exponent, never less exact than it is.

        In whole minor units it has exactly their decimals (`5.00`), else as many as it needs.
        """
        rounded = self.rounded().amount
        return format(rounded, "f") if rounded == self.amount else decimal_text(self.amount)

    def _same(self, other: "Money") -> Decimal:
        if self.currency != other.currency:
            codes = self.currency.code, other.currency.code
            raise CurrenciesMixed(f"{codes[0]} and {codes[1]} cannot be put together", currencies=codes)
        return other.amount


def rounded_to(number: Decimal, decimals: int) -> Decimal:
    """The number at that many decimals (hundreds if -2), a tie away from zero; never minus zero."""
    quantum = Decimal(1).scaleb(-decimals)
    return ROUNDING.add(ROUNDING.quantize(number, quantum), ZERO)


def exact_sum(numbers: Iterable[Decimal]) -> Decimal:
    """The exact sum; zero if there are none."""
    return reduce(EXACT.add, numbers, ZERO)


def total(amounts: Iterable[Money], currency: Currency) -> Money:
    """The exact sum; zero if there are none. Raises `CurrenciesMixed` if one is in another currency."""
    result = Money.zero(currency)
    for amount in amounts:
        result += amount
    return result


def proportion(amount: Money, *, part: int, whole: int) -> Money:
    """`amount` x `part` / `whole`, unrounded to `QUOTIENT_DIGITS` digits; the amount itself if both are equal."""
    assert whole > 0, whole
    if part == whole:
        return amount
    return Money(QUOTIENT.divide(EXACT.multiply(amount.amount, Decimal(part)), Decimal(whole)), amount.currency)


def allocate(amount: Money, weights: Sequence[Decimal]) -> tuple[Money, ...]:
    """Spreads `amount` over the weights in whole minor units; the parts sum to it exactly.

    Each gets its share rounded down (towards zero); the units left over go one each to the largest remainders, and
    where those are equal to the earlier weight. So the result depends on nothing but the arguments.
    Raises `AllocationImpossible`.
    """
    if not amount.is_rounded:
        raise AllocationImpossible("only whole minor units can be spread", amount=amount.to_text())
    units = int(amount.amount.scaleb(amount.currency.minor_units, ROUNDING))
    return tuple(_in_minor_units(part, amount.currency) for part in allocate_units(units, weights))


def allocate_units(units: int, weights: Sequence[Decimal]) -> tuple[int, ...]:
    """Spreads whole units, of whatever they are, as `allocate` does. Raises `AllocationImpossible`."""
    shares = _integers(weights)
    weight = sum(shares)
    if weight <= 0 or min(shares) < 0:
        raise AllocationImpossible("weights must not be negative nor all zero", weights=[str(w) for w in weights])
    floors = [divmod(abs(units) * share, weight) for share in shares]
    left = abs(units) - sum(floor for floor, _ in floors)
    first = frozenset(sorted(range(len(shares)), key=lambda place: (-floors[place][1], place))[:left])
    parts = [floor + (place in first) for place, (floor, _) in enumerate(floors)]
    return tuple(part if units > 0 else -part for part in parts)


def spread(amount: Money, shares: Sequence[Decimal]) -> tuple[Money, ...]:
    """A rounded sum as parts in whole minor units: each its exact share rounded down, and of the units left over.

    The shares come to about the amount, and may be negative. As in `allocate` the units left over go one each to the
    largest remainders, and where those are equal to the earlier share. There is at least one.
    """
    exact = [share.scaleb(amount.currency.minor_units, ROUNDING) for share in shares]
    floors = [int(share.to_integral_value(ROUND_FLOOR)) for share in exact]
    units = int(amount.amount.scaleb(amount.currency.minor_units, ROUNDING))
    each, left = divmod(units - sum(floors), len(floors))
    remainders = [EXACT.subtract(share, Decimal(floor)) for share, floor in zip(exact, floors, strict=True)]
    first = frozenset(sorted(range(len(floors)), key=lambda place: (-remainders[place], place))[:left])
    parts = [floor + each + (place in first) for place, floor in enumerate(floors)]
    return tuple(_in_minor_units(part, amount.currency) for part in parts)


def _integers(weights: Sequence[Decimal]) -> list[int]:
    """The weights times one power of ten that makes all of them whole."""
    assert all(weight.is_finite() for weight in weights), weights
    lowest = min((int(weight.as_tuple().exponent) for weight in weights), default=0)
    return [int(weight.scaleb(-lowest, ROUNDING)) for weight in weights]


def _in_minor_units(units: int, currency: Currency) -> Money:
    return Money(Decimal(units).scaleb(-currency.minor_units, EXACT), currency)
