"""Rating: a quantity and a price make an unrounded amount; a line bills what of it was not yet billed, rounded."""

from dataclasses import dataclass
from decimal import Decimal

from domain.errors import Rejection
from domain.money import Currency, Money
from domain.prices import Measured, Price, TraceStep


class AmountNotRounded(Rejection):
    """An amount that a document holds or held is not in whole minor units."""

    code = "amount_not_rounded"


@dataclass(frozen=True, slots=True)
class RatedUsage:
    """The unrounded amount of a quantity under a price, and the steps that sum to it."""

    quantity: Decimal
    amount: Money
    steps: tuple[TraceStep, ...]


@dataclass(frozen=True, slots=True)
class RatedLine:
    """What a line bills, rounded, and all steps that sum to it: those of the price, the rounding, what was billed."""

    net: Money
    steps: tuple[TraceStep, ...]


def rate(usage: Measured | Decimal, price: Price, *, currency: Currency) -> RatedUsage:
    """The amount for the whole usage of a period under its price. Raises `QuantityNegative`, `NotMeasured`."""
    measured = Measured(usage) if isinstance(usage, Decimal) else usage
    priced = price.price(measured)
    return RatedUsage(measured.quantity, Money(priced.amount, currency), priced.steps)


def correction(new_total: Money, *, billed: Money) -> Money:
    """What is to be billed now, rounded: the rounded new total less the sum of rounded nets already billed.

    So the sum of all lines of one subscription, price and period is always the rounded total, however often it was
    corrected; where nothing was billed the correction is the rounded total.
    Raises `AmountNotRounded` if `billed` is not in whole minor units, `CurrenciesMixed` if it is in another currency.
    """
    if not billed.is_rounded:
        raise AmountNotRounded(f"{billed.to_text()} was billed", amount=billed.to_text(), currency=billed.currency.code)
    return new_total.rounded() - billed


def rated_line(rated: RatedUsage, *, billed: Money) -> RatedLine:
    """The line that brings what is billed to the rated total; its net may be zero or negative. As `correction`."""
    net = correction(rated.amount, billed=billed)
    steps = list(rated.steps)
    rounding = rated.amount.rounded() - rated.amount
    if not rounding.is_zero:
        steps.append(TraceStep.of("rounding", rounding.amount, minor_units=str(billed.currency.minor_units)))
    if not billed.is_zero:
        steps.append(TraceStep.of("already_billed", (-billed).amount))
    return RatedLine(net, tuple(steps))
