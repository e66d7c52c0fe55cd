"""How a deed is done: at once where the policies let it, else after somebody else has granted it; once in any case."""

from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection

from domain.approvals import (
    ApprovalClosed,
    ApprovalStale,
    RequestUnknown,
    needed,
    on_top,
    require_decidable,
    require_unchanged,
)
from domain.authority import Acting
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.deeds.registry import deed_named
from workers.step import publish
from workers.store import acting as names
from workers.store import allowances, approvals, audit, people, policies
from workers.store.acting import Named
from workers.store.approvals import Asked, NewRequest, Verdict
from workers.store.database import engine
from workers.unit import database_now


@dataclass(frozen=True, slots=True)
class Done:
    """It has happened."""

    plan: Plan
    carried: Carried


@dataclass(frozen=True, slots=True)
class Awaiting:
    """It waits for somebody else, and nothing has happened."""

    plan: Plan
    request_id: int
    decided_by: str


Outcome: TypeAlias = Done | Awaiting


def submit(acting: Acting, deed_name: str, order: Order) -> Outcome:
    """Do it, or ask for it. Raises `NotPermitted`, `PolicyMissing`, `ApprovalClosed` and what the deed raises."""
    deed = deed_named(deed_name)
    with engine().begin() as conn:
        names.name(conn, Named(acting.person, order.reason, token_id=acting.token_id))
        audit.hold(conn)  # before any row or the fence: whoever else acts does the same
        acting = people.as_of_now(conn, acting)
        plan = planned(conn, deed, order)
        rules = policies.in_force(conn, plan.actions)
        effect = on_top(plan.effect, allowances.used(conn, acting.person, plan.actions))
        approval = needed(acting, plan.actions, effect=effect, policies=rules)
        if approval is not None:
            request_id = approvals.ask(conn, _request(deed, order, plan), approval)
            return Awaiting(plan, request_id, approval.decided_by)
        if plan.effect and any(each.needs == "above_limit" for each in rules):
            allowances.use(conn, plan.subject, plan.actions, plan.effect)
        carried = deed.carry_out(conn, order)
    publish(carried.hints)
    return Done(plan, carried)


def planned(conn: Connection, deed: Deed, order: Order) -> Plan:
    """What the deed would come to; whatever it takes to find out is undone."""
    attempt = conn.begin_nested()
    try:
        return deed.plan(conn, order)
    finally:
        attempt.rollback()


def _request(deed: Deed, order: Order, plan: Plan) -> NewRequest:
    return NewRequest(
        deed=deed.name,
        actions=plan.actions,
        subject=plan.subject,
        summary=plan.summary,
        reason=order.reason,
        payload=order.payload,
        effect=plan.effect,
        requested_by=order.person,
        attachment=order.attachment,
    )


def grant(acting: Acting, request_id: int, *, note: str = "") -> Done:
    """Grant what somebody else asked for, and do it in the same transaction, as of now.

    Raises `ApprovalClosed`, `ApprovalForbidden`, `ApprovalStale`, what permits the requester, and what the deed raises.
    """
    try:
        with engine().begin() as conn:
            done = _granted(conn, acting, request_id, note)
    except ApprovalStale as stale:
        with engine().begin() as conn:
            names.name(conn, Named(acting.person, stale.sentence, request_id, acting.token_id))
            approvals.close(conn, request_id, "stale", outcome={"why": stale.sentence})
        raise
    publish(done.carried.hints)
    return done


def _granted(conn: Connection, acting: Acting, request_id: int, note: str) -> Done:
    asked = _held(conn, request_id)
    require_decidable(asked.request, people.as_of_now(conn, acting), now=database_now(conn))
    deed = deed_named(asked.deed)
    order = Order(asked.requested_by, asked.reason, asked.payload, asked.attachment, approval_id=asked.id)
    names.name(conn, Named(acting.person, note or f"grants request {asked.id}", asked.id, acting.token_id))
    plan = planned(conn, deed, order)
    require_unchanged(asked.request, plan.effect)
    if not set(plan.actions) <= set(asked.actions):
        raise ApprovalStale(f"request {asked.id} would do more than was asked for", request=asked.id)
    requester = people.acting_as(conn, asked.requested_by)
    needed(requester, plan.actions, effect=plan.effect, policies=policies.in_force(conn, plan.actions))
    approvals.decide(conn, asked, Verdict(acting.person, is_granted=True, note=note))
    names.name(conn, Named(asked.requested_by, asked.reason, asked.id))
    return Done(plan, deed.carry_out(conn, order))


def refuse(acting: Acting, request_id: int, *, note: str) -> Asked:
    """Refuse what somebody else asked for. Raises `ApprovalClosed` or `ApprovalForbidden`."""
    with engine().begin() as conn:
        asked = _held(conn, request_id)
        require_decidable(asked.request, people.as_of_now(conn, acting), now=database_now(conn))
        names.name(conn, Named(acting.person, note, asked.id, acting.token_id))
        approvals.decide(conn, asked, Verdict(acting.person, is_granted=False, note=note))
    return asked


def withdraw(acting: Acting, request_id: int) -> Asked:
    """Take back what one has asked for. Raises `ApprovalClosed` if it is decided, or somebody else's."""
    with engine().begin() as conn:
        asked = _held(conn, request_id)
        if asked.state != "open" or asked.requested_by != acting.person:
            raise ApprovalClosed(f"request {asked.id} is {asked.state} and was made by {asked.requested_by}")
        names.name(conn, Named(acting.person, "withdrawn", asked.id, acting.token_id))
        approvals.close(conn, request_id, "withdrawn")
    return asked


def _held(conn: Connection, request_id: int) -> Asked:
    audit.hold(conn)
    asked = approvals.hold(conn, request_id)
    if asked is None:
        raise RequestUnknown(f"there is no request {request_id}", request=request_id)
    return asked
