"""`tallyline send`: usage events of a file onto RabbitMQ, or straight into receipts when no server is there."""

from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from workers.cli import console, reach
from workers.cli.bodies import bodies, counted, texts
from workers.cli.console import FOUND, AsJson, count
from workers.cli.producing import EVENTS_PER_BODY, LOCAL_USER, by_rabbitmq, by_receipts, found_in, receipts_so_far
from workers.cli.working import work_here


@console.command
def send(
    file: Annotated[
        Path, typer.Argument(help="JSON Lines, a CloudEvents batch (.json), or a table of flights (.csv.gz).")
    ],
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Events in one message.")] = EVENTS_PER_BODY,
    user: Annotated[str, typer.Option(help="Who sends, where no broker says so (embedded run).")] = LOCAL_USER,
    as_json: AsJson = False,
) -> None:
    """Send usage events as an upstream system would, and wait until each is safe.

    In a fleet (TALLYLINE_MODE=fleet) each message goes to the exchange `usage` and RabbitMQ confirms it; what is
    refused later is told on the producer's queue of refusals. Without one the events are stored as receipts and worked
    on here, and the command ends with exit code 1 if one of them was refused. Sending a file twice bills nothing twice:
    the second time every event is counted as a duplicate. Other tables than flights come in by `tallyline usage
    import`. Example: tallyline send infra/demo/flights-2013-01.csv.gz
    """
    total = counted(file)
    if reach.is_fleet():
        started = monotonic()
        with console.progress("sending", total=total, is_shown=not as_json) as advance:
            sent = by_rabbitmq(bodies(texts(file), size=batch), advance)
        if not as_json:
            console.err().print(f"{total / max(monotonic() - started, 0.001):,.0f} events/s")
        _report({"events": total, "messages": sent, "confirmed_by": "RabbitMQ"}, as_json=as_json)
        return
    with reach.database():
        before = receipts_so_far()
        with console.progress("storing", total=total, is_shown=not as_json) as advance:
            by_receipts(bodies(texts(file), size=batch), advance, user=user)
        work_here([])
        found = found_in(before)
    _report({"events": total, **found}, as_json=as_json)
    if found["refused"] or found["unreadable"]:
        raise typer.Exit(FOUND)


def _report(facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        console.print_json(facts)
    else:
        counts = [f"[bold]{count(n)}[/] {name}" for name, n in facts.items() if isinstance(n, int)]
        console.out().print(", ".join(counts))
        if "confirmed_by" in facts:
            console.out().print(f"{facts['confirmed_by']} has them safe; [bold]tallyline status[/] follows them on")
        if facts.get("refused"):
            console.out().print("see why with [bold]tallyline exceptions[/]")
