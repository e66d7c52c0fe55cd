"""The deed `runs.release`: to let a parked account's draft go out; its money is the total of its period."""

from typing import Final

from sqlalchemy import Connection

from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import breakers


def _plan(conn: Connection, order: Order) -> Plan:
    hold = breakers.held(conn, int(order.payload["hold_id"]))
    summary = f"release {hold.account} ({hold.contract}, {hold.starts_on}), which is parked: {hold.sentence}"
    return Plan(("runs.release",), f"hold/{hold.id}", summary[:500], {hold.currency: abs(hold.total)})


def _release(conn: Connection, order: Order) -> Carried:
    hold = breakers.held(conn, int(order.payload["hold_id"]))
    breakers.release(conn, hold.id, person=order.person, reason=order.reason)
    return Carried({"hold_id": hold.id, "run_id": hold.run_id})


DEEDS: Final = (Deed("runs.release", _plan, _release),)
