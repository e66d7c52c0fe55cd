"""`tallyline usage import`: rows of CSV, JSON Lines and register readings as events, through the same intake."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from workers.cli import console, reach
from workers.cli.acting import As, Wish, have_done, permitted
from workers.cli.console import FOUND, AsJson, count
from workers.cli.producing import EVENTS_PER_BODY, LOCAL_USER, by_rabbitmq, by_receipts, found_in, receipts_so_far
from workers.cli.usage_file import Format, UsageFile, usage_file
from workers.cli.usage_report import Report, finish, report_to, show
from workers.cli.working import work_here
from workers.files.batches import Batch, batches
from workers.files.lines import size_of

app = typer.Typer(help="Bring in usage files, and take usage back that is wrong.", no_args_is_help=True)

Mapping = Annotated[
    Path | None, typer.Option(help="Which columns become what, as YAML; infra/demo/usage/ has examples.")
]
FormatOption = Annotated[
    Format | None, typer.Option("--format", help="What the rows are; by the file's name and the mapping if left out.")
]
Since = Annotated[
    list[Path] | None,
    typer.Option(help="A file of readings that was imported before: what is used counts on from its last readings."),
]


@dataclass(frozen=True, slots=True)
class Way:
    """How the events are sent: not at all, or in which batches and as whom."""

    is_check: bool
    batch: int
    user: str
    is_shown: bool


@app.callback()
def group() -> None:
    """Bring in usage files: CSV, JSON Lines, and readings of registers; take usage back that is wrong."""


@app.command("import")
@console.command
def import_(
    file: Annotated[Path, typer.Argument(help="CSV or JSON Lines, also gzipped (.csv, .jsonl, .gz).")],
    source: Annotated[str | None, typer.Option(help="The source that the rows are of, such as /ops/jfk.")] = None,
    format_: FormatOption = None,
    mapping: Mapping = None,
    since_file: Since = None,
    check: Annotated[bool, typer.Option("--check", help="Only read the file and report; nothing is sent.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write every refused row here, as JSON Lines.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Events in one message.")] = EVENTS_PER_BODY,
    user: Annotated[str, typer.Option(help="Who sends, where no broker says so (embedded run).")] = LOCAL_USER,
    as_json: AsJson = False,
) -> None:
    """Send each row of a file as a usage event, and report the rows that are none.

    Without a mapping the columns id, type, subject, time and dataschema are the event's attributes and all others its
    data. A row without an id gets one of its content and of how many equal rows stand before it: the same file twice,
    or again after it was stopped, sends duplicates only, which bill nothing. A row that was changed is another event:
    give rows that may be corrected an id.

    Readings of registers become what was used between two of them, at the time of the later one. A refused row stops
    no other; the exit code is 1 if there is one. Example: tallyline usage import infra/demo/usage/power.csv
    --source /power/jfk --mapping infra/demo/usage/power.yaml --check
    """
    chosen = usage_file(file, format_=format_, mapping=mapping, source=source, since=since_file or ())
    way = Way(check, batch, user, is_shown=not as_json)
    with report_to(report) as told:
        sent = _send(chosen, told, way)
        facts = {"file": str(file), "format": chosen.format.value, **sent.facts()}
        everything = finish(told, facts, chosen.found)
    if as_json:
        console.print_json(everything)
    else:
        show(told, chosen.found, title=file.name)
        _conclude(told, sent)
    if told.refused or sent.refused:
        raise typer.Exit(FOUND)


@app.command("withdraw")
@console.command
def withdraw(
    source: Annotated[str, typer.Argument(help="The event's source, such as /ops/jfk.")],
    event: Annotated[str, typer.Argument(help="The event's id.")],
    metric: Annotated[str, typer.Option(help="The metric that it is not to count under for now.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the exception and in the audit log.")],
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Take back usage that counts but is wrong: it waits as an exception until somebody corrects or dismisses it.

    What was billed of it is given back by the next run of its period, which waits for that decision. The event stays as
    it was sent. Example: tallyline usage withdraw /meters r17 --metric used --reason "the display was misread"
    """
    payload = {"source": source, "event": event, "metric": metric}
    with reach.database():
        done = have_done(permitted("exceptions.dismiss", as_), Wish("usage.withdraw", payload, reason), as_json=as_json)
        if not reach.is_fleet():
            work_here([])
    exception = done.carried.facts["exception"]
    if as_json:
        console.print_json({**payload, "exception": exception})
        return
    console.out().print(
        f"{event} of {source} counts under {metric} no more; it waits as exception {exception}: "
        f"[bold]tallyline replay edit {exception}[/] or [bold]tallyline replay dismiss {exception}[/]",
        soft_wrap=True,
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the events: in how many messages they went, and what the line found, if it worked here."""

    messages: int
    events: int
    taken: dict[str, int] | None = None
    confirmed_by: str | None = None

    @property
    def refused(self) -> int:
        """How many the line refused, as far as that is known."""
        return 0 if self.taken is None else self.taken["refused"] + self.taken["unreadable"]

    def facts(self) -> dict[str, object]:
        """The same for JSON."""
        facts = {"messages": self.messages, "sent": self.events, "taken": self.taken, "confirmed_by": self.confirmed_by}
        return {name: value for name, value in facts.items() if value is not None}


def _send(chosen: UsageFile, told: Report, way: Way) -> Sent:
    """Read the file to its end and send what it holds."""
    if way.is_check:
        for _ in _batches(chosen, told, way):
            pass
        return Sent(0, 0)
    if reach.is_fleet():
        messages = by_rabbitmq(_batches(chosen, told, way), lambda _events: None)
        return Sent(messages, told.events, confirmed_by="RabbitMQ")
    with reach.database():
        before = receipts_so_far()
        messages = by_receipts(_batches(chosen, told, way), lambda _events: None, user=way.user)
        work_here([])
        return Sent(messages, told.events, taken=found_in(before))


def _batches(chosen: UsageFile, told: Report, way: Way) -> Iterator[Batch]:
    with console.progress("reading", total=size_of(chosen.file), is_shown=way.is_shown, is_bytes=True) as advance:
        for each in batches(chosen.items(advance), size=way.batch, tell=told.refuse):
            told.events += each.events
            yield each


def _conclude(told: Report, sent: Sent) -> None:
    out = console.out()
    parts = [f"[bold]{count(told.events)}[/] events", f"[bold]{count(told.refused)}[/] rows refused"]
    if sent.taken is not None:
        parts += [f"[bold]{count(n)}[/] {name}" for name, n in sent.taken.items()]
    elif sent.confirmed_by is None:
        parts.append("nothing was sent; [bold]tallyline meters check[/] also tries them against their meters")
    out.print(", ".join(parts))
    if sent.confirmed_by is not None:
        out.print("RabbitMQ has them safe; what the meters refuse is told on the producer's queue of refusals")
    if sent.refused:
        out.print("see why with [bold]tallyline exceptions[/]")
