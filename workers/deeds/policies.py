"""The deed `policies.set`: another rule of when an action needs a second person."""

from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from domain.approvals import NO_MONEY, Policy
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import policies
from workers.store.policies import Change


def _policy(order: Order) -> Policy:
    given = order.payload
    money_max = None if given.get("money_max") is None else Decimal(given["money_max"])
    return Policy(
        given["action"], given["role"], given["needs"], given["decided_by"], int(given["expires_h"]),
        given.get("currency"), money_max,
    )  # fmt: skip


def _plan(_conn: Connection, order: Order) -> Plan:
    policy = _policy(order)
    limit = f" {policy.currency} {policy.money_max}" if policy.currency else ""
    summary = f"{policy.action} asked for as {policy.role} needs {policy.needs}{limit}"
    subject = f"policy/{policy.action}/{policy.role}/{policy.currency or 'any'}"
    return Plan(("policies.change",), subject, summary, NO_MONEY)


def _set(conn: Connection, order: Order) -> Carried:
    return Carried({"is_changed": policies.put(conn, Change(_policy(order), order.person))})


DEEDS: Final = (Deed("policies.set", _plan, _set),)
