"""`tallyline prices`: price books as files that finance reads, reviews and publishes."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from domain.price_books import PriceBook, book_json, differences
from domain.prices.needs import Kept
from workers.cli import console, reach
from workers.cli.acting import As, Reason, Wish, acting, have_done
from workers.cli.console import FOUND, USAGE, AsJson, Failure
from workers.store import price_book_file, price_books
from workers.store.database import snapshot
from workers.store.master_file import MasterInvalid, Problem, content_of
from workers.store.price_books import VERSIONS_MAX, Published
from workers.unit import database_now

app = typer.Typer(help="Check, compare, publish and show price books.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A price book as YAML or JSON; infra/demo/price-book.yaml is an example.")]


@app.callback()
def group() -> None:
    """Check, compare, publish and show price books."""


@app.command("check")
@console.command
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Price books; infra/demo/price-book.yaml is an example.")
    ],
    as_json: AsJson = False,
) -> None:
    """Say everything that is wrong with price books: file, line, field, and what to do; nothing is published.

    Metrics are looked up in the database, with what they keep; where there is none yet, that is said. The form of a
    file for editors is printed by `tallyline prices schema`. Example: tallyline prices check infra/demo/price-book.yaml
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


def _known_metrics() -> Mapping[str, Kept] | None:
    """What the metrics of the database keep; None if no database is named and none was made here yet."""
    if not reach.is_there():
        return None
    with reach.database(), snapshot() as conn:
        return price_books.metrics(conn)


def _problems(file: Path, metrics: Mapping[str, Kept] | None) -> tuple[Problem, ...]:
    try:
        return price_book_file.check(file, metrics=metrics).problems
    except MasterInvalid as error:
        return error.problems


def _fields(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "field": problem.field, "problem": problem.sentence, "fix": problem.fix}


@app.command("diff")
@console.command
def diff(
    file: File,
    other: Annotated[
        Path | None, typer.Argument(help="The newer book; without it FILE is the newer one, beside what is published.")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Compare with what is published, the default.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show every field in which two books differ; exits 1 if they do.

    With two files, what the second changes about the first. With one, what publishing it would change about the version
    that is in force on its `valid_from`. Example: tallyline prices diff infra/demo/price-book.yaml
    """
    if published and other is not None:
        raise Failure("--published stands for the other book, and a file is given too", fix="leave one of them out")
    if other is not None:
        old: PriceBook | None = price_book_file.read(file)[1]
        new = price_book_file.read(other)[1]
    else:
        new = price_book_file.read(file)[1]
        old = _in_force_for(new)
    found = differences(old, new)
    if as_json:
        console.print_json([asdict(each) for each in found])
    elif found:
        rows = [[each.field, each.before or "", each.after or ""] for each in found]
        console.out().print(
            console.table(f"{new.name}: {len(found)} fields differ", ["field", "before", "after"], rows)
        )
    else:
        console.out().print("the books are the same")
    if found:
        raise typer.Exit(FOUND)


def _in_force_for(book: PriceBook) -> PriceBook | None:
    """What is in force of the book of that name on the day from which this one is to be valid."""
    with reach.database(), snapshot() as conn:
        found = price_books.in_force(conn, on=book.valid_from, known_at=database_now(conn), book=book.name)
        return price_books.load(conn, found[0]) if found else None


@app.command("publish")
@console.command
def publish(file: File, reason: Reason = None, as_: As = None, as_json: AsJson = False) -> None:
    """Publish a version of a price book, in force from its `valid_from` until that of the next version.

    No contract changes: one that is to have the new prices gets a version with `plan: BOOK/PLAN` in the master data.
    What is published is never edited; the same book twice is published once. It takes a second person, unless the
    policies say otherwise. Example: tallyline prices publish infra/demo/price-book.yaml --reason "board of 3 May"
    """
    content = content_of(file)
    book = price_book_file.read(file, content)[1]
    payload = {"file": file.name, "sha256": sha256(content).hexdigest()}
    wish = Wish("prices.publish", payload, reason or f"published {file.name}", content)
    with reach.database():
        facts = have_done(acting(as_), wish, as_json=as_json).carried.facts
    if as_json:
        console.print_json(facts)
    elif facts["version"] is None:
        console.out().print(f"price book {book.name} is published as it is; nothing changed")
    else:
        console.out().print(f"price book {book.name}: version {facts['version']}, valid from {book.valid_from}")


AsOf = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], help="The day whose prices are asked for; today in UTC if it is left out."),
]
KnownAt = Annotated[
    str | None, typer.Option(help="Only what was published by then: an instant such as 2026-07-01T00:00:00Z.")
]


@app.command("list")
@console.command
def list_(
    as_of: AsOf = None,
    known_at: KnownAt = None,
    every: Annotated[bool, typer.Option("--all", help="Every version, not only those in force.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the price books that are in force on a day, as they were known at an instant.

    Example: tallyline prices list --as-of 2026-07-01 --known-at 2026-06-01T00:00:00Z
    """
    with reach.database(), snapshot() as conn:
        found = price_books.versions(conn) if every else _in_force(conn, as_of, known_at, book=None)
    if as_json:
        console.print_json([asdict(each) for each in found])
        return
    if len(found) == VERSIONS_MAX:
        console.err().print(f"there are more than these {VERSIONS_MAX}: `tallyline prices show` finds any of them")
    columns = [
        "book",
        "version#",
        "currency",
        "valid from",
        "recorded",
        "by",
        "plans#",
        "charges#",
        "contract versions#",
    ]
    rows = [
        [each.book, each.version, each.currency, each.valid_from, f"{each.recorded_at:%Y-%m-%d %H:%M:%S} UTC",
         each.recorded_by, each.plans, each.charges, each.contracts]
        for each in found
    ]  # fmt: skip
    console.out().print(console.table("Price books", columns, rows))


@app.command("show")
@console.command
def show(
    book: Annotated[str, typer.Argument(help="The name of a price book; `tallyline prices list` lists them.")],
    as_of: AsOf = None,
    known_at: KnownAt = None,
    as_json: AsJson = False,
) -> None:
    """Print the version of a price book that is in force on a day, as a file that could be published again.

    Example: tallyline prices show airport-fees --as-of 2014-07-01 > airport-fees.yaml
    """
    with reach.database(), snapshot() as conn:
        found = _in_force(conn, as_of, known_at, book=book)
        if not found:
            fix = "`tallyline prices list --all` lists every version with its day and when it was recorded"
            raise Failure(f"no version of price book {book!r} is in force then", fix=fix)
        kept = price_books.load(conn, found[0])
    if as_json:
        console.print_json(book_json(kept))
        return
    of = found[0]
    about = f"# Version {of.version}, recorded {of.recorded_at:%Y-%m-%dT%H:%M:%S.%fZ} by {of.recorded_by}.\n"
    sys.stdout.write(about + price_book_file.written(kept))


def _in_force(conn: Connection, as_of: datetime | None, known_at: str | None, *, book: str | None) -> list[Published]:
    """What is in force on the day, as known at the instant; now by the database's clock where one is left out."""
    now = database_now(conn)
    on = now.date() if as_of is None else as_of.date()
    return price_books.in_force(conn, on=on, known_at=now if known_at is None else _instant(known_at), book=book)


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Failure(f"{text!r} is no instant with an offset", fix="give one such as 2026-07-01T00:00:00Z")
    return instant


@app.command("schema")
@console.command
def schema() -> None:
    """Print the JSON Schema of a price book, by which editors complete and check one while it is written.

    In VS Code, with the YAML extension, begin a book with the line
    `# yaml-language-server: $schema=price-book.schema.json`. Example: tallyline prices schema > price-book.schema.json
    """
    console.print_json(price_book_file.schema())
