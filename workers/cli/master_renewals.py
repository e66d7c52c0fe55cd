"""`tallyline master renewals`: contracts whose term ends soon, until when notice can be given, and what follows."""

from datetime import date, timedelta
from typing import Annotated

import typer

from workers.cli import console, reach
from workers.cli.console import AsJson
from workers.store import master_lifecycle
from workers.store.database import snapshot
from workers.unit import database_now

#: Ten years.
DAYS_MAX = 3_660


@console.command
def renewals(
    within: Annotated[int, typer.Option(min=1, max=DAYS_MAX, help="Terms that end within so many days.")] = 90,
    as_json: AsJson = False,
) -> None:
    """List the contracts whose term ends soon: the last day for notice, and whether they renew by themselves.

    Example: tallyline master renewals --within 30
    """
    with reach.database(), snapshot() as conn:
        on: date = database_now(conn).date()
        found = master_lifecycle.due_contracts(conn, on=on, until=on + timedelta(days=within))
    told = [
        {
            "contract": each.contract, "account": each.account, "term_months": each.term_months,
            "ends_on": each.due.ends_on, "notice_until": each.due.notice_until, "then": each.due.then,
        } for each in found
    ]  # fmt: skip
    if as_json:
        console.print_json(told)
        return
    columns = ["contract", "account", "months#", "term ends", "notice until", "then"]
    console.out().print(console.table(f"Terms that end by {on + timedelta(days=within)}", columns, [
        list(each.values()) for each in told
    ]))  # fmt: skip
