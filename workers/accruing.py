"""How an accounting period is closed for revenue: what is due is recognised, what is earned and not billed accrued."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row

from domain.errors import Rejection
from domain.money import Currency, Money
from domain.periods import Days
from domain.rating import correction
from domain.revenue import AccountingPeriodBlocked, AccountingPeriodClosed, earned, next_period
from workers import recognising
from workers.rating import Rated, Run, rated
from workers.store import accruals, rated_usages, replay_money, revenue_runs, run_drafts
from workers.store.accruals import Accrual
from workers.store.replay_money import Line
from workers.store.revenue_runs import AccountingPeriod, Recognised

#: Subscriptions whose unbilled usage is rated when a period is closed; where there are more, billing comes first.
PREVIEWED_MAX: Final = 200_000
#: Of them together: what is read for them lies in memory.
PORTION: Final = 1_000


@dataclass(frozen=True, slots=True)
class Closing:
    """What closing a period came to: recognised, accrued by currency, and subscriptions whose usage has no price."""

    recognised: Sequence[Recognised]
    accrued: Mapping[str, Decimal]
    unpriced: int


def close(conn: Connection, meant: AccountingPeriod, *, person: str, reason: str) -> Closing:
    """Close a period that has ended. Raises `AccountingPeriodClosed` or `AccountingPeriodBlocked`.

    All in the caller's transaction, alone with the books of the legal entity: so nothing is accrued twice.
    """
    revenue_runs.hold(conn, meant.legal_entity_id)
    _require_next(conn, meant)
    done = recognising.recognise(conn, meant)
    found, unpriced = _unbilled(conn, meant)
    accruals.keep(conn, meant, found)
    booked = accruals.book(conn, meant)
    accruals.close(conn, meant, person=person, reason=reason, unpriced=unpriced)
    return Closing(done, booked, unpriced)


def _require_next(conn: Connection, meant: AccountingPeriod) -> None:
    last = accruals.last_closed(conn, meant.legal_entity_id)
    if last is not None and meant.period <= last:
        raise AccountingPeriodClosed(f"{meant} is closed", period=str(meant.period))
    if last is not None and meant.period != next_period(last):
        raise AccountingPeriodBlocked(f"{next_period(last):%Y-%m} is closed first", period=str(meant.period))
    runs = accruals.under_way(conn, meant)
    if runs:
        named = ", ".join(map(str, runs))
        raise AccountingPeriodBlocked(f"billing runs have not issued their documents: {named}", runs=runs)


def _unbilled(conn: Connection, meant: AccountingPeriod) -> tuple[list[Accrual], int]:
    """What the next runs would bill that is earned by the end of the period, rated by the rules of `rate` and `tax`."""
    today = revenue_runs.today(conn, meant.legal_entity_id)
    assert today is not None, meant
    found: list[Accrual] = []
    looked = unpriced = 0
    for period in accruals.billing_periods(conn, meant):
        due = run_drafts.due(conn, period.id, period.lot, limit=PREVIEWED_MAX + 1 - looked)
        looked += len(due)
        if looked > PREVIEWED_MAX:
            raise AccountingPeriodBlocked(f"more than {PREVIEWED_MAX} subscriptions are not billed: bill them first")
        for start in range(0, len(due), PORTION):
            accrued, without = _of_period(conn, meant, _Look(period, due[start : start + PORTION], today))
            found += accrued
            unpriced += without
    return found, unpriced


@dataclass(frozen=True, slots=True)
class _Look:
    """Subscriptions that a run of a billing period would bill, looked at on a day."""

    period: Row[Any]
    due: Sequence[Row[Any]]
    today: date

    def service(self, number: int, *, is_subscribed: bool) -> Days:
        """The days that what is rated is for; usage is only for those that have come."""
        period, due = self.period, self.due[number]
        first_on, end_on = max(period.starts_on, due.first_on), min(period.ends_on, due.end_on)
        if first_on >= end_on:
            return Days(period.starts_on, period.ends_on)
        if not is_subscribed:
            end_on = max(min(end_on, self.today + timedelta(days=1)), first_on + timedelta(days=1))
        return Days(first_on, end_on)


def _of_period(conn: Connection, meant: AccountingPeriod, look: _Look) -> tuple[list[Accrual], int]:
    runs = [
        Run(number, 0, look.period.id, look.period.lot, each.subscription_id, each.contract_id, each.currency)
        for number, each in enumerate(look.due)
    ]
    windows, priced = rated_usages.windows(conn, runs), rated_usages.priced(conn, runs)
    lines: list[Rated] = []
    unpriced = 0
    for run in runs:
        try:
            lines += rated([run], windows, priced)
        except Rejection:  # nobody knows what it is worth; the exception about it is opened when it is billed
            unpriced += 1
    prices = accruals.prices(conn, meant, [line.price_id for line in lines])
    billed, _ = replay_money.billed_of(conn, runs)  # no draft is on its way
    return list(_earned(meant, look, zip(lines, _nets(lines, billed), strict=True), prices)), unpriced


def _nets(lines: Sequence[Rated], billed: Mapping[tuple[int, int], Mapping[Line, Decimal]]) -> Iterator[Money]:
    for line in lines:
        held = billed.get((line.run.subscription_id, line.run.billing_period_id), {})
        before = held.get((line.metric_id, line.price_id, line.dimensions), Decimal(0))
        yield correction(line.usage.amount, billed=Money(before, Currency(line.run.currency)))


def _earned(
    meant: AccountingPeriod, look: _Look, nets: Iterable[tuple[Rated, Money]], prices: Mapping[int, Row[Any]]
) -> Iterator[Accrual]:
    for line, net in nets:
        price = prices[line.price_id]
        service = look.service(line.run.work_id, is_subscribed=price.is_subscribed)
        parts = earned(net, service, price.method)
        amount = sum((part.amount for period, part in parts.items() if period <= meant.period), Decimal(0))
        if amount:
            yield Accrual(
                line.run.billing_period_id, line.run.subscription_id, line.metric_id, line.run.currency,
                price.revenue_account, price.asset_account, amount,
            )  # fmt: skip
