"""Document totals: what a document of another system must come to by the rounding rule that the system states.

Our own documents follow one rule (`taxation`, `documents`): each line's net is rounded, tax is on the summed net. With
`carried_decimals` 0 this is the same rule; systems that carry their lines unrounded may differ by a minor unit, and who
imports or checks their documents must say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from domain.money import EXACT, ZERO, exact_sum, rounded_to
from domain.tax_rules import percent_of, tax_within, without_tax
from domain.units import Rounding

_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class TotalsRule:
    """How a system makes its totals.

    Lines are rounded to `minor_units`, or carried with `carried_decimals` more (or as many as their price has) and only
    shown rounded. Where prices include a tax, `prices_include` is its category.
    """

    minor_units: int
    carried_decimals: int = 0
    prices_include: str | None = None

    def carry(self, price: Decimal) -> int:
        """The decimals that what is made of the price is carried with."""
        if not self.carried_decimals:
            return self.minor_units
        return max(self.minor_units + self.carried_decimals, -int(price.as_tuple().exponent))

    def shown(self, carried: Decimal) -> Decimal:
        """What is carried, as the document shows it."""
        return rounded_to(carried, self.minor_units)


@dataclass(frozen=True, slots=True)
class Levy:
    """A tax on a line: its category, its percent (None: exempt) and a surcharge on the same base.

    What `is_retained` the payer keeps back and pays to the state.
    """

    category: str
    percent: Decimal | None
    surcharge: Decimal | None = None
    is_retained: bool = False

    def on(self, base: Decimal, decimals: int) -> tuple[Decimal, Decimal]:
        """The tax and its surcharge, each rounded once."""
        percents = self.percent or ZERO, self.surcharge or ZERO
        tax, surcharge = (rounded_to(percent_of(base, percent), decimals) for percent in percents)
        return tax, surcharge


@dataclass(frozen=True, slots=True)
class Extra:
    """A deduction, or a charge if it `adds`: an amount, or a percent of `base` or else of what it is on."""

    adds: bool
    amount: Decimal = ZERO
    percent: Decimal | None = None
    base: Decimal | None = None
    taxes: tuple[Levy, ...] = ()

    def on(self, whole: Decimal, decimals: int) -> Decimal:
        """What it adds, negative if it is taken off; a percentage is rounded to the decimals."""
        if self.percent is None:
            return self.amount if self.adds else -self.amount
        part = rounded_to(percent_of(whole if self.base is None else self.base, self.percent), decimals)
        return part if self.adds else -part


@dataclass(frozen=True, slots=True)
class Item:
    """A line: a quantity at a price for `base_quantity` units, with its extras and taxes.

    `given_net` stands in for quantity times price where the document states another net.
    """

    quantity: Decimal
    unit_price: Decimal
    base_quantity: Decimal = _ONE
    extras: tuple[Extra, ...] = ()
    taxes: tuple[Levy, ...] = ()
    given_net: Decimal | None = None

    def __post_init__(self) -> None:
        assert self.base_quantity > 0, self.base_quantity

    def total(self, decimals: int) -> Decimal:
        """What the line comes to, at the decimals it is carried with."""
        if self.given_net is not None:
            return self.given_net
        product = EXACT.multiply(self.quantity, self.unit_price)
        gross = Rounding("half_up", decimals).quotient(product, self.base_quantity)
        return exact_sum([gross, *(extra.on(gross, decimals) for extra in self.extras)])


@dataclass(frozen=True, slots=True)
class LevyTotal:
    """A tax of the document: what it is on, what it comes to, and its surcharge; rounded."""

    levy: Levy
    base: Decimal
    tax: Decimal
    surcharge: Decimal


@dataclass(frozen=True, slots=True)
class DocumentTotals:
    """The figures of a document, each rounded to minor units from what was carried.

    `total` is without tax, `gross` with it; `payable` is the gross without what is retained; `deductions` is positive.
    """

    lines: tuple[Decimal, ...]
    line_sum: Decimal
    deductions: Decimal
    charges: Decimal
    included: Decimal
    total: Decimal
    tax: Decimal
    gross: Decimal
    retained: Decimal
    payable: Decimal
    levies: tuple[LevyTotal, ...]


@dataclass(frozen=True, slots=True)
class _Taxable:
    """A line or extra of the document: what it comes to, and the decimals it is carried with."""

    amount: Decimal
    decimals: int
    taxes: tuple[Levy, ...]


def document_totals(
    items: Sequence[Item], extras: Sequence[Extra], rule: TotalsRule, *, rounding: Decimal = ZERO
) -> DocumentTotals:
    """The totals of a document with its lines and its own extras; `rounding` is added to what is payable."""
    carries = [rule.carry(item.unit_price) for item in items]
    lines = [_Taxable(item.total(carry), carry, item.taxes) for item, carry in zip(items, carries, strict=True)]
    line_sum = exact_sum(line.amount for line in lines)
    carry = max(carries, default=rule.carry(ZERO))
    own = [_Taxable(extra.on(line_sum, carry), carry, extra.taxes) for extra in extras]
    taken, added = (
        exact_sum(part.amount for part, extra in zip(own, extras, strict=True) if extra.adds is adds)
        for adds in (False, True)
    )
    nets, extracted = _without_included([*lines, *own], rule)
    levies = _levies(nets, extracted)
    included = exact_sum(each.tax for each in levies if each.levy.category == rule.prices_include)
    tax, retained = (_taxes(levies, is_retained=is_retained) for is_retained in (False, True))
    total = exact_sum([line_sum, taken, added, -included])
    gross = EXACT.add(total, tax)
    return DocumentTotals(
        lines=tuple(rule.shown(line.amount) for line in lines),
        line_sum=rule.shown(line_sum),
        deductions=rule.shown(-taken),
        charges=rule.shown(added),
        included=rule.shown(included),
        total=rule.shown(total),
        tax=rule.shown(tax),
        gross=rule.shown(gross),
        retained=rule.shown(retained),
        payable=rule.shown(exact_sum([gross, -retained, rounding])),
        levies=tuple(LevyTotal(each.levy, *map(rule.shown, (each.base, each.tax, each.surcharge))) for each in levies),
    )


def _taxes(levies: Sequence[LevyTotal], *, is_retained: bool) -> Decimal:
    """All taxes and surcharges that are asked for, or all that are kept back."""
    return exact_sum(EXACT.add(each.tax, each.surcharge) for each in levies if each.levy.is_retained is is_retained)


def _without_included(parts: Sequence[_Taxable], rule: TotalsRule) -> tuple[list[_Taxable], dict[Levy, Decimal]]:
    """The parts without the tax that their prices include; and that tax by levy where the lines are rounded.

    Carried lines are divided one by one. Rounded ones give up the tax of their sum so far, less that of those before,
    so that bases and taxes sum to what was asked for.
    """
    nets: list[_Taxable] = []
    gross, extracted = dict[Levy, Decimal](), dict[Levy, Decimal]()
    for part in parts:
        levy = next((each for each in part.taxes if each.category == rule.prices_include), None)
        if levy is None or levy.percent is None:
            nets.append(part)
            continue
        if rule.carried_decimals:
            net = without_tax(part.amount, levy.percent, decimals=part.decimals)
        else:
            gross[levy] = EXACT.add(gross.get(levy, ZERO), part.amount)
            tax, before = tax_within(gross[levy], levy.percent, decimals=part.decimals), extracted.get(levy, ZERO)
            net, extracted[levy] = exact_sum([part.amount, before, -tax]), tax
        nets.append(_Taxable(net, part.decimals, part.taxes))
    return nets, extracted


def _levies(nets: Sequence[_Taxable], extracted: dict[Levy, Decimal]) -> list[LevyTotal]:
    """The taxes by category, rate and surcharge on the summed nets."""
    bases: dict[Levy, list[_Taxable]] = {}
    for net in nets:
        for levy in net.taxes:
            bases.setdefault(levy, []).append(net)
    totals = []
    for levy, parts in sorted(bases.items(), key=lambda entry: _order(entry[0])):
        base = exact_sum(part.amount for part in parts)
        tax, surcharge = levy.on(base, max(part.decimals for part in parts))
        totals.append(LevyTotal(levy, base, extracted.get(levy, tax), surcharge))
    return totals


def _order(levy: Levy) -> tuple[str, bool, Decimal, Decimal]:
    """By category, exempt first, then by rate and surcharge."""
    return levy.category, levy.percent is not None, levy.percent or ZERO, levy.surcharge or ZERO
