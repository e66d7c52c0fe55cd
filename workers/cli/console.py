"""What all commands share: tables or JSON, errors with a way out, and exit codes that scripts can rely on."""

import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ParamSpec

import typer
from pika.exceptions import AMQPError
from rich.console import Console
from rich.text import Text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from domain.codes import CODES
from domain.errors import Rejection
from queues.publishing import NotPublished
from queues.rabbit_api import RabbitApiFailed
from workers.cli.tables import FittingTable
from workers.embedded.binaries import PostgresNotFound
from workers.embedded.postgres import DataOfAnotherVersion, HomeInUse
from workers.embedded.supervised import NotStarted
from workers.files.lines import FileUnreadable
from workers.store.figures import PreviewTooLarge
from workers.store.master_file import MasterInvalid

#: All is well.
OK = 0
#: It was looked at, and something is wrong, differs, or blocks.
FOUND = 1
#: The command, a file or a name is wrong; nothing was done.
USAGE = 2
#: A server that is needed does not answer, or none is named.
AWAY = 3
#: Nothing is wrong and nothing was done yet: somebody else has to approve it first.
AWAITS = 4
#: Ctrl-C, or a polite end by a signal.
INTERRUPTED = 130

EXIT_CODES = (
    "Exit codes: 0 all is well; 1 looked, and something is wrong, differs, blocks or is not permitted; 2 the command, "
    "a file or a name is wrong and nothing was done; 3 a server does not answer or none is named; 4 it waits for "
    "somebody's approval; 130 stopped by Ctrl-C."
)
#: Characters of a reason, as the database takes them.
REASON_MAX = 2_000
#: SQLSTATE of a value that a column does not take; class 22 are those that its type does not.
CHECK_VIOLATION = "23514"
#: Years whose days are instants in every zone, and ten years after them too.
YEAR_MIN, YEAR_MAX = 1970, 9000
#: Columns of a table that is not shown on a terminal.
WIDTH = 140

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of tables for people.")]
P = ParamSpec("P")


class Failure(Exception):
    """A command ends here: what is wrong, what to do, and the exit code."""

    def __init__(self, sentence: str, *, fix: str = "", code: int = USAGE) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.fix = fix
        self.code = code


def out() -> Console:
    """Standard output, as wide as the terminal, or wide enough for tables when it is none."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def err() -> Console:
    """Standard error, for progress and errors, so that output can be piped."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH, highlight=False)


def print_json(payload: object) -> None:
    """Print as JSON; decimals and instants as texts."""
    sys.stdout.write(json.dumps(payload, default=str, indent=2, ensure_ascii=False) + "\n")


def plain(words: str) -> Text:
    """The words exactly as they are: what looks like markup is shown, what would steer a terminal is replaced."""
    return Text("".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in words))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> FittingTable:
    """A table of plain values; a column whose name ends in `#` holds numbers and is set to the right."""
    cells = [
        [each if isinstance(each, Text) else plain("" if each is None else str(each)) for each in row] for row in rows
    ]
    return FittingTable(title, columns, cells)


def count(number: int) -> str:
    """A count as people read it: 27,004."""
    return f"{number:,}"


def age(seconds: float) -> str:
    """A stretch of time in the largest unit that fits: 0.4 s, 12 s, 3 min, 5 h, 2 d."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 -- tenths matter below ten


def fail(failure: Failure, *, as_json: bool) -> typer.Exit:
    """Show a failure on standard error and return what ends the command."""
    if as_json:
        text = json.dumps(
            {"error": failure.sentence, "fix": failure.fix, "exit_code": failure.code}, ensure_ascii=False
        )
        sys.stderr.write(text + "\n")
    else:
        console = err()
        console.print("[bold red]error[/]", end=" ")
        console.print(plain(failure.sentence))
        if failure.fix:
            console.print("[bold]  fix[/]", end=" ")
            console.print(plain(failure.fix))
    return typer.Exit(failure.code)


def checked_reason(reason: str) -> str:
    """The reason without what surrounds it. Raises `Failure` for none, or one that is too long to keep."""
    if not 1 <= len(reason.strip()) <= REASON_MAX:
        raise Failure(f"a reason has 1 to {REASON_MAX} characters", fix='say why with --reason "..."')
    return reason.strip()


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Turn what may go wrong outside of us into a sentence, a way out and an exit code; anything else is a bug."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except KeyboardInterrupt:
            err().print("stopped; what was begun goes on with the next command that works")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            raise fail(failure, as_json=bool(kwargs.get("as_json"))) from None

    return run


def failure_of(error: Exception) -> Failure | None:
    """The failure that an expected error comes to; None if it is a bug of ours."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, Rejection):
        fix = CODES[error.code].fix if error.code in CODES else ""
        own_fix = str(error.facts.get("fix") or fix)
        return Failure(error.sentence, fix=own_fix, code=USAGE if error.is_unknown else FOUND)
    if isinstance(error, MasterInvalid | FileUnreadable):
        return _of_file(error)
    if isinstance(error, DBAPIError):
        return _of_database(error)
    for kinds, sentence, fix, code in _EXPECTED:
        if isinstance(error, kinds):
            return Failure(sentence.format(error=first_line(error)), fix=fix, code=code)
    return None


_EXPECTED: Sequence[tuple[type[Exception] | tuple[type[Exception], ...], str, str, int]] = (
    (UnicodeEncodeError, "what was given is no text in UTF-8", "write it anew; it may have been cut in half", USAGE),
    (RecursionError, "what was given is nested too deeply", "a few dozen levels are more than any event has", USAGE),
    ((HomeInUse, DataOfAnotherVersion), "{error}", "", AWAY),
    (PreviewTooLarge, "{error}", "`tallyline work` and `tallyline exceptions` still list rows", FOUND),
    (
        (PostgresNotFound, NotStarted),
        "{error}",
        "set TALLYLINE_DATABASE_URL to use a PostgreSQL of your own",
        AWAY,
    ),
    (
        (NotPublished, AMQPError),
        "RabbitMQ does not answer: {error}",
        "check TALLYLINE_AMQP_URL with `tallyline doctor`",
        AWAY,
    ),
    (
        RabbitApiFailed,
        "the console of RabbitMQ did not do it: {error}",
        "check TALLYLINE_RABBIT_API_URL with `tallyline doctor`",
        AWAY,
    ),
)


def _of_file(error: MasterInvalid | FileUnreadable) -> Failure:
    if isinstance(error, FileUnreadable):
        return Failure(error.sentence, fix=error.fix)
    return Failure(str(error), fix="nothing was loaded; correct the file and load it again")


def _of_database(error: DBAPIError) -> Failure | None:
    sqlstate = getattr(error.orig, "sqlstate", None) or ""
    if isinstance(error, ProgrammingError) and sqlstate in {"42P01", "42704", "3F000"}:
        fix = "run the migrations (`tallyline doctor` names both revisions)"
        return Failure("the database has no schema of Tallyline", fix=fix, code=AWAY)
    if sqlstate.startswith("22") or sqlstate == CHECK_VIOLATION:
        fix = "it is too long, too large, empty, or holds what no text may; nothing was done"
        return Failure(f"the database does not take what was given: {first_line(error.orig)}", fix=fix)
    if isinstance(error, OperationalError) or sqlstate.startswith(("08", "28", "57P", "3D")):
        fix = "check TALLYLINE_DATABASE_URL with `tallyline doctor`"
        return Failure(f"the database does not answer: {first_line(error.orig)}", fix=fix, code=AWAY)
    return None


def first_line(error: object) -> str:
    """The first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def progress(
    description: str, *, total: int | None, is_shown: bool, is_bytes: bool = False
) -> Iterator[Callable[[int], Any]]:
    """A progress bar on standard error; yields what advances it, by counts or by bytes."""
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    amount = DownloadColumn() if is_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeElapsedColumn())
    with Progress(*columns, console=err(), disable=not is_shown) as bar:
        task = bar.add_task(description, total=total)
        yield lambda amount: bar.advance(task, amount)
