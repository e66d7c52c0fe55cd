"""The deed `documents.repair`: send a document again, or undo it; what it moves is what the document asks for."""

from typing import Final

from sqlalchemy import Connection

from domain.canonical import Json
from domain.repairs import KINDS, Kind, RepairRefused
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import audit, repairs
from workers.store.repairs import Wanted


def _wanted(order: Order) -> Wanted:
    """What the payload says. Raises `RepairRefused` for a kind that does not exist."""
    kind: Kind | None = next((each for each in KINDS if each == order.payload["kind"]), None)
    if kind is None:
        raise RepairRefused(f"there is no repair {order.payload['kind']!r}, only {', '.join(KINDS)}")
    number, entity = str(order.payload["number"]), order.payload.get("entity")
    return Wanted(number, kind, order.person, order.reason, order.approval_id, entity)


def _plan(conn: Connection, order: Order) -> Plan:
    wanted = _wanted(order)
    requested = repairs.request(conn, wanted)
    found = repairs.case(conn, wanted.number, entity=wanted.entity)
    summary = f"{wanted.kind.replace('_', ' ')} {wanted.number}: {', '.join(requested.acts)}"
    effect = {found.currency: abs(found.gross)}
    return Plan(("documents.repair",), f"document/{found.invoice_id}/{wanted.kind}", summary, effect)


def _request(conn: Connection, order: Order) -> Carried:
    wanted = _wanted(order)
    requested = repairs.request(conn, wanted)
    if requested.hints:  # what was under way already has its entry
        document = repairs.case(conn, wanted.number, entity=wanted.entity).invoice_id
        after: dict[str, Json] = {"repair": requested.id, "number": wanted.number, "acts": list(requested.acts)}
        audit.record(conn, f"documents.{wanted.kind}", f"document/{document}", after=after)
    return Carried({"repair_id": requested.id}, requested.hints)


DEEDS: Final = (Deed("documents.repair", _plan, _request),)
