"""`tallyline status`: what is owed, what is stuck, what it is worth, and whether everything adds up."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from domain.degradation import tier_of
from domain.exceptions import money_of
from queues.publishing import QueueLook
from queues.topology import INTAKE_QUEUE, queue_name
from workers.cli import away, console, reach
from workers.cli.console import FOUND, AsJson, count
from workers.store import backlog, exception_lists, figures, identity, losses, recompute, worth
from workers.store.backlog import StepState
from workers.store.database import snapshot


@console.command
def status(
    check_identity: Annotated[
        bool, typer.Option("--identity", help="Also check that nothing is unaccounted for; exit 1 names what differs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show per step what is due, how old it is and what is dead, and the money that waits.

    With --identity both identities are checked in one snapshot, by source, metric and hour: events parsed = accepted +
    duplicate + refused, and usage attributed = billed + excluded + in exception + in flight. In flight is usage whose
    document the ERP has not confirmed yet and that nothing holds up. Every window is compared with the sum of what was
    attributed to it.

    Unbilled money is in flight and in no draft yet; then it is in drafts and documents on their way, until the ERP has
    confirmed them. Windows that cannot be priced are counted beside it. Excepted money
    waits for a person; the estimated loss is apart from all: what events that never came would have cost.

    Work is listed by tier, the order in which it drains after an outage. What is away is named first, with what waits
    for it; infra/runbooks/degradation.md says what happens meanwhile.

    Example: tallyline status --identity
    """
    with reach.database():
        reach.appraise()
        with snapshot() as conn:
            facts: dict[str, Any] = {"away": away.now(conn), "steps": _by_tier(backlog.states(conn)), **_money(conn)}
            if check_identity:
                facts |= _identity(conn)
        if reach.is_fleet():
            is_silent = any(each.dependency == "rabbitmq" for each in facts["away"])
            facts["queues"] = {} if is_silent else _queues(facts["steps"])
    if as_json:
        console.print_json(_plain(facts))
    else:
        _print(facts)
    if facts.get("differences") or facts.get("drifts"):
        raise typer.Exit(FOUND)


def _by_tier(states: Sequence[StepState]) -> list[StepState]:
    return sorted(states, key=lambda each: (tier_of(each.step, each.lane).number, each.step, each.lane))


def _money(conn: Connection) -> dict[str, Any]:
    excepted = worth.excepted(conn)
    lost = losses.losses(conn)
    preview = figures.preview(conn)
    held = dict(excepted.money)
    unbilled: dict[str, Decimal] = {}
    for sums, amounts in ((unbilled, preview.unbilled), (held, preview.stuck)):
        for each in amounts:
            sums[each.currency] = sums.get(each.currency, Decimal(0)) + each.amount
    drafted: dict[str, Decimal] = {}
    for each in figures.on_their_way(conn):
        drafted[each.currency] = drafted.get(each.currency, Decimal(0)) + each.amount
    return {
        "unbilled": unbilled,
        "unpriced_windows": preview.unpriced,
        "in_documents": drafted,
        "excepted": held,
        "exceptions": excepted.exceptions,
        "unpriced": excepted.unpriced,
        "estimated_loss": lost.money,
        "written_off": exception_lists.written_off(conn),
        "missing_events": lost.missing,
        "gaps": lost.gaps,
    }


def _identity(conn: Connection) -> dict[str, Any]:
    return {
        "events": identity.event_totals(conn),
        "usage": identity.usage_totals(conn),
        "differences": list(identity.differences(conn)),
        "drifts": recompute.drifts(conn),
    }


def _queues(steps: Sequence[StepState]) -> Mapping[str, QueueLook | None]:
    """What RabbitMQ says of `intake` and of every queue that has work."""
    from queues.broker import broker

    names = [INTAKE_QUEUE, *(queue_name(each.step, each.lane, each.connection_id) for each in steps)]
    return {name: broker().look(name) for name in names}


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    def flat(value: object) -> object:
        if isinstance(value, list | tuple):
            return [flat(each) for each in value]
        if isinstance(value, dict):
            return {key: flat(each) for key, each in value.items()}
        if isinstance(value, StepState):
            return {"tier": tier_of(value.step, value.lane).number, **asdict(value)}
        return asdict(value) if hasattr(value, "__dataclass_fields__") else value  # type: ignore[call-overload]

    return {name: flat(value) for name, value in facts.items()}


def money_text(money: Mapping[str, Decimal]) -> str:
    """Amounts by currency in its minor units, for people: `USD 1,980,560.21`."""
    return ", ".join(money_of(amount, currency) for currency, amount in sorted(money.items())) or "none"


def _unbilled_text(money: Mapping[str, Decimal], unpriced: int) -> str:
    more = f" ({count(unpriced)} window{'' if unpriced == 1 else 's'} could not be priced)"
    return f"Unbilled: [bold]{money_text(money)}[/]{more if unpriced else ''}"


def _print(facts: dict[str, Any]) -> None:
    out = console.out()
    steps: Sequence[StepState] = facts["steps"]
    queues: Mapping[str, QueueLook | None] = facts.get("queues", {})
    away.show(facts["away"])
    if steps:
        columns = ["tier#", "step", "lane", "due#", "oldest", "later#", "dead#"]
        rows = [_step_row(each) for each in steps]
        if queues:
            columns += ["hints#", "workers#"]
            rows = [[*row, *_queue_cells(each, queues)] for row, each in zip(rows, steps, strict=True)]
        out.print(console.table("Work", columns, rows))
    else:
        out.print("No work is owed and none is dead.")
    out.print(_unbilled_text(facts["unbilled"], facts["unpriced_windows"]), soft_wrap=True)
    if facts["in_documents"]:
        out.print(f"In drafts and documents on their way: [bold]{money_text(facts['in_documents'])}[/]")
    plural = "" if facts["exceptions"] == 1 else "s"
    held = f"{money_text(facts['excepted'])} in {count(facts['exceptions'])} open exception{plural}"
    unpriced = f" ({count(facts['unpriced'])} without a price yet)" if facts["unpriced"] else ""
    out.print(f"Excepted: [bold]{held}[/]{unpriced}")
    if facts["gaps"]:
        lost = money_text(facts["estimated_loss"]) if facts["estimated_loss"] else "unknown"
        events = f"{count(facts['missing_events'])} event{'' if facts['missing_events'] == 1 else 's'}"
        shows = "`tallyline sources gaps` shows which"
        out.print(f"Estimated loss: [bold]{lost}[/] for {events} that never came: {shows}", soft_wrap=True)
    if facts["written_off"]:
        shows = "`tallyline exceptions list --state written_off`"
        out.print(f"Written off: [bold]{money_text(facts['written_off'])}[/]: {shows}", soft_wrap=True)
    if "events" in facts:
        _print_identity(facts)


def _step_row(each: StepState) -> list[object]:
    step = f"{each.step} {each.connection_id}" if each.connection_id else each.step
    oldest = console.age(each.oldest_s) if each.due else ""
    number = tier_of(each.step, each.lane).number
    return [number, step, each.lane, count(each.due), oldest, count(each.later), count(each.dead)]


def _queue_cells(each: StepState, queues: Mapping[str, QueueLook | None]) -> list[object]:
    look = queues.get(queue_name(each.step, each.lane, each.connection_id))
    return ["no queue", ""] if look is None else [count(look.ready), count(look.consumers)]


def _print_identity(facts: dict[str, Any]) -> None:
    out = console.out()
    events: identity.EventTotals = facts["events"]
    sums = [count(n) for n in (events.parsed, events.accepted, events.duplicate, events.refused, events.unreadable)]
    columns = ["parsed#", "= accepted#", "+ duplicate#", "+ refused#", "bodies unreadable#", "receipts waiting#"]
    out.print(console.table("Events", columns, [[*sums, count(events.waiting_receipts)]]))
    rows = [
        [each.metric, *(count(n) for n in (each.attributed, each.billed, each.excluded, each.excepted, each.in_flight))]
        for each in facts["usage"]
    ]
    columns = ["metric", "attributed#", "= billed#", "+ excluded#", "+ in exception#", "+ in flight#"]
    out.print(console.table("Usage", columns, rows))
    differences: Sequence[identity.Difference] = facts["differences"]
    drifts: Sequence[recompute.Drift] = facts["drifts"]
    if not differences and not drifts:
        out.print("[green]Everything adds up[/], by source, metric and hour.")
        return
    if drifts:
        rows = [[each.window, each.expected, each.found] for each in drifts]
        columns = ["window that is not the sum of its usage", "count / sum", "found"]
        out.print(console.table(f"{len(drifts)} windows", columns, rows))
    if differences:
        _print_differences(differences)


def _print_differences(differences: Sequence[identity.Difference]) -> None:
    rows = [[d.check, d.source, d.metric, f"{d.hour:%Y-%m-%d %H:00}", d.expected, d.found] for d in differences]
    columns = ["what does not add up", "source", "metric", "hour (UTC)", "count / sum / hash", "found"]
    console.out().print(console.table(f"{len(differences)} differences", columns, rows))
