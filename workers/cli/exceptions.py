"""`tallyline exceptions`: what was refused or waits for a person, grouped by cause, one by one, and with its body."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from domain.codes import CODES
from workers.cli import console, reach
from workers.cli.console import AsJson, Failure, count
from workers.cli.status import money_text
from workers.store import backlog, places, replays, worth
from workers.store.backlog import ExceptionRow
from workers.store.database import snapshot

#: Accounts that are named in a group.
ACCOUNTS_SHOWN = 6
#: Characters of a body that are shown.
BODY_SHOWN_MAX = 20_000

app = typer.Typer(help="Show what was refused or waits for a person, grouped by cause.", invoke_without_command=True)


@app.callback()
@console.command
def groups(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the open exceptions by cause: how many, whose, and the money they hold up, the most money first.

    The money is an estimate: what the usage would add to its bill at the prices in force.
    """
    if context.invoked_subcommand is not None:
        return
    with reach.database(), snapshot() as conn:
        causes = worth.causes(conn)
    if as_json:
        console.print_json([{**asdict(cause), "accounts": sorted(cause.accounts)} for cause in causes])
        return
    if not causes:
        console.out().print("No exception is open.")
        return
    console.out().print(causes_table(causes))


def causes_table(causes: Sequence[worth.Cause]) -> Table:
    """The open exceptions by cause, as a table."""
    rows = [
        [each.code, count(each.exceptions), _accounts(each.accounts), _money(each), _fix(each.code)] for each in causes
    ]
    columns = ["code", "open#", "accounts", "money at risk#", "what to do"]
    return console.table("Open exceptions", columns, rows)


def _accounts(accounts: set[str]) -> str:
    named = sorted(accounts)
    more = f" and {len(named) - ACCOUNTS_SHOWN} more" if len(named) > ACCOUNTS_SHOWN else ""
    return ", ".join(named[:ACCOUNTS_SHOWN]) + more


def _money(cause: worth.Cause) -> str:
    return money_text(cause.money) if cause.money else "unknown"


def _fix(code: str) -> str:
    return CODES[code].fix if code in CODES else "see its sentence"


@app.command("list")
@console.command
def list_(
    code: Annotated[str | None, typer.Option(help="Only this cause.")] = None,
    step: Annotated[str | None, typer.Option(help="Only what this step refused.")] = None,
    state: Annotated[
        Literal["open", "replayed", "dismissed", "resolved"], typer.Option(help="Only those in this state.")
    ] = "open",
    limit: Annotated[int, typer.Option(min=1, max=backlog.ROWS_MAX, help="Rows to show, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List exceptions one by one, the newest first."""
    if code is not None and code not in CODES:
        raise Failure(
            f"there is no code {code!r}", fix="`tallyline exceptions` lists the causes, the runbook all codes"
        )
    with reach.database(), snapshot() as conn:
        rows = backlog.exception_rows(conn, code=code, step=step, state=state, rows=limit)
    if as_json:
        console.print_json([asdict(row) for row in rows])
        return
    if not rows:
        console.out().print(f"No {state} exception fits.")
        return
    shown = [
        [row.id, row.step, row.code, row.seen, row.metric, row.source, row.event_id or row.subject, row.sentence]
        for row in rows
    ]
    columns = ["exception#", "step", "code", "seen#", "metric", "source", "event or subject", "says"]
    console.out().print(console.table(f"Exceptions ({state})", columns, shown))
    if len(rows) == limit:
        console.out().print(f"There may be more than these {limit}: --limit shows them.")


@app.command("show")
@console.command
def show(exception: Annotated[int, typer.Argument(help="The exception's number.")], as_json: AsJson = False) -> None:
    """Show one exception with everything known of it, and the event or body it is about."""
    with reach.database(), snapshot() as conn:
        found = backlog.exceptions_by_id(conn, [exception])
        if not found:
            raise Failure(f"there is no exception {exception}", fix="list them with `tallyline exceptions list`")
        row = found[0]
        place = places.place_of(conn, row.receipt_id, row.position or 0) if row.receipt_id else None
        edits = replays.edits_of(conn, exception)
    body = _body(place)
    if as_json:
        console.print_json({**asdict(row), "body": body, "edits": edits})
        return
    _print(row, body)
    for each in edits:
        about = f"edited by {each['person']} in replay {each['replay']} ({each['state']}): {each['reason']}"
        console.out().print(console.plain(f"{about}\n{json.dumps(each['edited'], indent=2)}"))


def _body(place: places.Place | None) -> object:
    """The event as JSON, or the text of a body that cannot be read; None if there is none."""
    if place is None:
        return None
    if place.event is not None:
        return place.event
    return place.delivery.body[:BODY_SHOWN_MAX].decode("utf-8", errors="backslashreplace")


def _print(row: ExceptionRow, body: object) -> None:
    out = console.out()
    facts: dict[str, Any] = {name: value for name, value in asdict(row).items() if value not in (None, {}, "")}
    out.print(console.table(f"Exception {row.id}: {row.code}", ["field", "value"], list(facts.items())))
    if row.code in CODES:
        out.print(f"[bold]meaning[/] {CODES[row.code].meaning}", markup=True)
        out.print(f"[bold]fix[/]     {CODES[row.code].fix}", markup=True)
    if body is not None:
        out.print("[bold]body[/]")
        out.print(console.plain(body if isinstance(body, str) else json.dumps(body, indent=2, default=str)))
    if row.state == "open":
        out.print(f"next: [bold]tallyline replay {row.id}[/] tells what sending it again would come to")
