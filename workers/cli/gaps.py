"""`tallyline sources gaps`: of sources that number their events, which numbers never came, and what that may cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import typer
from sqlalchemy import Connection

from domain.completeness import Gap, received
from workers.cli import console, reach
from workers.cli.console import AsJson, Failure, count
from workers.cli.status import money_text
from workers.store import losses, sequences
from workers.store.database import snapshot
from workers.store.sequences import Series

#: Stretches that are listed of one source.
STRETCHES_MAX = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """How complete a source is: numbers received and the highest, and what is missing, since when, at which loss."""

    source: str
    start: int
    received: int
    highest: int
    missing: int
    missing_since: datetime | None
    estimated_loss: dict[str, Decimal]
    stretches: Sequence[dict[str, int]]


@console.command
def gaps(
    source: Annotated[str | None, typer.Argument(help="Only this source, such as /ops/jfk.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show per source which of its numbers have come and which are missing, and what that may cost.

    Only sources whose events carry `sequence` are known to be complete or not. A gap is an exception
    `sequence_gap`: it blocks the billing of the period it falls in, and resolves itself when the events arrive, in any
    order. Its loss is an estimate: the missing events, each worth what an event of the source comes to on average.
    Example: tallyline sources gaps /ops/jfk --json
    """
    with reach.database(), snapshot() as conn:
        found = [_standing(conn, each) for each in sequences.series(conn) if source in {None, each.source}]
    if source is not None and not found:
        fix = "`tallyline sources list` lists the sources; a numbered event carries `sequence`"
        raise Failure(f"no numbered event of {source!r} has come", fix=fix)
    if as_json:
        console.print_json([asdict(each) for each in found])
    elif found:
        _print(found)
    else:
        console.out().print("No source numbers its events: what never came is not known.")


def _standing(conn: Connection, each: Series) -> Standing:
    came, highest = 0, 0
    for run in sequences.runs(conn, each.source_id):
        came, highest = came + received([run], start=each.start), max(highest, run.last)
    missing = sequences.gaps_of(conn, each)
    return Standing(
        source=each.source,
        start=each.start,
        received=came,
        highest=highest,
        missing=sum(gap.missing for gap in missing),
        missing_since=min((gap.since for gap in missing), default=None),
        estimated_loss=dict(losses.losses(conn, each.source_id).money),
        stretches=[_stretch(gap) for gap in reversed(missing[:STRETCHES_MAX])],
    )


def _stretch(gap: Gap) -> dict[str, int]:
    return {"from": gap.first, "to": gap.last, "missing": gap.missing}


def _print(found: Sequence[Standing]) -> None:
    out = console.out()
    rows = [
        [
            each.source, count(each.received), each.highest, count(each.missing),
            f"{each.missing_since:%Y-%m-%d %H:%M:%S}" if each.missing_since else "", _loss(each),
        ]
        for each in found
    ]  # fmt: skip
    columns = ["source", "received#", "highest#", "missing#", "since (UTC)", "estimated loss#"]
    out.print(console.table("Numbered events", columns, rows))
    rows = [[each.source, *_told(stretch)] for each in found for stretch in each.stretches]
    if rows:
        out.print(console.table("Missing", ["source", "numbers", "missing#"], rows))


def _told(stretch: dict[str, int]) -> tuple[str, str]:
    first, last, missing = stretch["from"], stretch["to"], stretch["missing"]
    words = str(first) if first == last else f"{first} to {last}"
    return (words if missing == last - first + 1 else f"among {words}"), count(missing)


def _loss(each: Standing) -> str:
    if not each.missing:
        return "none"
    return money_text(each.estimated_loss) if each.estimated_loss else "unknown"
