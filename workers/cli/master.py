"""`tallyline master load`: legal entities, contracts, prices, meters and mappings from one file."""

from pathlib import Path
from typing import Annotated

import typer

from workers.cli import console, reach
from workers.cli.console import AsJson
from workers.cli.working import work_here
from workers.store import master
from workers.store.database import engine

app = typer.Typer(help="Load legal entities, contracts, prices, meters and mappings.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Load legal entities, contracts, prices, meters and mappings."""


@app.command("load")
@console.command
def load(
    file: Annotated[Path, typer.Argument(help="Master data as YAML or JSON; infra/demo/master.yaml is an example.")],
    check: Annotated[bool, typer.Option("--check", help="Only read and check the file; needs no database.")] = False,
    as_json: AsJson = False,
) -> None:
    """Load master data in one transaction, and decide again what was parked for want of it or moves because of it.

    The same file twice changes nothing. What is published is never edited: a contract changes by a version with the
    next number, a mapping by one that starts later; usage they cover moves to them. Errors name the file, line and
    field, and nothing is loaded.
    """
    if check:
        master.read(file)
        console.out().print(f"{file} can be read")
        return
    with reach.database():
        tally, hints = master.load(engine(), file)
        if hints:
            work_here(hints)
    if as_json:
        console.print_json({"new": tally.new, "changed": tally.changed, "same": tally.same, "woken": len(hints)})
        return
    names = sorted({*tally.new, *tally.changed, *tally.same})
    rows = [[name, *(part.get(name, 0) for part in (tally.new, tally.changed, tally.same))] for name in names]
    console.out().print(console.table(f"Master data of {file}", ["table", "new#", "changed#", "there already#"], rows))
    if hints:
        console.out().print(f"usage under {len(hints)} keys was decided again")
