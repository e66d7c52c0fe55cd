"""`tallyline parked`: accounts whose drafts a money circuit breaker holds, and how they are let go."""

from dataclasses import asdict
from typing import Annotated

import typer

from workers.cli import console, reach
from workers.cli.acting import As, Wish, have_done, permitted
from workers.cli.console import AsJson, Failure
from workers.store import breakers
from workers.store.breakers import HoldReleased, HoldUnknown
from workers.store.database import snapshot

app = typer.Typer(help="Show accounts that are parked, and let them go.", no_args_is_help=True)


@app.command("list")
@console.command
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Also those that are released.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what a breaker holds, most money first: a draft whose total jumps, is negative, or is otherwise unlike it.

    What is parked is not sent; the other documents of the run are. A legal entity's `breakers` in master data say when
    they trip. Example: tallyline parked list
    """
    with reach.database(), snapshot() as conn:
        found = breakers.listed(conn, is_all=all_)
    if as_json:
        console.print_json({"parked": [asdict(each) for each in found]})
        return
    if not found:
        console.out().print("Nothing is parked.")
        return
    columns = ["hold#", "account", "contract", "period", "breaker", "why", "total#", "released by"]
    rows = [
        [each.id, each.account, each.contract, each.starts_on, each.breaker, each.sentence,
         f"{each.total:,} {each.currency}", each.released_by or ""]
        for each in found
    ]  # fmt: skip
    console.out().print(console.table("Parked", columns, rows))


@app.command("release")
@console.command
def release(
    hold: Annotated[int, typer.Argument(help="The number of the hold; `tallyline parked list` shows it.", min=1)],
    reason: Annotated[str, typer.Option(help="Why the amount is right; kept with the hold.")],
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Let a parked account's draft go out with the next approval; that takes a second person.

    If its run has gone on without it, the next run of the period bills it, as long as it is not worth more by then.
    Example: tallyline parked release 7 --reason "a second runway opened in March"
    """
    with reach.database():
        who = permitted("runs.release", as_)
        try:
            done = have_done(who, Wish("runs.release", {"hold_id": hold}, reason), as_json=as_json)
        except (HoldUnknown, HoldReleased) as refused:
            raise Failure(refused.sentence, fix="`tallyline parked list` shows what is held") from None
    if as_json:
        console.print_json(dict(done.carried.facts))
    else:
        console.out().print(console.plain(f"released hold {hold}: {done.plan.summary}"))
