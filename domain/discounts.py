"""Discounts: how an amount that is given for several lines is spread over them."""

from collections.abc import Sequence
from decimal import Decimal

from domain.money import EXACT, QUOTIENT, ZERO, Money, allocate, total


def spread(discount: Money, amounts: Sequence[Money]) -> tuple[Money, ...]:
    """A discount over amounts by their size, in whole minor units by largest remainder; the shares sum to it.

    It gives no more than there is: a larger discount is cut, and an amount of zero or less gets nothing. Where
    remainders are equal the earlier amount is first. Raises `AllocationImpossible` for what is not rounded.
    """
    weights, given = _weights(amounts), _given(discount, amounts)
    if given.is_zero:
        return tuple(given for _ in amounts)
    return allocate(given, weights)


def spread_exactly(discount: Money, amounts: Sequence[Money]) -> tuple[Money, ...]:
    """As `spread`, unrounded: the last amount that gets something gets what is left, so the shares sum to it."""
    weights, given = _weights(amounts), _given(discount, amounts)
    if given.is_zero:
        return tuple(given for _ in amounts)
    whole = total((Money(weight, given.currency) for weight in weights), given.currency).amount
    shares = [QUOTIENT.divide(EXACT.multiply(given.amount, weight), whole) for weight in weights]
    found = [Money(share, given.currency) for share in shares]
    last = max(place for place, weight in enumerate(weights) if weight)
    found[last] = given - total((*found[:last], *found[last + 1 :]), given.currency)
    return tuple(found)


def percentage_per_line(percent: Decimal, amounts: Sequence[Money]) -> tuple[Money, ...]:
    """A percentage of each amount, each rounded by itself, so their sum may miss the percentage of the sum."""
    return tuple(percentage_of(percent, amount) for amount in amounts)


def percentage_of(percent: Decimal, amount: Money) -> Money:
    """A percentage of an amount, rounded half up to minor units."""
    return amount.times(EXACT.multiply(percent, Decimal("0.01"))).rounded()


def _weights(amounts: Sequence[Money]) -> list[Decimal]:
    return [max(amount.amount, ZERO) for amount in amounts]


def _given(discount: Money, amounts: Sequence[Money]) -> Money:
    positive = total((amount for amount in amounts if amount.amount > 0), discount.currency)
    return max(min(discount, positive), Money.zero(discount.currency))
