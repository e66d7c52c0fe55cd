"""The deed `credits.grant`: what an account paid ahead or is given; its money is the amount of the grant."""

from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from domain.credits import Rollover
from domain.money import Money
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import prepaid
from workers.store.prepaid import Wanted


def _wanted(order: Order) -> Wanted:
    """What the payload says. Raises `CreditInvalid` and what `Money.of` raises."""
    given = order.payload
    amount = Money.of(given["amount"], given["currency"])
    rollover = None
    if given.get("rollover_days") is not None:
        most = given.get("rollover_amount")
        limit = None if most is None else Money.of(most, amount.currency)
        rollover = Rollover(int(given["rollover_days"]), Decimal(given["rollover_percent"]), limit)
    ends_on = None if given.get("ends_on") is None else date.fromisoformat(given["ends_on"])
    starts_on = date.fromisoformat(given["starts_on"])
    account, entity = str(given["account"]), str(given["legal_entity"])
    is_paid = bool(given.get("is_paid", False))
    return Wanted(account, entity, amount, starts_on, ends_on, int(given["priority"]), rollover, is_paid=is_paid)


def _plan(conn: Connection, order: Order) -> Plan:
    wanted = _wanted(order)
    prepaid.grant(conn, wanted, person=order.person, reason=order.reason)
    amount = f"{wanted.amount.currency.code} {wanted.amount.to_text()}"
    summary = f"grant {wanted.account_id} credit of {amount} with {wanted.legal_entity_id} from {wanted.starts_on}"
    subject = f"account/{wanted.account_id}"[:300]
    return Plan(("credits.grant",), subject, summary, {wanted.amount.currency.code: wanted.amount.amount})


def _grant(conn: Connection, order: Order) -> Carried:
    return Carried({"grant_id": prepaid.grant(conn, _wanted(order), person=order.person, reason=order.reason)})


DEEDS: Final = (Deed("credits.grant", _plan, _grant),)
