"""`tallyline meters`: what upstream systems may report, and what would be refused of it before anybody sends it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from domain.schemas import json_schema, since
from workers.cli import console, reach
from workers.cli.console import FOUND, AsJson, Failure
from workers.cli.meters_print import show_findings, told
from workers.cli.usage import FormatOption, Mapping, Since
from workers.cli.usage_file import UsageFile, usage_file
from workers.files.batches import batches
from workers.files.lines import size_of
from workers.knowledge import Knowledge, OfDatabase, of_file
from workers.store import meters as store
from workers.store.database import snapshot
from workers.store.meters import MeterRow, VersionRow
from workers.trial import Findings, Trial

#: Events that are judged together.
EVENTS_PER_BATCH = 5_000
#: Names that are told of those that are there.
NAMED_MAX = 10

app = typer.Typer(help="Look at meters, and try events against them before they are sent.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="What the events carry as `type`.")]


@app.command("check")
@console.command
def check(
    file: Annotated[Path, typer.Argument(help="CloudEvents as JSON, JSON Lines or a batch, or rows as for an import.")],
    meters: Annotated[
        Path | None, typer.Option("--meters", help="Master data as YAML; without it the database is asked.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="The source of rows that do not say it.")] = None,
    format_: FormatOption = None,
    mapping: Mapping = None,
    since_file: Since = None,
    user: Annotated[str | None, typer.Option(help="Who will send: may that user claim the sources?")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what would be refused of a file, and why; nothing is sent, and nothing is kept.

    The events are judged by the line's own rules, as if they were received now: envelope, source, meter and schema,
    fields, age, duplicates and conflicts, then exclusion rules and what each metric needs. With --meters no server is
    needed; only a database knows whose subjects are known and which ids were accepted before. The exit code is 1 if
    anything would be refused or would wait. Example: tallyline meters check infra/demo/usage/departures.jsonl
    --source /ops/jfk --meters infra/demo/master.yaml
    """
    chosen = usage_file(file, format_=format_, mapping=mapping, source=source, since=since_file or ())
    with _knowledge(meters) as (knowledge, now):
        found = _tried(chosen, Trial(knowledge, now, user), is_shown=not as_json)
    facts = {"file": str(file), "against": str(meters or "database"), **told(found)}
    if as_json:
        console.print_json(facts)
    else:
        show_findings(found, title=file.name, judges_usage=knowledge.judges_usage, is_file=meters is not None)
    if not found.is_well:
        raise typer.Exit(FOUND)


@contextmanager
def _knowledge(file: Path | None) -> Iterator[tuple[Knowledge, datetime]]:
    if file is not None:
        yield of_file(file), datetime.now(UTC)
        return
    with reach.database(), snapshot() as conn:
        yield OfDatabase(conn), store.now(conn)


def _tried(chosen: UsageFile, trial: Trial, *, is_shown: bool) -> Findings:
    with console.progress("trying", total=size_of(chosen.file), is_shown=is_shown, is_bytes=True) as advance:
        return trial.run(batches(chosen.items(advance), size=EVENTS_PER_BATCH, tell=trial.refuse))


@app.command("list")
@console.command
def list_(as_json: AsJson = False) -> None:
    """List the meters with their owners, newest versions and the metrics that read them.

    Example: tallyline meters list --json
    """
    with reach.database(), snapshot() as conn:
        rows = store.meters(conn)
    if as_json:
        console.print_json([asdict(row) for row in rows])
        return
    shown = [[row.name, row.owner, row.newest, ", ".join(row.metrics)] for row in rows]
    console.out().print(console.table("Meters", ["meter", "owner", "newest version#", "metrics"], shown))


@app.command("show")
@console.command
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a meter's versions: from when, for which dataschema, how old events may be, who answers, which fields.

    Example: tallyline meters show airport.departure
    """
    with reach.database(), snapshot() as conn:
        meter, versions = _meter(conn, name)
    if as_json:
        rows = [{**asdict(row.version), "owner": row.owner} for row in versions]
        console.print_json({**asdict(meter), "versions": rows})
        return
    out = console.out()
    out.print(
        console.plain(f"{meter.name}: {meter.owner} answers for it; read by {', '.join(meter.metrics) or 'none'}")
    )
    for row in versions:
        version = row.version
        fields = [
            [field.name, field.kind, "yes" if field.is_required else "no", "yes" if field.is_nullable else "no"]
            for field in version.fields
        ]
        title = (
            f"Version {version.version}, {since(version)}, dataschema {version.dataschema or 'none'}, "
            f"up to {version.max_age_days} days old; {row.owner} answers for it"
        )
        out.print(console.table(title, ["field", "kind", "required", "may be null"], fields))


@app.command("schema")
@console.command
def schema(
    name: Name,
    version: Annotated[int | None, typer.Option(help="A version's number; the newest one if left out.")] = None,
) -> None:
    """Print the JSON Schema of the data of a meter's events, for producers to check against in their own tests.

    Example: tallyline meters schema airport.departure > departure.schema.json
    """
    with reach.database(), snapshot() as conn:
        _, versions = _meter(conn, name)
    chosen = next((row for row in versions if version is None or row.version.version == version), None)
    if chosen is None:
        known = ", ".join(str(row.version.version) for row in versions[:NAMED_MAX]) or "none"
        raise Failure(f"meter {name} has no version {version or ''}".rstrip(), fix=f"its versions: {known}")
    console.print_json(json_schema(name, chosen.version))


def _meter(conn: Connection, name: str) -> tuple[MeterRow, list[VersionRow]]:
    """A meter with its versions, the newest first. Raises `Failure` that names those that are there."""
    found = store.meters(conn, [name])
    if not found:
        known = [row.name for row in store.meters(conn)][: NAMED_MAX + 1]
        names = ", ".join(known[:NAMED_MAX]) + (" .." if len(known) > NAMED_MAX else "")
        raise Failure(f"there is no meter {name!r}", fix=f"name one of {names}" if names else "load a meter first")
    return found[0], list(store.versions(conn, name))
