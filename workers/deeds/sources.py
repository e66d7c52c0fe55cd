"""The deed `sources.put`: an upstream system, and which broker user may claim it."""

from typing import Final

from sqlalchemy import Connection

from domain.approvals import NO_MONEY
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import sources
from workers.store.sources import Wanted


def _plan(_conn: Connection, order: Order) -> Plan:
    name, user = order.payload["name"], order.payload["user"]
    return Plan(("sources.publish",), f"source/{name}"[:300], f"let {user} send as {name}", NO_MONEY)


def _put(conn: Connection, order: Order) -> Carried:
    given = order.payload
    wanted = Wanted(given["name"], given["user"], given.get("owner"), given.get("quota"))
    return Carried({"is_new": sources.put(conn, wanted)})


DEEDS: Final = (Deed("sources.put", _plan, _put),)
