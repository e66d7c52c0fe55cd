"""What a whole document gives or asks beside its lines: coupons first, then the maximum and the minimum of a contract.

The target of a period follows from what all its documents charge; a document adjusts what the others have not yet. So a
late line has its part of a percentage, what a void document gave is free again, and saying it twice changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final, Literal

from domain.canonical import canonical_json
from domain.commitments import below_minimum, over_maximum
from domain.coupons import Coupon, Discountable, Use, redeemed
from domain.discounts import spread
from domain.money import Currency, Money, exact_sum, total
from domain.prices import TraceStep
from domain.taxation import TaxEvidence

Kind = Literal["coupon", "maximum", "minimum"]
#: Other documents of a period that are named as having given something.
NAMED_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Giver:
    """What gives or asks: a coupon, or a limit of a contract version; the title is what a document calls it."""

    kind: Kind
    id: int
    title: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Treatment:
    """How an amount is taxed and booked. What is given is given under the treatment of what it is given on."""

    evidence: TaxEvidence
    revenue_account: str


@dataclass(frozen=True, slots=True)
class Charged:
    """What lines of a metric under one treatment come to."""

    metric: str
    treatment: Treatment
    net: Money


@dataclass(frozen=True, slots=True)
class Given:
    """What other documents of the period adjusted, and which they are."""

    giver: Giver
    treatment: Treatment
    net: Money
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Owned:
    """A coupon of the contract that may give something in the period."""

    giver: Giver
    coupon: Coupon


@dataclass(frozen=True, slots=True)
class Limits:
    """What a contract version asks for at most and at least of a period, and how what is topped up is taxed and booked.

    `evidence` is known once a tax engine was asked, or of the document that topped up first.
    """

    version_id: int
    maximum: Money | None
    minimum: Money | None
    tax_category: str | None
    revenue_account: str | None
    evidence: TaxEvidence | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a document beside its lines, and what the other documents of its period did; coupons in order."""

    coupons: tuple[Owned, ...] = ()
    limits: Limits | None = None
    charged: tuple[Charged, ...] = ()
    given: tuple[Given, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """What a giver does to a document: below zero it gives. The amounts of the steps sum to the net."""

    giver: Giver
    treatment: Treatment
    net: Money
    steps: tuple[TraceStep, ...]


_Step = tuple[Giver, Treatment, TraceStep]


def adjustments(terms: Terms, lines: Sequence[Charged], *, currency: Currency, on: date) -> tuple[Effect, ...]:
    """What a document with these lines adjusts: the target of its period less what other documents did.

    `on` is the last day of service, by which coupons expire. A limit is of what coupons leave: a coupon gives on
    prices, and what was promised at least is paid all the same.
    """
    charged = _summed([*terms.charged, *lines])
    left, steps = _redeemed(charged, terms.coupons, on=on)
    if terms.limits is not None:
        steps += _limited(charged, left, terms.limits, currency=currency)
    for each in terms.given:
        told = f" on {', '.join(each.documents)}" if each.documents else ""
        before = (-each.net).amount
        step = (
            TraceStep.of("already_billed", before, on=told)
            if each.giver.kind == "minimum"
            else TraceStep.of("already_given", before, on=told)
        )
        steps.append((each.giver, each.treatment, step))
    found: dict[tuple[Giver, Treatment], list[TraceStep]] = {}
    for giver, treatment, step in steps:
        found.setdefault((giver, treatment), []).append(step)
    made = [
        Effect(*key, Money(exact_sum(step.amount for step in each), currency).rounded(), tuple(each))
        for key, each in found.items()
    ]
    return tuple(each for each in made if not each.net.is_zero)


def _summed(charged: Sequence[Charged]) -> list[Charged]:
    """One entry for each metric and treatment, in an order that does not depend on the order of documents or lines."""
    sums: dict[tuple[str, Treatment], Money] = {}
    for each in charged:
        key = each.metric, each.treatment
        sums[key] = sums[key] + each.net if key in sums else each.net
    found = [Charged(*key, net) for key, net in sums.items()]
    return sorted(found, key=lambda each: (each.metric, _text(each.treatment)))


def _text(treatment: Treatment) -> str:
    return canonical_json([treatment.evidence.to_json(), treatment.revenue_account])


def _redeemed(charged: Sequence[Charged], owned: Sequence[Owned], *, on: date) -> tuple[list[Money], list[_Step]]:
    """What the coupons leave of each, and the steps that say what they give on it."""
    lines = [Discountable(each.metric, each.net) for each in charged]
    done = redeemed(lines, [each.coupon for each in owned], on=on, order="as_listed")
    givers = {each.coupon.name: each.giver for each in owned}
    left, steps = [each.net for each in charged], []
    for use in done.uses:
        of = _eligible(charged, left, use)
        for n, each in enumerate(charged):
            if not use.shares[n].is_zero:
                step = _coupon_step(use, of=of, metric=each.metric, on=left[n], share=use.shares[n])
                steps.append((givers[use.coupon.name], each.treatment, step))
        left = [amount - share for amount, share in zip(left, use.shares, strict=True)]
    return left, steps


def _eligible(charged: Sequence[Charged], left: Sequence[Money], use: Use) -> Money:
    """What is left of all that a coupon is for."""
    only = use.coupon.only
    return total(
        (
            amount
            for each, amount in zip(charged, left, strict=True)
            if amount.amount > 0 and (only is None or each.metric in only)
        ),
        use.amount.currency,
    )


def _coupon_step(use: Use, *, of: Money, metric: str, on: Money, share: Money) -> TraceStep:
    facts: dict[str, Decimal | str] = {"of": of.amount, "given": use.amount.amount, "on": on.amount, "metric": metric}
    if use.coupon.percent is not None:
        return TraceStep.of("coupon_percent", (-share).amount, percent=use.coupon.percent, **facts)
    return TraceStep.of("coupon_amount", (-share).amount, **facts)


def _limited(
    charged: Sequence[Charged], left: Sequence[Money], limits: Limits, *, currency: Currency
) -> Iterator[_Step]:
    """What lies above the maximum, spread over what is left, and what lacks to the minimum after that."""
    due = total(left, currency)
    if limits.maximum is not None:
        above = Money(over_maximum(due.amount, limits.maximum.amount), currency)
        for each, share in zip(charged, spread(above, left), strict=True):
            if not share.is_zero:
                step = TraceStep.of(
                    "spend_maximum",
                    (-share).amount,
                    of=due.amount,
                    maximum=limits.maximum.amount,
                    metric=each.metric,
                )
                yield Giver("maximum", limits.version_id, "Maximum of the contract"), each.treatment, step
        due -= above
    if limits.minimum is not None:
        assert limits.evidence is not None, limits
        assert limits.revenue_account is not None, limits
        lacking = below_minimum(due.amount, limits.minimum.amount)
        if lacking:
            step = TraceStep.of("spend_minimum", lacking, of=due.amount, minimum=limits.minimum.amount)
            giver = Giver("minimum", limits.version_id, "Minimum of the contract")
            yield giver, Treatment(limits.evidence, limits.revenue_account), step
