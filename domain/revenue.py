"""Revenue: in which accounting period each part of a line is earned, and where a change of it is recognised."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Literal, get_args

from domain.errors import Rejection
from domain.money import Money, allocate
from domain.periods import Days, day_in, month_of

#: How a line is earned: with its usage, where it is known when that was, else by the days of its service; by the days;
#: by months, of which a part counts by its days.
Method = Literal["as_incurred", "daily", "monthly"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)

_DECEMBER: Final = 12

#: Accounts of a legal entity that names no others: of what is paid and not earned, and earned and not billed.
DEFERRED_ACCOUNT: Final = "liabilities:deferred-revenue"
ASSET_ACCOUNT: Final = "assets:contract-asset"
#: The same for prepaid credits: what was paid ahead, what was paid for it, what of it is never drawn, what was given.
LIABILITY_ACCOUNT: Final = "liabilities:prepaid-credits"
RECEIVED_ACCOUNT: Final = "assets:received-for-credits"
BREAKAGE_ACCOUNT: Final = "revenue:breakage"
GIVEN_ACCOUNT: Final = "revenue:credits-given"

#: Amounts by accounting period, none of them zero; a period is its first day.
Amounts = Mapping[date, Money]


class AccountingPeriodClosed(Rejection):
    """The accounting period is closed for revenue, or one after it is."""

    code = "accounting_period_closed"


class AccountingPeriodBlocked(Rejection):
    """The accounting period cannot be closed for revenue yet."""

    code = "accounting_period_blocked"


@dataclass(frozen=True, slots=True)
class Part:
    """What of a line is earned in one accounting period, and in which it is recognised."""

    earned_in: date
    period: date
    amount: Money


def accounting_period(day: date) -> date:
    """The first day of the accounting period that the day lies in: a calendar month."""
    return day.replace(day=1)


def next_period(period: date) -> date:
    """The first day of the accounting period after."""
    if period.month == _DECEMBER:
        return date(period.year + 1, 1, 1)
    return date(period.year, period.month + 1, 1)


def previous_period(day: date) -> date:
    """The first day of the accounting period before the one that the day lies in."""
    return day_in(month_of(day) - 1, 1)


def earned(
    net: Money, service: Days, method: Method, *, used: Mapping[date, Decimal] | None = None
) -> dict[date, Money]:
    """What of an amount is earned in which accounting period; the parts sum to it, to the minor unit.

    `used` is the quantity of each accounting period, of metrics that keep it apart; it counts only for `as_incurred`,
    and only if there is some and nothing of it was taken back. Minor units left over go by largest remainder, where
    these are equal to the earlier period. Raises `AllocationImpossible` for an amount that is not in whole minor units.
    """
    first = accounting_period(service.first_on)
    if service.end_on <= next_period(first) and net.is_rounded:  # by far most lines
        return {} if net.is_zero else {first: net}
    known = used if method == "as_incurred" and used and min(used.values()) >= 0 and any(used.values()) else None
    return _spread(net, known or (_by_months(service) if method == "monthly" else _by_days(service)))


def earned_alike(net: Money, lines: Amounts, service: Days) -> dict[date, Money]:
    """What an amount beside the lines earns: in the proportions of what they earn, as it gives or asks of all of them.

    By the days of its service where there are none, or some that earn and some that take back.
    """
    weights = {period: abs(amount).amount for period, amount in lines.items()}
    if not weights or len({amount.is_negative for amount in lines.values()}) > 1:
        weights = _by_days(service)
    return _spread(net, weights)


def difference(new: Amounts, held: Amounts) -> dict[date, Money]:
    """By how much each period's amount changes, either way; periods that keep theirs are left out."""
    changed = dict(new)
    for period, amount in held.items():
        changed[period] = changed[period] - amount if period in changed else -amount
    return {period: amount for period, amount in sorted(changed.items()) if not amount.is_zero}


def recognised(amounts: Amounts, *, posting_on: date) -> tuple[Part, ...]:
    """Where what a document says is recognised: as it is earned, and never before the period it is posted in.

    What it earned or takes back of earlier periods is caught up with there, so no closed period changes.
    """
    posted_in = accounting_period(posting_on)
    return tuple(Part(earned_in, max(earned_in, posted_in), amount) for earned_in, amount in sorted(amounts.items()))


def is_deferred(parts: tuple[Part, ...], *, posting_on: date) -> bool:
    """Whether some of a line is earned after the period it is posted in; then all of it is deferred until earned."""
    return any(part.period > accounting_period(posting_on) for part in parts)


def _spread(net: Money, weights: Mapping[date, Decimal]) -> dict[date, Money]:
    periods = sorted(weights)
    parts = zip(periods, allocate(net, [weights[period] for period in periods]), strict=True)
    return {period: part for period, part in parts if not part.is_zero}


def _by_days(service: Days) -> dict[date, Decimal]:
    """The days of the service in each accounting period."""
    found, first_on = dict[date, Decimal](), service.first_on
    while first_on < service.end_on:
        period = accounting_period(first_on)
        end_on = min(next_period(period), service.end_on)
        found[period] = Decimal((end_on - first_on).days)
        first_on = end_on
    return found


def _by_months(service: Days) -> dict[date, Decimal]:
    """A month weighs one, the part of one its share of days; all times the lengths of the first and the last month."""
    days = _by_days(service)
    first, last = min(days), max(days)
    first_length, last_length = ((next_period(period) - period).days for period in (first, last))
    weights = dict.fromkeys(days, Decimal(first_length * last_length))
    weights[last] = days[last] * first_length
    weights[first] = days[first] * last_length
    return weights
