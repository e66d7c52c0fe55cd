"""The deed `retention.erase`: bodies whose time is over are erased, and their hashes stay."""

from typing import Final

from sqlalchemy import Connection

from domain.approvals import NO_MONEY
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import retention


def _plan(conn: Connection, order: Order) -> Plan:
    days = int(order.payload["days"])
    found = retention.erasable(conn, days=days)
    summary = f"erase the bodies of {found.receipts} receipts that are older than {days} days"
    return Plan(("retention.erase",), "receipts", summary, NO_MONEY)


def _erase(conn: Connection, order: Order) -> Carried:
    erased = retention.erase(conn, days=int(order.payload["days"]))
    retention.record(conn, erased)
    return Carried({"receipts": erased.receipts, "bytes": erased.bytes})


DEEDS: Final = (Deed("retention.erase", _plan, _erase),)
