"""The deeds `revenue.run` and `revenue.close`: what is earned by the end of an accounting period is booked in it."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from domain.approvals import Effect
from domain.revenue import AccountingPeriodBlocked, next_period
from workers import accruing, recognising
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import revenue_runs
from workers.store.revenue_runs import AccountingPeriod, Recognised


def _meant(conn: Connection, order: Order) -> AccountingPeriod:
    """The period that is asked for. Raises `AccountingPeriodBlocked` while it lasts."""
    entity, period = str(order.payload["legal_entity"]), date.fromisoformat(order.payload["period"])
    today = revenue_runs.today(conn, entity)
    if today is None or today < next_period(period):
        raise AccountingPeriodBlocked(f"{period:%Y-%m} of {entity} has not ended yet", period=str(period))
    return AccountingPeriod(entity, period)


def _effect(found: Iterable[Recognised]) -> Effect:
    sums: dict[str, Decimal] = {}
    for each in found:
        sums[each.currency] = sums.get(each.currency, Decimal(0)) + abs(each.amount)
    return sums


def _plan_run(conn: Connection, order: Order) -> Plan:
    meant = _meant(conn, order)
    effect = _effect(recognising.recognise(conn, meant))
    return Plan(("revenue.run",), f"revenue/{meant}", f"recognise what is due up to {meant}", effect)


def _run(conn: Connection, order: Order) -> Carried:
    found = recognising.recognise(conn, _meant(conn, order))
    return Carried({"recognised": [each.to_json() for each in found]})


def _plan_close(conn: Connection, order: Order) -> Plan:
    meant = _meant(conn, order)
    closing = accruing.close(conn, meant, person=order.person, reason=order.reason)
    effect = dict(_effect(closing.recognised) or {})
    for currency, amount in closing.accrued.items():
        effect[currency] = effect.get(currency, Decimal(0)) + abs(amount)
    return Plan(("revenue.close",), f"revenue/{meant}/close", f"close {meant} for revenue", effect)


def _close(conn: Connection, order: Order) -> Carried:
    closing = accruing.close(conn, _meant(conn, order), person=order.person, reason=order.reason)
    return Carried({
        "recognised": [each.to_json() for each in closing.recognised],
        "accrued": {currency: str(amount) for currency, amount in closing.accrued.items()},
        "unpriced": closing.unpriced,
    })  # fmt: skip


DEEDS: Final = (Deed("revenue.run", _plan_run, _run), Deed("revenue.close", _plan_close, _close))
