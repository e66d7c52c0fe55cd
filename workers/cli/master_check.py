"""`tallyline master load --check`: what would be refused, and what would be missing; nothing is loaded."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from workers.cli import console, reach
from workers.cli.console import AWAY
from workers.deeds.previewing import check_file
from workers.store import master, master_names
from workers.store.master_lacks import Lack


def check(file: Path, *, as_json: bool) -> None:
    """Read the file, and hold it against the database if one answers. Raises `MasterInvalid` with every problem.

    Without a database it names what the file uses and does not hold, which has to be there before.
    """
    document, data = master.read(file)
    lacks: Sequence[Lack] | None = None
    try:
        if reach.is_there():
            with reach.database():
                lacks = check_file(document, data)
    except Exception as error:
        failure = console.failure_of(error)
        if failure is None or failure.code != AWAY:
            raise
    outside = master_names.outside(document, data) if lacks is None else []
    if as_json:
        told = {"outside": [asdict(each) for each in outside], "lacks": [asdict(each) for each in lacks or ()]}
        console.print_json({"file": str(file), "is_held_against_database": lacks is not None, **told})
        return
    out = console.out()
    if lacks is None:
        out.print(f"{file} can be read; there is no database to hold it against")
    else:
        out.print(f"{file} can be loaded")
        tell_lacks(lacks)
    if outside:
        rows = [[each.line, each.what, each.name] for each in outside]
        out.print(
            console.table("What has to be there before, since the file names it", ["line#", "what", "name"], rows)
        )


def tell_lacks(lacks: Sequence[Lack]) -> None:
    """Name the prices that are missing, if any are."""
    if not lacks:
        return
    rows = [[each.contract, each.version, each.phase, each.metric, each.why] for each in lacks]
    heads = ["contract", "version#", "phase", "has no price for", "although"]
    console.out().print(console.table("Prices that are missing: usage of these cannot be billed", heads, rows))
    console.out().print("add each to its version, at 0 if it is free; a price that a version lacks may be added to it")
