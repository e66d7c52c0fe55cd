"""Lines of a period that is billed in parts: what each part bills, and what is booked where usage changes later."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final, Literal

from domain.commitments import below_minimum, over_maximum
from domain.money import EXACT, ZERO, Currency, Money, rounded_to, total
from domain.prices import Adjusted, Adjustments, Measured, Price, QuantityNegative, TraceStep
from domain.prices.adjustments import free_in
from domain.prices.price import Plain

Position = Literal["single", "first", "mid", "last"]
Term = Literal["in_advance", "in_arrears"]
_FIRST: Final = ("single", "first")
_LAST: Final = ("single", "last")
#: Models whose units cost what they cost however many follow. Any other is billed with the last part, as a whole: by
#: volume, later units make earlier ones cheaper.
_IN_PARTS: Final = ("per_unit", "graduated", "graduated_percentage", "package")
#: Facts of a step that say what one unit costs.
_RATES: Final = frozenset({"unit_amount", "rate_percent"})


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a period: its quantity, that of the parts before it, and what these billed.

    `credits` are amounts that were set aside for it, taken off last, in their order. `service_days` are those of a
    prorated minimum: the days that the price is in force for, and all days of the period.
    """

    before: Decimal
    quantity: Decimal
    position: Position
    billed: Money
    credits: tuple[Money, ...] = ()
    service_days: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """One amount of a line, rounded, with its discounts.

    `quantity` is how often its price is taken: units, packages, or one for a flat amount. `tier` counts from one, None
    where there is no ladder.
    """

    rule: str
    tier: int | None
    quantity: Decimal
    amount: Money
    discount: Money

    @property
    def net(self) -> Money:
        """What is left of it."""
        return self.amount - self.discount


@dataclass(frozen=True, slots=True)
class PartLine:
    """What a part bills: components and their discounts, the top-up to the minimum, credits taken off.

    `quantity` is what of the part's usage is paid for, in the unit of the price.
    """

    quantity: Decimal
    components: tuple[Component, ...]
    charges: Money
    credits: Money

    @property
    def amount(self) -> Money:
        """The sum of the components before discounts."""
        return total((each.amount for each in self.components), self.charges.currency)

    @property
    def discounts(self) -> Money:
        """All discounts, with what lay above the maximum."""
        return total((each.discount for each in self.components), self.charges.currency)

    @property
    def total(self) -> Money:
        """What is left to pay."""
        return self.amount - self.discounts + self.charges - self.credits


def part_line(price: Price, part: Part) -> PartLine:
    """What one part of a period bills of a price, every component rounded to minor units.

    Units are counted on from the parts before; free units go to the earliest. A first tier's flat amount that is due
    without usage is due with the first part. The minimum is topped up with the last part, and what does not cost the
    same however many units follow is billed with it, as a whole.
    Raises `QuantityNegative`: usage that falls is booked by `booked` or `corrections`.
    """
    for quantity in (part.before, part.quantity):
        if quantity < 0:
            raise QuantityNegative(f"the quantity of a part is {quantity}", quantity=quantity)
    ends = part.position in _LAST
    return _line(price, part, begins=part.position in _FIRST, ends=ends, tops_up=ends)


def fee_line(fee: Money, term: Term, part: Part, by: Adjustments) -> PartLine:
    """What one part of a period bills of a flat fee: all of it, first if due in advance, last if due in arrears.

    Of the adjustments the percentage counts; a fee has no usage that a minimum or maximum could be about.
    """
    is_due = part.position in (_FIRST if term == "in_advance" else _LAST)
    raw: list[_Raw] = [("fee", None, Decimal(1), fee.amount)] if is_due else []
    components = _discounted(raw, Adjustments(percentage=by.percentage), part.billed)
    return _paid(components, part, quantity=Decimal(len(raw)), charges=Money.zero(fee.currency))


def rerated(price: Price, quantity: Decimal, *, currency: Currency, is_final: bool) -> Money:
    """What all usage of a period so far comes to, components rounded; the minimum only once the period is over."""
    part = Part(ZERO, quantity, "single", Money.zero(currency))
    return _line(price, part, begins=True, ends=True, tops_up=is_final).total


def booked(price: Price, quantities: Sequence[Decimal], *, currency: Currency) -> tuple[Money, ...]:
    """What each look at the running quantity of a period books: its new total less all booked before.

    It may be negative, where usage falls or more of it costs less. The last look is the one after the period's end.
    """
    totals = [Money.zero(currency)]
    for n, quantity in enumerate(quantities, start=1):
        totals.append(rerated(price, quantity, currency=currency, is_final=n == len(quantities)))
    return tuple(after - before for before, after in pairwise(totals))


def corrections(
    price: Price, looks: Sequence[Sequence[Decimal]], *, currency: Currency
) -> tuple[tuple[Money, ...], ...]:
    """What each look books for each part of a period, late usage as a correction of the part that it belongs to.

    A look holds the running quantity at the end of every part so far, as it is known then. What a part comes to is
    the price of its running quantity less that of the part before.
    """
    held: list[Money] = []
    found = []
    for n, look in enumerate(looks, start=1):
        assert len(look) >= len(held), look
        held += [Money.zero(currency)] * (len(look) - len(held))
        totals = [Money.zero(currency)]
        for place, quantity in enumerate(look, start=1):
            is_final = n == len(looks) and place == len(look)
            totals.append(rerated(price, quantity, currency=currency, is_final=is_final))
        shares = [after - before for before, after in pairwise(totals)]
        found.append(tuple(share - before for share, before in zip(shares, held, strict=True)))
        held = shares
    return tuple(found)


_Raw = tuple[str, int | None, Decimal, Decimal]


def _line(price: Price, part: Part, *, begins: bool, ends: bool, tops_up: bool) -> PartLine:
    plain, by = (price.of, price.adjustments) if isinstance(price, Adjusted) else (price, Adjustments())
    before, quantity = by.converted(part.before), by.converted(part.quantity)
    used, free = free_in(by.free_units, before, quantity)
    before, quantity = EXACT.subtract(before, used), EXACT.subtract(quantity, free)
    raw: Iterable[_Raw] = ()
    if by.windowed is None and plain.model in _IN_PARTS:
        # A first part has nothing before it; a package that was started elsewhere is charged whole again.
        is_start = begins and (not before or plain.model == "package")
        raw = _difference(plain, None if is_start else before, EXACT.add(before, quantity))
        if before or not begins:
            by = _off_left(plain, before, by, Money.zero(part.billed.currency))
    elif ends:
        whole = plain if by.windowed is None else Adjusted(plain, Adjustments(windowed=by.windowed))
        raw = _difference(whole, None, EXACT.add(before, quantity))
    components = _discounted(raw, by, part.billed)
    minimum = by.minimum_for(part.service_days) if tops_up else ZERO
    net = total((each.net for each in components), part.billed.currency)
    charges = Money(below_minimum(net.amount, minimum, billed=part.billed.amount), net.currency).rounded()
    return _paid(components, part, quantity=quantity, charges=charges)


def _difference(price: Price, before: Decimal | None, after: Decimal) -> Iterator[_Raw]:
    """What the price's steps come to after a part, less what they came to before it; None if nothing was before it."""
    now = price.price(Measured(after)).steps
    then = () if before is None else price.price(Measured(before)).steps
    capped = {step.fact("tier") for step in now if step.rule == "tier_cap"}
    earlier = {(rule, tier): (count, amount) for rule, tier, count, amount, _ in _grouped(then, capped)}
    for rule, tier, count, amount, is_usage in _grouped(now, capped):
        count_before, amount_before = earlier.get((rule, tier), (ZERO, ZERO))
        quantity, more = EXACT.subtract(count, count_before), EXACT.subtract(amount, amount_before)
        if more or (quantity and is_usage):
            yield rule, None if tier is None else int(tier), quantity, more


def _grouped(
    steps: Iterable[TraceStep], capped: Collection[str | None]
) -> list[tuple[str, str | None, Decimal, Decimal, bool]]:
    """The steps as (rule, tier, count, amount, whether units have a price); what has a cap is one, with its cap."""
    found: dict[tuple[str, str | None], tuple[Decimal, Decimal, bool]] = {}
    for step in steps:
        tier = step.fact("tier")
        key = ("per_unit", None) if step.rule == "cap" else ("tier" if tier in capped else step.rule, tier)
        count, amount, is_usage = found.get(key, (ZERO, ZERO, False))
        has_rate = not _RATES.isdisjoint(dict(step.facts))
        is_counted = key[0] == step.rule
        found[key] = (
            EXACT.add(count, _count(step)) if is_counted else count,
            EXACT.add(amount, step.amount),
            is_usage or has_rate,
        )
    return [(*key, *values) for key, values in found.items()]


def _count(step: TraceStep) -> Decimal:
    """How often the step's price was taken."""
    if step.rule == "tier_flat":
        return Decimal(1)
    return Decimal(step.fact("packages") or step.fact("quantity") or 0)


def _discounted(raw: Iterable[_Raw], by: Adjustments, billed: Money) -> tuple[Component, ...]:
    """The components in their order, rounded, less their percentage, what comes off, what lies above the maximum."""
    currency = billed.currency
    components, so_far, off = [], billed.rounded(), Money(by.amount_off, currency).rounded()
    for rule, tier, quantity, exact in raw:
        amount = Money(exact, currency).rounded()
        discount = Money(by.discount(amount.amount), currency).rounded()
        taken = max(min(off, amount - discount), Money.zero(currency))
        off, discount = off - taken, discount + taken
        if by.maximum is not None:
            maximum = rounded_to(by.maximum, currency.minor_units)
            above = over_maximum((amount - discount).amount, maximum, billed=so_far.amount)
            discount += Money(above, currency)
        components.append(Component(rule, tier, quantity, amount, discount))
        so_far += amount - discount
    return tuple(components)


def _off_left(plain: Plain, before: Decimal, by: Adjustments, none: Money) -> Adjustments:
    """The adjustments with what the parts before have left of the amount off; a flat amount uses it without a unit."""
    if not by.amount_off:
        return by
    earlier = _discounted(_difference(plain, None, before), Adjustments(percentage=by.percentage), none)
    used = total((each.net for each in earlier), none.currency).amount
    return replace(by, amount_off=max(EXACT.subtract(by.amount_off, used), ZERO))


def _paid(components: tuple[Component, ...], part: Part, *, quantity: Decimal, charges: Money) -> PartLine:
    """The line with its credits, which pay no more than there is to pay."""
    due = PartLine(quantity, components, charges, Money.zero(charges.currency)).total
    paid = Money.zero(charges.currency)
    for credit in part.credits:
        paid += max(min(credit.rounded(), due - paid), Money.zero(charges.currency))
    return PartLine(quantity, components, charges, paid)
