"""`tallyline close`: takes a billing period from open to closed, and shows what is in the way."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import partial
from typing import Annotated

import typer

from workers.cli import billing, console, reach, unbilled
from workers.cli.acting import As, Wish, acting, have_done
from workers.cli.billing import Dates
from workers.cli.console import FOUND, AsJson, Failure, count
from workers.deeds.doing import Done
from workers.embedded import run as embedded
from workers.store.billing_looks import PARKED, Period, Standing
from workers.store.unbilled import Unbilled

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The period's last day unless given.")]


@dataclass(frozen=True, slots=True)
class Said:
    """What a person decided: which blockers pass and why, whether the drafts are approved, and to wait for it."""

    overrides: Sequence[str]
    reason: str
    is_approved: bool
    is_watched: bool


@console.command
def close(
    entity: Annotated[str, typer.Argument(help="The legal entity, such as pony.")],
    period: Annotated[str, typer.Argument(help="A month such as 2013-01, or the first day of a period.")],
    override: Annotated[list[str] | None, typer.Option(help="Let this blocker pass; may be repeated.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is let pass; kept with the run.")] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Approve the drafts: number and post them.")] = False,
    as_: As = None,
    watch: Annotated[bool, typer.Option("--watch", help="In a fleet: wait until the run comes to rest.")] = False,
    cycle: Annotated[str | None, typer.Option(help="Which cycle, if the legal entity has several.")] = None,
    invoice_on: Day = None,
    posting_on: Day = None,
    unbilled_: Annotated[
        bool, typer.Option("--unbilled", help="Only list the subscriptions without a document, and why; do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bill a period: freeze, rate, tax, draft; after approval number, post, read back, reconcile, close.

    It goes as far as it can and shows what is in the way: open exceptions by cause, each let pass by name and with a
    reason, and the approval of the drafts. Call it again to go on. Usage that comes later is billed by the next run.
    Every active subscription ends with a document, or with a reason that --unbilled tells.
    Example: tallyline close pony 2013-01 --override quantity_missing --reason "diverted flights" --approve
    """
    if override and not reason:
        raise Failure("an override needs a reason", fix='add --reason "why it is right to bill without them"')
    said = Said(tuple(override or ()), reason or "", approve, watch or not reach.is_fleet())
    with reach.database():
        meant = billing.find_period(entity, period, cycle)
        if unbilled_:
            unbilled.show(meant, unbilled.of(meant), as_json=as_json)
            return
        if billing.is_done(meant):
            _say_done(meant, as_json=as_json)
            return
        do = partial(have_done, acting(as_), as_json=as_json)
        now = _press(meant, Dates(_date(invoice_on), _date(posting_on)), said, do)
        without = unbilled.of(meant)
    _show(meant, now, without, as_json=as_json)
    if now.blockers_before_approval or now.held:
        raise typer.Exit(FOUND)


def _date(at: datetime | None) -> date | None:
    return None if at is None else at.date()


def _press(meant: Period, dates: Dates, said: Said, do: Callable[[Wish], Done]) -> Standing:
    with nullcontext() if reach.is_fleet() else embedded.running():
        # Who approves need not be one who may ask for a run: there is one that waits for nothing else.
        waiting = None if said.overrides or dates != Dates() else billing.awaits_approval(meant)
        if waiting is None or not said.is_approved:
            waiting = int(do(billing.to_press(meant, dates)).carried.facts["run_id"])
        return _go_on(waiting, said, do)


def _go_on(run: int, said: Said, do: Callable[[Wish], object]) -> Standing:
    """Go as far as what the person said allows."""
    look = billing.at_rest if said.is_watched else billing.standing
    now = look(run)
    for code in said.overrides:
        for blocker in now.blockers:
            if blocker.code == code:
                do(billing.to_override(run, blocker, said.reason))
                now = look(run)
    if said.is_approved and not now.blockers_before_approval:
        do(billing.to_approve(run))
        now = look(run)
    return now


def _say_done(period: Period, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"legal_entity": period.legal_entity_id, "period": str(period.starts_on), "stage": "closed"})
        return
    console.out().print(f"{period.legal_entity_id} {period.name} is closed, and no usage has come since.")


def _show(period: Period, now: Standing, without: Sequence[Unbilled], *, as_json: bool) -> None:
    if as_json:
        told = {**asdict(now), "unbilled": unbilled.counts(without)}
        console.print_json({"legal_entity": period.legal_entity_id, "period": str(period.starts_on), **told})
        return
    out = console.out()
    out.print(
        f"{period.legal_entity_id} {period.starts_on} to {period.ends_on}: run {now.run_id} is [bold]{now.stage}[/]"
    )
    print_documents(now)
    unbilled.say(period, without)
    if any(each.state == PARKED for each in now.documents):
        out.print("what is parked does not go out with the others: [bold]tallyline parked list[/]")
    if now.blockers:
        out.print(blockers_table(now))
    if now.stage == "drafted" and not now.approved_by:
        out.print(f"next: look at the drafts, then [bold]tallyline close {period.legal_entity_id} "
                  f"{period.name} --approve[/]", soft_wrap=True)  # fmt: skip
    elif now.held:
        out.print(
            f"{count(now.held)} of its documents wait until an accounting period is opened in the ERP: "
            "[bold]tallyline exceptions list --code period_closed[/]",
            soft_wrap=True,
        )
    elif reach.is_fleet() and now.is_moving:
        out.print("the fleet goes on with it; --watch waits for that")


def print_documents(now: Standing) -> None:
    """Print the run's drafts or documents by kind and state."""
    if now.documents:
        rows: Sequence[Sequence[object]] = [
            [
                each.kind.replace("_", " "),
                each.state,
                count(each.count),
                each.currency,
                *(f"{amount:,}" for amount in (each.net, each.tax, each.gross)),
            ]
            for each in now.documents
        ]
        columns = ["kind", "state", "documents#", "currency", "net#", "tax#", "gross#"]
        console.out().print(console.table("Documents", columns, rows))


def blockers_table(now: Standing) -> object:
    """What is in the way of the run's next stage, as a table."""
    rows = [
        [each.code, count(each.count), each.money_at_risk or "", "by name" if each.is_overridable else "no", each.fix]
        for each in now.blockers
    ]
    return console.table("In the way", ["code", "count#", "money at risk#", "can be let pass", "what to do"], rows)
