"""`tallyline close`: takes a billing period from open to closed, and shows what is in the way."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import partial
from typing import Annotated

import typer

from domain.authority import NotPermitted
from workers.cli import billing, close_say, console, reach, unbilled
from workers.cli.acting import As, Wish, acting, have_done
from workers.cli.billing import Dates
from workers.cli.console import AWAITS, FOUND, OK, AsJson, Failure, count
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
    close_say.require_override(override or (), reason)
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
        went = _press(meant, Dates(_date(invoice_on), _date(posting_on)), said, do)
        without = unbilled.of(meant)
    _show(meant, went, without, as_json=as_json)
    if went.code:
        raise typer.Exit(went.code)


def _date(at: datetime | None) -> date | None:
    return None if at is None else at.date()


@dataclass(frozen=True, slots=True)
class Went:
    """How far it went, and which codes were to be let pass that are not in the way."""

    now: Standing
    idle: Sequence[str]

    @property
    def code(self) -> int:
        """The exit code: whether anything is in the way, or only an approval."""
        if self.now.blockers_before_approval or self.now.held:
            return FOUND
        return AWAITS if self.now.blockers else OK


def _press(meant: Period, dates: Dates, said: Said, do: Callable[[Wish], Done]) -> Went:
    with nullcontext() if reach.is_fleet() else embedded.running():
        # Who approves need not be one who may ask for a run: there is one that waits for nothing else.
        waiting = None if said.overrides or dates != Dates() else billing.awaits_approval(meant)
        if waiting is None or not said.is_approved:
            waiting = _asked(meant, dates, said, do)
        return _go_on(waiting, said, do)


def _asked(meant: Period, dates: Dates, said: Said, do: Callable[[Wish], Done]) -> int:
    """The run that is asked for or gone on with. Raises `Failure` for one who may approve and has nothing to."""
    try:
        return int(do(billing.to_press(meant, dates)).carried.facts["run_id"])
    except NotPermitted as refused:
        if not said.is_approved:
            raise
        sentence = f"there are no drafts of {meant.legal_entity_id} {meant.name} to approve yet, and {refused.sentence}"
        fix = f"have somebody with that role call `tallyline close {meant.legal_entity_id} {meant.name}` first"
        raise Failure(sentence, fix=fix, code=FOUND) from None


def _go_on(run: int, said: Said, do: Callable[[Wish], object]) -> Went:
    """Go as far as what the person said allows."""
    look = billing.at_rest if said.is_watched else billing.standing
    now, idle = look(run), []
    for code in said.overrides:
        found = [blocker for blocker in now.blockers if blocker.code == code]
        for blocker in found:
            do(billing.to_override(run, blocker, said.reason))
            now = look(run)
        if not found:
            idle.append(code)
    if said.is_approved and not now.blockers_before_approval:
        do(billing.to_approve(run))
        now = look(run)
    return Went(now, idle)


def _say_done(period: Period, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"legal_entity": period.legal_entity_id, "period": str(period.starts_on), "stage": "closed"})
        return
    console.out().print(f"{period.legal_entity_id} {period.name} is closed, and no usage has come since.")


def _show(period: Period, went: Went, without: Sequence[Unbilled], *, as_json: bool) -> None:
    now = went.now
    if as_json:
        told = {**asdict(now), "unbilled": unbilled.counts(without), "not_in_the_way": went.idle}
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
        out.print(close_say.blockers_table(now))
    close_say.idle(went.idle)
    close_say.left_over(period, now, without)
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
