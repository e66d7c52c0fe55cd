"""`tallyline work`: the work ledger row by row."""

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from queues.topology import Step
from workers.cli import console, reach
from workers.cli.console import AsJson
from workers.store import backlog
from workers.store.database import snapshot


@console.command
def work(
    step: Annotated[Step | None, typer.Option(help="Only this step, such as rate.")] = None,
    state: Annotated[Literal["ready", "done", "dead"] | None, typer.Option(help="Only rows in this state.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what is about this, such as receipt/17.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Only rows with this outcome, such as the code of dead ones.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=backlog.ROWS_MAX, help="Rows to show, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List what steps owe and owed: each row is one receipt, batch, billing period, draft or posting for one step.

    Example: tallyline work --state dead
    """
    wanted = backlog.WorkFilter(step, state, subject, outcome)
    with reach.database(), snapshot() as conn:
        rows = backlog.work_rows(conn, wanted, rows=limit)
    if as_json:
        console.print_json([asdict(row) for row in rows])
        return
    if not rows:
        console.out().print("No work row fits.")
        return
    shown = [
        [
            row.id,
            row.step,
            row.lane,
            row.subject,
            row.revision,
            row.state,
            row.weight,
            row.attempts,
            row.outcome,
            row.error,
        ]
        for row in rows
    ]
    columns = ["work#", "step", "lane", "subject", "rev#", "state", "weight#", "failed#", "outcome", "says"]
    console.out().print(console.table("Work", columns, shown))
