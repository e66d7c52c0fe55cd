"""`tallyline prices`: price books as files that finance reads, reviews and publishes."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from workers.cli import console, reach
from workers.cli.console import USAGE, AsJson
from workers.store import price_book_file
from workers.store.database import snapshot
from workers.store.master_file import MasterInvalid, Problem
from workers.store.price_books import metric_names

app = typer.Typer(help="Check, compare, publish and show price books.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A price book as YAML or JSON; infra/demo/price-book.yaml is an example.")]


@app.callback()
def group() -> None:
    """Check, compare, publish and show price books."""


@app.command("check")
@console.command
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Price books; infra/demo/price-book.yaml is an example.")
    ],
    as_json: AsJson = False,
) -> None:
    """Say everything that is wrong with price books: file, line, field, and what to do; nothing is published.

    Names of metrics are looked up in the database; where there is none yet, that is said. `tallyline prices schema`
    prints the form of a file for editors. Example: tallyline prices check infra/demo/price-book.yaml
    """
    metrics = _known_metrics()
    problems = {file: _problems(file, metrics) for file in files}
    if as_json:
        found = [{"file": file, "problems": [_fields(each) for each in listed]} for file, listed in problems.items()]
        console.print_json({"files": found, "metrics_looked_up": metrics is not None})
    else:
        for file, listed in problems.items():
            told = [each.to_text(file) for each in listed] or [f"{file} is in order"]
            console.out().print(console.plain("\n".join(told)), soft_wrap=True)
        if metrics is None:
            console.err().print("there is no database yet, so names of metrics were not looked up")
    if any(problems.values()):
        raise typer.Exit(USAGE)


def _known_metrics() -> Collection[str] | None:
    """The metrics of the database; None if no database is named and none was made here yet."""
    if not reach.is_there():
        return None
    with reach.database(), snapshot() as conn:
        return metric_names(conn)


def _problems(file: Path, metrics: Collection[str] | None) -> tuple[Problem, ...]:
    try:
        return price_book_file.check(file, metrics=metrics).problems
    except MasterInvalid as error:
        return error.problems


def _fields(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "field": problem.field, "problem": problem.sentence, "fix": problem.fix}


@app.command("schema")
@console.command
def schema() -> None:
    """Print the JSON Schema of a price book, by which editors complete and check one while it is written.

    In VS Code, with the YAML extension, begin a book with the line
    `# yaml-language-server: $schema=price-book.schema.json`. Example: tallyline prices schema > price-book.schema.json
    """
    console.print_json(price_book_file.schema())
