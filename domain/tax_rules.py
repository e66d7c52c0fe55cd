"""Tax rules of lines: several rates on one net, one on another or side by side, and prices that include their tax.

A document of ours takes its tax per VAT category and rate on the summed net and rounds it once (`taxation`, which reads
compound rates and prices that include their tax by these rules). Where the law of a place or another system's price
list says otherwise, each of the choices is named by whoever uses them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import Final, Literal

from domain.money import EXACT, QUOTIENT, ZERO, exact_sum, rounded_to
from domain.units import Rounding

#: Decimals of an average rate in percent.
EFFECTIVE_DECIMALS: Final = 5
_HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class StackedRates:
    """Rates in percent on one net, in their order.

    `compound` puts each on the net and the taxes before it, as Quebec did; `each_rounded` rounds every tax before they
    are summed, else only their sum is.
    """

    percents: tuple[Decimal, ...]
    compound: bool = False
    each_rounded: bool = False

    @property
    def percent(self) -> Decimal:
        """What all of them come to, in percent of the net; exact."""
        return exact_sum(replace(self, each_rounded=False).on(_HUNDRED, 0).unrounded)

    def on(self, net: Decimal, decimals: int) -> "LineTaxes":
        """The taxes on a net amount at that many decimals."""
        taxes = list[Decimal]()
        for percent in self.percents:
            base = EXACT.add(net, exact_sum(taxes)) if self.compound else net
            tax = percent_of(base, percent)
            taxes.append(rounded_to(tax, decimals) if self.each_rounded else tax)
        return LineTaxes(net, tuple(taxes), decimals)


@dataclass(frozen=True, slots=True)
class LineTaxes:
    """What each rate came to, rounded only if the rule says so, and the sum, which is."""

    net: Decimal
    unrounded: tuple[Decimal, ...]
    decimals: int

    @property
    def tax(self) -> Decimal:
        """All taxes, rounded once."""
        return rounded_to(exact_sum(self.unrounded), self.decimals)

    @property
    def taxes(self) -> tuple[Decimal, ...]:
        """Each tax as it is shown; they need not sum to `tax`."""
        return tuple(rounded_to(tax, self.decimals) for tax in self.unrounded)

    @property
    def gross(self) -> Decimal:
        """The net and its taxes, each rounded."""
        return EXACT.add(rounded_to(self.net, self.decimals), self.tax)


@dataclass(frozen=True, slots=True)
class RateTotal:
    """What one rate is on and comes to over several lines, rounded."""

    percent: Decimal
    base: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class LinesTaxes:
    """The taxes of several lines whose tax is summed unrounded and rounded once; with the rate this is on average."""

    tax: Decimal
    effective_percent: Decimal
    rates: tuple[RateTotal, ...]


def lines_taxes(lines: Sequence[tuple[Decimal, StackedRates]], *, decimals: int) -> LinesTaxes:
    """The taxes of nets under their rates. Where the nets sum to nothing, the average rate is over the lines."""
    taxed = [(net, rates, rates.on(net, decimals)) for net, rates in lines]
    percents = sorted({percent for _, rates in lines for percent in rates.percents})
    unrounded = {
        percent: [
            (net, tax)
            for net, rates, taxes in taxed
            for each, tax in zip(rates.percents, taxes.unrounded, strict=True)
            if each == percent
        ]
        for percent in percents
    }
    totals = [
        RateTotal(percent, *(rounded_to(exact_sum(column), decimals) for column in zip(*parts, strict=True)))
        for percent, parts in unrounded.items()
    ]
    tax = exact_sum(tax for parts in unrounded.values() for _, tax in parts)
    return LinesTaxes(rounded_to(tax, decimals), _effective_percent(lines), tuple(totals))


def percent_of(amount: Decimal, percent: Decimal) -> Decimal:
    """The exact percentage of an amount."""
    return EXACT.multiply(amount, EXACT.divide(percent, _HUNDRED))


def without_tax(gross: Decimal, percent: Decimal, *, decimals: int) -> Decimal:
    """The net of an amount that includes its tax, rounded half up."""
    return Rounding("half_up", decimals).quotient(EXACT.multiply(gross, _HUNDRED), EXACT.add(_HUNDRED, percent))


def with_tax(net: Decimal, percent: Decimal, *, decimals: int) -> Decimal:
    """The gross of a net amount, rounded half up: not always the gross that the net was made of."""
    return rounded_to(EXACT.add(net, percent_of(net, percent)), decimals)


def split_gross(
    gross: Decimal, percent: Decimal, *, rounds: Literal["net", "tax"], decimals: int
) -> tuple[Decimal, Decimal]:
    """Net and tax of an amount that includes its tax; one is rounded half up, the other is the rest.

    At a tie this decides who has the minor unit.
    """
    if rounds == "net":
        net = without_tax(gross, percent, decimals=decimals)
        return net, EXACT.subtract(gross, net)
    tax = tax_within(gross, percent, decimals=decimals)
    return EXACT.subtract(gross, tax), tax


def tax_within(gross: Decimal, percent: Decimal, *, decimals: int) -> Decimal:
    """The tax that an amount includes, rounded half up."""
    return tax_on_both(ZERO, gross, percent, decimals=decimals)


def tax_on_both(net: Decimal, gross: Decimal, percent: Decimal, *, decimals: int) -> Decimal:
    """The tax on a net amount together with that within one that includes it, rounded once, half up."""
    if not gross:
        return rounded_to(percent_of(net, percent), decimals)
    whole = EXACT.add(_HUNDRED, percent)
    bases = EXACT.add(EXACT.multiply(net, whole), EXACT.multiply(gross, _HUNDRED))
    return Rounding("half_up", decimals).quotient(EXACT.multiply(percent, bases), EXACT.multiply(whole, _HUNDRED))


def included_taxes(grosses: Sequence[Decimal], percent: Decimal, decimals: int) -> list[Decimal]:
    """The tax within each of several amounts: that of the sum so far less that of those before.

    So they sum to the tax within the sum, and nets and taxes to what was asked for.
    """
    sums = accumulate(grosses, EXACT.add, initial=ZERO)
    taxes = [tax_within(so_far, percent, decimals=decimals) for so_far in sums]
    return [EXACT.subtract(after, before) for before, after in pairwise(taxes)]


@dataclass(frozen=True, slots=True)
class InclusiveLine:
    """A line whose unit price included its tax: price and sums without it, at the decimals they are carried with."""

    unit_net: Decimal
    net_sum: Decimal
    net_total: Decimal


def inclusive_line(
    unit_gross: Decimal, quantity: Decimal, percent: Decimal, *, decimals: int, discount_percent: Decimal = ZERO
) -> InclusiveLine:
    """The line at net prices: the unit price is rounded before it is multiplied, so a minor unit may move."""
    unit_net = without_tax(unit_gross, percent, decimals=decimals)
    net_sum = rounded_to(EXACT.multiply(unit_net, quantity), decimals)
    discount = rounded_to(percent_of(net_sum, discount_percent), decimals)
    return InclusiveLine(unit_net, net_sum, EXACT.subtract(net_sum, discount))


def _effective_percent(lines: Sequence[tuple[Decimal, StackedRates]]) -> Decimal:
    weights = [net for net, _ in lines]
    if not exact_sum(weights):
        weights = [Decimal(1)] * len(lines)
    weighted = exact_sum(
        EXACT.multiply(weight, exact_sum(rates.percents)) for weight, (_, rates) in zip(weights, lines, strict=True)
    )
    whole = exact_sum(weights)
    return rounded_to(QUOTIENT.divide(weighted, whole), EFFECTIVE_DECIMALS) if whole else ZERO
