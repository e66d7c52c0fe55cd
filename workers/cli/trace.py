"""`tallyline trace`: from an event to its documents, and from a line of a document back to its events."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from workers.cli import console, reach
from workers.cli.console import FOUND, AsJson, Failure
from workers.cli.trace_print import print_beside, print_event, print_line
from workers.store import amendments
from workers.store import trace as store
from workers.store.database import snapshot

Story = dict[str, Any]


@console.command
def trace(
    event: Annotated[
        list[str] | None,
        typer.Argument(help="A number, or a source and an id.", metavar="EVENT | SOURCE ID"),
    ] = None,
    line: Annotated[int | None, typer.Option(help="Walk back from this invoice line.")] = None,
    invoice: Annotated[str | None, typer.Option(help="Walk back from each line of this document.")] = None,
    events: Annotated[int, typer.Option(min=0, max=10_000, help="Events of a line to name.")] = store.EVENTS_SHOWN,
    as_json: AsJson = False,
) -> None:
    """Tell what became of an event, or which events are behind a line.

    Forward: receipt, event, its usage under each metric, window, rated usage with every step of the price, invoice
    line, document, ERP posting. Back: --line or --invoice recounts the usage behind each line and exits 1 if that is
    not what was billed; after the lines of a document comes what it gives or asks beside them.
    Example: tallyline trace /ops/ewr 2013-01-01/UA/1545/EWR/0515
    """
    asked = [event or None, line, invoice]
    if sum(each is not None for each in asked) != 1:
        raise Failure("name one event, one --line or one --invoice", fix="tallyline trace /ops/ewr SOME-ID")
    with reach.database(), snapshot() as conn:
        if event:
            story = forward(conn, event)
            console.print_json(story) if as_json else print_event(story)
            return
        stories = back(conn, line, invoice, events=events)
    if as_json:
        console.print_json(stories)
    else:
        for each in stories:
            print_line(each) if "line" in each else print_beside(each["beside"])
    if not all(each["behind"]["is_proven"] for each in stories if "behind" in each):
        raise typer.Exit(FOUND)


def forward(conn: Connection, event: list[str]) -> Story:
    """All that is known of an event, by its number or by source and id. Raises `Failure` if there is none."""
    event_no = _number(conn, event)
    if event_no is None:
        return _refused(conn, event)
    found = store.event(conn, event_no)
    if found is None:
        raise Failure(f"there is no event {event_no}", fix="name it by source and id")
    return {
        "event": found,
        "receipt": store.receipt(conn, event_no),
        "usages": store.usages(conn, event_no),
        "exclusions": store.exclusions(conn, event_no),
        "exceptions": store.exceptions(conn, event_no),
        "amendments": amendments.of_event(conn, event_no),
    }


def _number(conn: Connection, event: list[str]) -> int | None:
    match event:
        case [number] if number.isascii() and number.isdecimal() and int(number) < 2**63:
            return int(number)
        case [source, event_id]:
            return store.number_of(conn, source, event_id)
        case _:
            fix = "put the source before the id, such as: tallyline trace /ops/ewr SOME-ID"
            raise Failure("an event is one number, or a source and an id", fix=fix)


def _refused(conn: Connection, event: list[str]) -> Story:
    refusals = store.refusals(conn, event[0], event[1])
    if not refusals:
        sentence = f"no event {event[1]} of source {event[0]} has been read"
        raise Failure(sentence, fix="check both; `tallyline status --identity` shows receipts that wait")
    return {"event": None, "source": event[0], "event_id": event[1], "refusals": refusals}


def back(conn: Connection, line: int | None, invoice: str | None, *, events: int) -> list[Story]:
    """Each line with what is behind it, then what a document has beside its lines.

    Raises `Failure` if there is no such line or document.
    """
    beside: list[Mapping[str, Any]] = []
    if line is not None:
        found = store.line(conn, line)
        if found is None:
            raise Failure(f"there is no invoice line {line}", fix="`tallyline trace --invoice NUMBER` names its lines")
        lines: list[Mapping[str, Any]] = [found]
    else:
        lines = list(store.lines_of_invoice(conn, invoice or ""))
        beside = list(store.beside_lines_of_invoice(conn, invoice or ""))
        if not lines and not beside:
            raise Failure(
                f"there is no document {invoice!r} with a line",
                fix="`tallyline trace SOURCE ID` names the documents of an event",
            )
    stories = [{"line": each, "behind": store.behind(conn, each, events=events)} for each in lines]
    return stories + [{"beside": each} for each in beside]
