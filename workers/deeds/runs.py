"""Deeds about billing runs: asking for one, letting what is in its way pass, and approving its drafts."""

from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from domain.approvals import NO_MONEY, ApprovalStale, Effect
from domain.canonical import Json
from domain.closing import Override
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import audit, billing_looks, billing_runs
from workers.store.billing_runs import Wanted

#: Blockers that say the books themselves disagree: to let one pass always takes more than to leave usage for later.
TOTALS: Final = frozenset({"control_totals_differ"})


def _plan_request(_conn: Connection, order: Order) -> Plan:
    period = int(order.payload["period_id"])
    return Plan(("runs.request",), f"billing_period/{period}", f"bill period {period}", NO_MONEY)


def _request(conn: Connection, order: Order) -> Carried:
    """Ask for the period to be billed, or go on with the run under way, with other dates if they are given."""
    payload = order.payload
    invoice_on, posting_on = (
        None if payload.get(name) is None else date.fromisoformat(payload[name])
        for name in ("invoice_on", "posting_on")
    )
    run = payload.get("run_id")
    if run is None:
        period_id, last_day = int(payload["period_id"]), date.fromisoformat(payload["last_day"])
        on = invoice_on or last_day
        run = billing_runs.request(conn, Wanted(period_id, on, posting_on or on, order.person))
        _record(conn, "request", run, {"period": period_id})
    elif billing_runs.redate(conn, int(run), invoice_on=invoice_on, posting_on=posting_on):
        _record(conn, "redate", int(run), {name: payload.get(name) for name in ("invoice_on", "posting_on")})
    return Carried({"run_id": run}, billing_runs.press(conn, int(run)))


def _record(conn: Connection, act: str, run: int, after: dict[str, Json]) -> None:
    audit.record(conn, f"billing_runs.{act}", f"run {run}", after=after)


def _plan_override(conn: Connection, order: Order) -> Plan:
    run, code = int(order.payload["run_id"]), str(order.payload["code"])
    let_pass = _let_pass(conn, order)
    action = "runs.override_total" if code in TOTALS else "runs.override"
    found = next(each for each in billing_runs.blockers_of(conn, run) if each.code == code)
    summary = f"let {let_pass.count} {code} of run {run} pass"
    return Plan((action,), f"billing_run/{run}/override/{code}", summary, _money(found.money_at_risk))


def _money(at_risk: str | None) -> Effect:
    """The blocker's money by currency; None where there is some that nobody can price."""
    if at_risk is None:
        return NO_MONEY
    amount, *currencies = at_risk.split()
    return {currencies[0]: abs(Decimal(amount))} if len(currencies) == 1 else None


def _override(conn: Connection, order: Order) -> Carried:
    let_pass = _let_pass(conn, order)
    return Carried({"count": let_pass.count}, billing_runs.press(conn, int(order.payload["run_id"])))


def _let_pass(conn: Connection, order: Order) -> Override:
    """Let the blocker pass as often as whoever asks has seen it. Raises `ApprovalStale` if there are more by now."""
    run, code, seen = int(order.payload["run_id"]), str(order.payload["code"]), int(order.payload["count"])
    let_pass = billing_runs.override(conn, run, code, person=order.person, reason=order.reason)
    if let_pass.count > seen:
        raise ApprovalStale(f"{let_pass.count} {code} are in the way of run {run} by now, {seen} were seen", run=run)
    return let_pass


def _plan_approve(conn: Connection, order: Order) -> Plan:
    run = int(order.payload["run_id"])
    billing_runs.approve(conn, run, person=order.person)
    effect: dict[str, Decimal] = {}
    for each in billing_looks.standing(conn, run).documents:
        if each.state == billing_looks.PARKED:
            continue
        effect[each.currency] = effect.get(each.currency, Decimal(0)) + abs(each.gross)
    return Plan(("runs.approve",), f"billing_run/{run}/approve", f"approve the drafts of run {run}", effect)


def _approve(conn: Connection, order: Order) -> Carried:
    run = int(order.payload["run_id"])
    billing_runs.approve(conn, run, person=order.person)
    return Carried({}, billing_runs.press(conn, run))


DEEDS: Final = (
    Deed("runs.request", _plan_request, _request),
    Deed("runs.override", _plan_override, _override),
    Deed("runs.approve", _plan_approve, _approve),
)
