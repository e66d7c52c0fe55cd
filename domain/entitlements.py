"""Entitlements: what a subscription may use, how much of a limit is left, and which shares of it are reached."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Final, Literal, assert_never

from domain.entitlement_terms import Enforcement, Limit, Setting, Switch, Terms
from domain.errors import Rejection
from domain.money import EXACT, QUOTIENT, ZERO
from domain.periods import EVER, Days, Window

#: Why it is allowed or not.
Reason = Literal[
    "not_entitled", "switched_on", "switched_off", "has_value", "within_limit", "limit_reached", "over_soft_limit"
]

#: Billing periods before the present one from which something may be left over.
LOOK_BACK_PERIODS: Final = 120
_HUNDRED: Final = Decimal(100)
#: The last instant of a period lies this much before its end; instants are kept to the microsecond.
_TICK: Final = timedelta(microseconds=1)


class FeatureUnknown(Rejection):
    """There is no such feature, or no such subscription."""

    code = "feature_unknown"
    is_unknown = True


class AmountInvalid(Rejection):
    """What is asked for is no positive quantity."""

    code = "entitlement_amount_invalid"


@dataclass(frozen=True, slots=True)
class Entitlement:
    """The terms that are in force over a stretch of time; the subscription's own go before those of its contract."""

    terms: Terms
    window: Window
    is_own: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """A quantity on top of the limit, usable from one instant until before another.

    At the end of each billing period up to `rollover_max` of what is left of it stays, all of it if that is None.
    """

    name: str
    quantity: Decimal
    priority: int
    window: Window
    rollover_max: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What was used of the feature's metric in one billing period: as fine as usage is known here.

    `measured_at`: usage after that instant is not in it, since there was too much to be measured anew. None: all is.
    """

    window: Window
    quantity: Decimal
    measured_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """All that is known of one subscription and feature; `periods` follow one another, the last one is the present."""

    entitlements: Sequence[Entitlement]
    grants: Sequence[Grant] = ()
    periods: Sequence[Used] = ()


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much may be used in the billing period, rolled over and granted quantities included, and what is left."""

    limit: Decimal
    used: Decimal
    remaining: Decimal


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the subscription may use the feature, and why; quantities of metered features, the value of static.

    `measured_at`: the answer knows usage up to that instant; None: all that has been aggregated.
    """

    allowed: bool
    reason: Reason
    limit: Decimal | None = None
    used: Decimal | None = None
    remaining: Decimal | None = None
    value: str | Decimal | None = None
    measured_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """That usage has reached a threshold of a limit in one billing period; `period` as whole local days."""

    subscription: str
    account: str
    feature: str
    metric: str
    unit: str
    period: Days
    enforcement: Enforcement
    threshold: int
    allowance: Allowance


def instant_in(window: Window, now: datetime) -> datetime:
    """The instant by which a period is judged: now, or the first or last one of a period that is not the present."""
    return min(max(now, window.starts_at), window.ends_at - _TICK)


def in_force(entitlements: Iterable[Entitlement], at: datetime) -> Terms | None:
    """The terms that count at the instant: the subscription's own, else those of its contract, else None."""
    found = [each for each in entitlements if each.window.contains(at)]
    return next((each.terms for each in sorted(found, key=lambda each: not each.is_own)), None)


def check(holding: Holding, *, at: datetime, amount: Decimal | None = None) -> Decision:
    """Whether the subscription may use the feature at the instant; of a metered one so much more, or any at all.

    Raises `AmountInvalid`.
    """
    if amount is not None and amount <= 0:
        raise AmountInvalid("the amount that is asked for is not positive", amount=str(amount))
    terms = in_force(holding.entitlements, at)
    match terms:
        case None:
            return Decision(allowed=False, reason="not_entitled")
        case Switch(is_on):
            return Decision(allowed=is_on, reason="switched_on" if is_on else "switched_off")
        case Setting(value):
            return Decision(allowed=True, reason="has_value", value=value)
        case Limit(enforcement=enforcement):
            left = allowance(holding, at=at)
            fits = left.remaining > 0 if amount is None else amount <= left.remaining
            reason: Reason = "within_limit" if fits else "limit_reached" if enforcement == "hard" else "over_soft_limit"
            known = min((each.measured_at for each in holding.periods if each.measured_at), default=None)
            allowed = fits or enforcement == "soft"
            return Decision(allowed, reason, left.limit, left.used, left.remaining, measured_at=known)
        case _ as unknown:
            assert_never(unknown)


def reached(limit: Limit, left: Allowance) -> tuple[int, ...]:
    """The thresholds, in percent, that usage has reached; none if there is no usage."""
    if left.used <= 0:
        return ()
    used = EXACT.multiply(left.used, _HUNDRED)
    return tuple(each for each in limit.thresholds if used >= EXACT.multiply(left.limit, Decimal(each)))


def reached_by_time(limit: Limit, left: Allowance, *, at: datetime, then: Used) -> datetime | None:
    """When usage that only time moves evenly from now up to `then`, the whole period, reaches its next threshold."""
    rise = EXACT.subtract(then.quantity, left.used)
    if rise <= 0:
        return None
    shares = [EXACT.multiply(left.limit, Decimal(each)).scaleb(-2, EXACT) for each in limit.thresholds]
    missing = [EXACT.subtract(share, left.used) for share in shares if left.used < share <= then.quantity]
    if not missing:
        return None
    ticks = QUOTIENT.divide(EXACT.multiply(min(missing), Decimal((then.window.ends_at - at) // _TICK)), rise)
    return at + _TICK * int(ticks.to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class _Pot:
    """What usage is drawn from in one period: the limit itself, which has no grant, or a grant."""

    grant: Grant | None
    balance: Decimal
    rest: Decimal

    @property
    def rank(self) -> tuple[int, datetime, datetime, str]:
        """Lower priorities go first, the limit with 0; then what expires first, and the limit is the period's own."""
        if self.grant is None:
            return 0, EVER, EVER, ""
        return self.grant.priority, self.grant.window.ends_at, self.grant.window.starts_at, self.grant.name

    @property
    def kept(self) -> Decimal:
        """What stays of a grant at the end of a period."""
        assert self.grant is not None
        return self.rest if self.grant.rollover_max is None else min(self.rest, self.grant.rollover_max)

    def counted(self, at: datetime) -> tuple[Decimal, Decimal]:
        """What it adds to the limit and to what remains: once it has expired, only what was drawn from it."""
        if self.grant is None or at < self.grant.window.ends_at:
            return self.balance, self.rest
        return EXACT.subtract(self.balance, self.rest), ZERO


def allowance(holding: Holding, *, at: datetime) -> Allowance:
    """What may be used in the present period, with what the limit and the grants left over in those before it.

    A period in which no terms were in force when it ended draws nothing and leaves nothing of a limit. A grant that has
    expired within the present period covers usage of it as far as it goes, and is nothing to go on with.
    """
    carried, rests = ZERO, {each: _at_first(each, holding.periods[0].window) for each in holding.grants}
    for period in holding.periods[:-1]:
        last = period.window.ends_at - _TICK
        terms = in_force(holding.entitlements, last)
        if not isinstance(terms, Limit):
            carried = ZERO
            continue
        for pot in _drawn(terms, carried, rests, period=period, at=last):
            if pot.grant is None:
                carried = min(pot.rest, terms.rollover_max)
            else:
                rests[pot.grant] = pot.kept
    present, now = holding.periods[-1], in_force(holding.entitlements, at)
    assert isinstance(now, Limit), now
    counted = [pot.counted(at) for pot in _drawn(now, carried, rests, period=present, at=at)]
    limit, remaining = (_sum(parts) for parts in zip(*counted, strict=True))
    return Allowance(limit, present.quantity, remaining)


def _at_first(grant: Grant, first: Window) -> Decimal:
    """What a grant holds when the look back begins: all of it, unless it is older and did not stay whole."""
    if grant.rollover_max is None or grant.window.starts_at >= first.starts_at:
        return grant.quantity
    return min(grant.quantity, grant.rollover_max)


def _drawn(terms: Limit, carried: Decimal, rests: Mapping[Grant, Decimal], *, period: Used, at: datetime) -> list[_Pot]:
    """The pots of the period up to the instant, and what its usage leaves in each."""
    own = EXACT.add(terms.quantity, carried)
    pots = [_Pot(None, own, own)]
    pots += [
        _Pot(grant, rest, rest)
        for grant, rest in rests.items()
        if grant.window.starts_at <= at and grant.window.ends_at > period.window.starts_at
    ]
    drawn, left = [], max(period.quantity, ZERO)
    for pot in sorted(pots, key=lambda pot: pot.rank):
        part = min(pot.balance, left)
        drawn.append(replace(pot, rest=EXACT.subtract(pot.balance, part)))
        left = EXACT.subtract(left, part)
    return drawn


def _sum(quantities: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for each in quantities:
        total = EXACT.add(total, each)
    return total
