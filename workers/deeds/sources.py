"""The deed `sources.put`: an upstream system, and which broker user may claim it."""

from typing import Final

from sqlalchemy import Connection

from domain.approvals import NO_MONEY
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import sources
from workers.store.sources import Wanted


def _wanted(order: Order) -> Wanted:
    given = order.payload
    return Wanted(given["name"], given["user"], given.get("owner"), given.get("quota"))


def _plan(conn: Connection, order: Order) -> Plan:
    """What is there already needs nobody: whoever asked for it comes back for the broker user."""
    wanted = _wanted(order)
    actions = () if sources.is_there(conn, wanted) else ("sources.publish",)
    return Plan(actions, f"source/{wanted.name}"[:300], f"let {wanted.user} send as {wanted.name}", NO_MONEY)


def _put(conn: Connection, order: Order) -> Carried:
    return Carried({"is_new": sources.put(conn, _wanted(order))})


DEEDS: Final = (Deed("sources.put", _plan, _put),)
