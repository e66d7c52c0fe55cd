"""`tallyline replay`: sends again what was refused, after it has told what that would come to."""

import getpass
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from workers.cli import console, reach
from workers.cli.console import AsJson, Failure, count
from workers.cli.working import work_here
from workers.store import backlog
from workers.store import replay as store
from workers.store.database import engine
from workers.store.replay import EXCEPTIONS_MAX, Forecast

#: Forecasts that are listed one by one.
SHOWN_MAX = 20


@console.command
def replay(
    exceptions: Annotated[
        list[int] | None, typer.Argument(help="Numbers of exceptions.", metavar="EXCEPTION..")
    ] = None,
    code: Annotated[
        str | None, typer.Option(help="All open exceptions of this cause, at most 1,000 at a time.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept with each exception.")] = "replayed by hand",
    as_json: AsJson = False,
) -> None:
    """Tell what sending it again would come to, then ask, then do it.

    A dead work row becomes ready again in the lane `replay`. A refused event is received anew and checked against the
    master data of now. Parked usage is decided again. A replay never bills anything twice.
    """
    if bool(exceptions) == bool(code):
        raise Failure(
            "name exceptions by number, or a cause with --code", fix="`tallyline exceptions` lists the causes"
        )
    with reach.database():
        ids = _ids(exceptions, code)
        with engine().connect() as conn:
            forecasts = store.forecast(conn, ids)
            conn.rollback()
        if not as_json:
            _print(forecasts)
        is_done = not dry_run and (yes or _is_confirmed(as_json=as_json))
        sent = _send(ids, reason) if is_done else {}
    if as_json:
        told = [
            {"exception": f.exception.id, "kind": f.kind, "would_be": f.outcome, "says": f.sentence} for f in forecasts
        ]
        console.print_json({"forecast": told, "sent": sent})
    elif is_done:
        console.out().print(f"sent again: {', '.join(f'{count(n)} {kind}' for kind, n in sent.items()) or 'nothing'}")
    else:
        console.out().print("nothing was sent; add [bold]--yes[/] to do it")


def _ids(exceptions: list[int] | None, code: str | None) -> list[int]:
    with engine().connect() as conn:
        if code is not None:
            ids = list(backlog.open_ids(conn, code, rows=EXCEPTIONS_MAX))
            if not ids:
                raise Failure(
                    f"no exception is open with the code {code!r}", fix="`tallyline exceptions` lists the causes"
                )
            return ids
        found = {row.id for row in backlog.exceptions_by_id(conn, exceptions or [])}
    missing = sorted(set(exceptions or []) - found)
    if missing:
        raise Failure(f"there is no exception {missing[0]}", fix="list them with `tallyline exceptions list`")
    return sorted(found)


def _print(forecasts: Sequence[Forecast]) -> None:
    outcomes = Counter((f.exception.code, f.outcome) for f in forecasts)
    shown: list[list[object]]
    if len(forecasts) > SHOWN_MAX:
        shown = [[code, outcome, count(n)] for (code, outcome), n in sorted(outcomes.items())]
        console.out().print(console.table("A replay would come to", ["code", "would be", "exceptions#"], shown))
        return
    shown = [[f.exception.id, f.exception.code, f.kind, f.outcome, f.sentence] for f in forecasts]
    columns = ["exception#", "code", "what", "would be", "because"]
    console.out().print(console.table("A replay would come to", columns, shown))


def _is_confirmed(*, as_json: bool) -> bool:
    return not as_json and is_terminal() and typer.confirm("Send them again?")


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()


def _send(ids: list[int], reason: str) -> dict[str, int]:
    with engine().begin() as conn:
        replayed = store.replay(conn, ids, person=getpass.getuser(), reason=reason)
    work_here(replayed.hints)
    return dict(replayed.counts)
