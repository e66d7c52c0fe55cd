"""`tallyline audit`: who changed what and why, whether the log is whole, and an export for auditors."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from domain.audit import Entry, Head, Problem, verify
from workers.cli import console, reach
from workers.cli.audit_file import Export, write
from workers.cli.audit_story import story
from workers.cli.console import FOUND, AsJson, Failure, count
from workers.store import audit as store
from workers.store.audit import Filter, Recorded
from workers.store.database import snapshot

#: Problems that are shown; a chain that was cut in its middle may have very many.
PROBLEMS_MAX: Final = 100
#: A number and a hash, as they are shown and told.
_HEAD: Final = re.compile(r"[1-9][0-9]{0,17}:[0-9a-f]{64}", re.ASCII)

app = typer.Typer(help="Show who changed what and why, and prove that the log of it is whole.", no_args_is_help=True)


@app.command("list")
@console.command
def list_(
    person: Annotated[str | None, typer.Option(help="Only what this person did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, or all of a table, such as contracts.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only changes of this, as the list names it.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only from then on, in UTC.")
    ] = None,
    below: Annotated[int | None, typer.Option(help="Only entries before this number: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=store.ROWS_MAX, help="Entries to show, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List changes, the newest first: who did what to what, when and why, and under which request it was approved.

    A change tells what was before and what is after. With --json each entry also has the action that --action takes and
    all members of the row.

    Example: tallyline audit list --action contracts --since 2026-01-01
    """
    wanted = Filter(person, action, subject, None if since is None else since.replace(tzinfo=UTC))
    with reach.database(), snapshot() as conn:
        found = store.page(conn, wanted, rows=limit, below=below)
    if as_json:
        console.print_json([{**asdict(each), "story": story(each)} for each in found])
        return
    if not found:
        console.out().print("Nothing was recorded that fits.")
        return
    columns = ["no#", "at (UTC)", "who did what", "why", "request#"]
    console.out().print(console.table("Audit log", columns, [_shown(each) for each in found]))
    if len(found) == limit and found[-1].no > 1:
        console.out().print(f"more: --below {found[-1].no}")


def _shown(each: Recorded) -> list[object]:
    return [each.no, f"{each.recorded_at:%Y-%m-%d %H:%M}", story(each), each.reason, each.approval_id]


@app.command("verify")
@console.command
def verify_(
    head: Annotated[
        list[str] | None, typer.Option(metavar="NO:HASH", help="What the log was told to be, e.g. by a notice.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Verify this export instead of the database.")] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash from the first entry on, and name each entry that was changed, removed or moved.

    Who owns the database could rewrite the whole chain, but not what others were told of it: the notice
    `tallyline.audit.head` tells number and hash every day. Give one back with --head. It ends with 1 if anything is
    wrong. Example: tallyline audit verify --file audit.jsonl --head 4711:9f86d081884c7d65...
    """
    known = [_head(text) for text in head or ()]
    is_shown = not as_json
    last, problems = _of_file(file, known, is_shown) if file else _of_database(known, is_shown)
    if as_json:
        facts = {"entries": last.no if last else 0, "hash": last.hash.hex() if last else None}
        console.print_json({**facts, "problems": [asdict(each) for each in problems]})
    else:
        _tell(last, problems)
    if problems:
        raise typer.Exit(FOUND)


def _head(text: str) -> Head:
    if not _HEAD.fullmatch(text):
        fix = "write the number, a colon and the 64 digits of the hash, as the notice tallyline.audit.head has them"
        raise Failure(f"{text!r} is no head", fix=fix)
    no, _, digits = text.partition(":")
    return Head(int(no), bytes.fromhex(digits))


def _of_database(known: list[Head], is_shown: bool) -> tuple[Head | None, list[Problem]]:
    with reach.database(), snapshot() as conn:
        last = store.head(conn)
        with _counted(store.entries(conn), last.no if last else None, is_shown=is_shown) as counted:
            found = list(islice(verify(counted, head=lambda: last, known=known), PROBLEMS_MAX))
        unguarded = store.unguarded(conn)
    sentence = "a trigger of {} is gone or off: its changes are not recorded"
    return last, found + [Problem(last.no if last else 0, "unguarded", sentence.format(table)) for table in unguarded]


def _of_file(file: Path, known: list[Head], is_shown: bool) -> tuple[Head | None, list[Problem]]:
    export = Export(file)
    with _counted(export.entries(), None, is_shown=is_shown) as counted:
        problems = list(islice(verify(counted, head=lambda: export.head, known=known), PROBLEMS_MAX))
    return export.head, problems


@contextmanager
def _counted(entries: Iterable[Entry], total: int | None, *, is_shown: bool) -> Iterator[Iterator[Entry]]:
    """The entries, with a bar that shows how many have passed."""
    with console.progress("verifying", total=total, is_shown=is_shown) as advance:
        yield _advancing(entries, advance)


def _advancing(entries: Iterable[Entry], advance: Callable[[int], object]) -> Iterator[Entry]:
    for entry in entries:
        yield entry
        advance(1)


def _tell(last: Head | None, problems: list[Problem]) -> None:
    out = console.out()
    if problems:
        rows = [[each.no, each.kind, each.sentence] for each in problems]
        out.print(console.table("The audit log is not what it was", ["entry#", "what", "how it shows"], rows))
        if len(problems) >= PROBLEMS_MAX:
            out.print(f"only the first {PROBLEMS_MAX} are shown")
        return
    if last is None:
        out.print("The audit log is empty.")
        return
    out.print(f"[green]All {count(last.no)} entries are as they were recorded[/], none is missing.")
    out.print(f"head {last.no}:{last.hash.hex()}", soft_wrap=True)


@app.command("export")
@console.command
def export_(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet; JSON Lines are written to it.")],
    as_json: AsJson = False,
) -> None:
    """Write the whole log as JSON Lines, for auditors, with exactly the texts that were hashed.

    `tallyline audit verify --file FILE` checks it without a database, on any machine. Example: tallyline audit export
    audit-2026.jsonl
    """
    with reach.database(), snapshot() as conn:
        last = store.head(conn)
        if last is None:
            raise Failure("the audit log is empty: there is nothing to export", code=FOUND)
        with console.progress("exporting", total=last.no, is_shown=not as_json) as advance:
            written = write(file, store.entries(conn), last, advance=advance)
    if as_json:
        console.print_json({"file": str(file), "entries": written, "head": {"no": last.no, "hash": last.hash.hex()}})
        return
    console.out().print(f"{count(written)} entries are in {file}; head {last.no}:{last.hash.hex()}", soft_wrap=True)
