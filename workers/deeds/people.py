"""Deeds about people: who is registered, and in which roles."""

from typing import Final

from sqlalchemy import Connection

from domain.approvals import NO_MONEY
from domain.authority import ROLES, NotPermitted, Role
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import people
from workers.store.people import KeptToken

#: Characters of a summary.
SUMMARY_MAX: Final = 2_000


def _person(order: Order) -> str:
    return str(order.payload["person"])


def _roles(order: Order) -> list[Role]:
    return [role for role in ROLES if role in order.payload["roles"]]


def _plan(verb: str, order: Order) -> Plan:
    person, roles = _person(order), ", ".join(_roles(order)) if "roles" in order.payload else ""
    summary = f"{verb} {person}{f' as {roles}' if roles else ''}"
    return Plan(("people.change",), f"person/{person}", summary, NO_MONEY)


def _plan_register(conn: Connection, order: Order) -> Plan:
    _require_other(conn, order)
    return _plan("register", order)


def _require_other(conn: Connection, order: Order) -> None:
    """Who says who is who has nothing else from it. Raises `NotPermitted`."""
    if _person(order) == order.person and not set(_roles(order)) <= people.acting_as(conn, order.person).roles:
        raise NotPermitted(f"{order.person} gives no roles to themselves: another admin does", action="people.change")


def _register(conn: Connection, order: Order) -> Carried:
    _require_other(conn, order)
    name = str(order.payload["name"])
    is_changed = people.register(conn, _person(order), name=name, roles=_roles(order), by=order.person)
    return Carried({"is_changed": is_changed})


def _revoke(conn: Connection, order: Order) -> Carried:
    revoked = people.revoke_roles(conn, _person(order), _roles(order), by=order.person)
    _require_admin(conn)
    return Carried({"revoked": revoked})


def _disable(conn: Connection, order: Order) -> Carried:
    is_changed = people.disable(conn, _person(order), by=order.person)
    _require_admin(conn)
    return Carried({"is_changed": is_changed})


def _plan_token(_conn: Connection, order: Order) -> Plan:
    """One's own token says nothing new of who one is; that of somebody else lets its maker speak for them."""
    given = order.payload
    actions = () if given["person"] == order.person else ("people.change",)
    summary = f"make a token of {given['person']} for {', '.join(given['scopes'])}"
    return Plan(actions, f"token/{given['hash'][:16]}", summary[:SUMMARY_MAX], NO_MONEY)


def _token(conn: Connection, order: Order) -> Carried:
    given = order.payload
    people.acting_as(conn, _person(order))
    made = KeptToken(_person(order), bytes.fromhex(given["hash"]), given["scopes"], int(given["days"]), given["label"])
    return Carried({"token": people.add_token(conn, made, by=order.person)})


def _require_admin(conn: Connection) -> None:
    """Somebody has to be left who can say who is who."""
    if not people.active_admins(conn):
        raise NotPermitted("nobody would be left with the role admin", action="people.change")


DEEDS: Final = (
    Deed("people.register", _plan_register, _register),
    Deed("people.revoke", lambda _, order: _plan("take roles from", order), _revoke),
    Deed("people.disable", lambda _, order: _plan("disable", order), _disable),
    Deed("people.token", _plan_token, _token),
)
