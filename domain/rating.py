"""Rating: a quantity and a price make an unrounded amount; a line bills what of it was not yet billed, rounded."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from domain.errors import Rejection
from domain.metrics.subscribed import Shares
from domain.money import EXACT, QUOTIENT, ZERO, Currency, Money, rounded_to
from domain.prices import Measured, Price, Priced, TraceStep
from domain.prices.adjusted import Adjusted

#: Of the average quantity that a line over days shows.
AVERAGE_DECIMALS: Final = 6


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


def rate_subscribed(
    stood: Shares, price: Price, *, currency: Currency, service_days: tuple[int, int] | None = None
) -> RatedUsage:
    """The amount for what stood in a period: each share under the price, by its part of the period's days.

    The quantity is the average over the period, at `AVERAGE_DECIMALS` decimals; the amount does not come from it.
    What nothing stood for costs nothing, also under a price with a flat amount. All is added up before the one
    division, so that parts of a day count sum to the whole exactly. What bounds the period, a minimum for one, acts
    once on the sum; `service_days` as in `Measured`. Raises what `rate` raises.
    """
    days, unit_days, amount_days, steps = Decimal(stood.period_days), ZERO, ZERO, list[TraceStep]()
    of_share = price.unbounded if isinstance(price, Adjusted) else price.price
    for share in stood.shares:
        part = Decimal(share.days)
        unit_days = EXACT.add(unit_days, EXACT.multiply(share.quantity, part))
        facts = {"days": str(share.days), "of_days": str(stood.period_days)}
        for step in of_share(Measured(share.quantity)).steps:
            before = QUOTIENT.divide(amount_days, days)
            amount_days = EXACT.add(amount_days, EXACT.multiply(step.amount, part))
            amount = EXACT.subtract(QUOTIENT.divide(amount_days, days), before)
            steps.append(TraceStep(step.rule, amount, (*step.facts, *facts.items())))
    if not steps:
        steps.append(TraceStep.of("not_subscribed", ZERO, quantity=ZERO))
    amount = QUOTIENT.divide(amount_days, days)
    if isinstance(price, Adjusted):
        bounds = list(price.bounds(amount, service_days))
        amount = EXACT.add(amount, Priced.of(*bounds).amount)
        steps += bounds
    average = rounded_to(QUOTIENT.divide(unit_days, days), AVERAGE_DECIMALS)
    return RatedUsage(average, Money(amount, currency), tuple(steps))


def rate_nothing(*, currency: Currency) -> RatedUsage:
    """No amount, not even a flat one or a minimum: what was due has moved to other terms."""
    return RatedUsage(ZERO, Money.zero(currency), (TraceStep.of("not_subscribed", ZERO, quantity=ZERO),))


def moved(price: Price, before: Measured, after: Measured) -> Decimal:
    """By how much the amount moves, either way, as `prices.moved_by`, of all that was measured. Raises as `rate`.

    A bucket that holds usage afterwards and held none before was committed to before, too.
    """
    more = len(after.buckets or ()) - len(before.buckets or ())
    before, after = replace(before, idle_buckets=max(more, 0)), replace(after, idle_buckets=max(-more, 0))
    return EXACT.abs(EXACT.subtract(price.price(after).amount, price.price(before).amount))


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
