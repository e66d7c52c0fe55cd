"""`tallyline master import`: rows of master data, of which the good ones go in and each refused one is told."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.authority import Acting
from domain.canonical import canonical_json
from workers.cli import console, reach
from workers.cli.acting import As, Reason, acting, tell_awaiting
from workers.cli.console import AWAITS, FOUND, USAGE, AsJson, Failure
from workers.cli.working import work_here
from workers.deeds.deed import Order
from workers.deeds.doing import Awaiting, Outcome, submit
from workers.store import acting as names
from workers.store import master_file, master_import, master_tables
from workers.store.acting import Named
from workers.store.database import engine
from workers.store.master_import import Refusal, Row, Sifted

#: Refused rows that a table shows; the report has all.
SHOWN_MAX = 50

Report = Annotated[Path | None, typer.Option(help="Write every refused row to this CSV file.", dir_okay=False)]
KINDS = ", ".join(master_tables.TABLES)


@console.command
def import_(
    file: Annotated[Path, typer.Argument(help="A CSV file of one kind, or master data as YAML or JSON.")],
    kind: Annotated[str | None, typer.Option(help=f"What the rows of a CSV file are: {KINDS}.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say which rows would be refused.")] = False,
    report: Report = None,
    reason: Reason = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Import rows of master data: good rows go in together, each refused one is told with its row, field and fix.

    Unlike with `master load`, one wrong row does not keep the others out. The row is that of a spreadsheet; in YAML it
    is the line of the entry. An empty cell says nothing, so what is there stays. A row that rests on a refused one is
    refused as well. Import the file again once they are corrected: what is there already changes nothing. It needs the
    same approvals as `master load`, and ends with 1 if a row was refused.

    Example: tallyline master import accounts.csv --kind accounts --report refused.csv
    """
    why = console.checked_reason(reason or f"imported {file.name}")
    rows, unread = _rows(file, master_file.content_of(file), kind)
    with reach.database():
        who = acting(as_)
        sifted = _sifted(who, file, rows)
        refused = sorted([*unread, *sifted.refused], key=lambda each: each.row)
        if report is not None:
            _write(report, refused)
        outcome = submit(who, "master.publish", _order(who, file, sifted, why)) if sifted.rows and not check else None
        if outcome is not None and not isinstance(outcome, Awaiting) and outcome.carried.hints:
            work_here(outcome.carried.hints)
    _tell(file, sifted, refused, outcome, as_json=as_json)
    if isinstance(outcome, Awaiting):
        raise typer.Exit(AWAITS)
    if refused:
        raise typer.Exit(FOUND)


def _rows(file: Path, content: bytes, kind: str | None) -> tuple[list[Row], list[Refusal]]:
    if file.suffix.lower() != ".csv":
        if kind is not None:
            raise Failure("--kind goes with a CSV file", fix="a YAML or JSON file names the kinds itself: leave it out")
        return master_import.rows_of(master_file.read(file, content)), []
    if kind is None or kind not in master_tables.TABLES:
        raise Failure(f"{file} does not say what its rows are", fix=f"add --kind with one of: {KINDS}", code=USAGE)
    return master_tables.read(file, content, kind)


def _sifted(who: Acting, file: Path, rows: Sequence[Row]) -> Sifted:
    with engine().connect() as conn:  # nothing of it is committed
        names.name(conn, Named(who.person, f"looks at {file.name}", token_id=who.token_id))
        return master_import.sift(conn, file, rows, person=who.person)


def _order(who: Acting, file: Path, sifted: Sifted, reason: str) -> Order:
    """What is published, or kept until it is approved: a file of the good rows."""
    content = canonical_json(sifted.values).encode()
    return Order(who.person, reason, {"file": file.name, "sha256": sha256(content).hexdigest()}, content)


def _write(report: Path, refused: Sequence[Refusal]) -> None:
    try:
        with report.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, [each.name for each in fields(Refusal)])
            writer.writeheader()
            writer.writerows(asdict(each) for each in refused)
    except OSError as error:
        sentence = f"the report {report} cannot be written: {error.strerror}"
        raise Failure(sentence, fix="name a file in a folder that is there; nothing was imported") from None


def _tell(file: Path, sifted: Sifted, refused: Sequence[Refusal], outcome: Outcome | None, *, as_json: bool) -> None:
    told: dict[str, Any] = {"good": sifted.rows, "refused": [asdict(each) for each in refused]}
    if as_json:
        if isinstance(outcome, Awaiting):
            told |= {"request": outcome.request_id, "decided_by": outcome.decided_by}
        elif outcome is not None:
            told |= outcome.carried.facts
        console.print_json(told)
        return
    out = console.out()
    if refused:
        shown = [[each.row, each.field, each.reason, each.fix] for each in refused[:SHOWN_MAX]]
        out.print(console.table(f"Refused rows of {file}", ["row#", "field", "why", "fix"], shown))
    if len(refused) > SHOWN_MAX:
        out.print(f"and {console.count(len(refused) - SHOWN_MAX)} more: --report FILE writes them all")
    if isinstance(outcome, Awaiting):
        tell_awaiting(outcome, as_json=False)
    done = "can go in" if outcome is None or isinstance(outcome, Awaiting) else "are in"
    out.print(f"[bold]{console.count(sifted.rows)}[/] rows {done}, [bold]{console.count(len(refused))}[/] are refused")
