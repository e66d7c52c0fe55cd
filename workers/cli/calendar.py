"""`tallyline calendar`: every billing period that is not closed, until when it is due, and who brings it further."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from domain.deadlines import Actor, Pace, forecast, pace, who_acts
from workers.cli import console, reach
from workers.cli.console import FOUND, AsJson, Failure, count
from workers.store import billing_looks, close_calendar
from workers.store.close_calendar import Entry
from workers.store.database import snapshot

#: Of a cycle without a deadline.
NO_DEADLINE = "no deadline"


@dataclass(frozen=True, slots=True)
class Row:
    """A period as it is told; times are instants in UTC, None where there is none."""

    legal_entity: str
    cycle: str
    starts_on: str
    ends_on: str
    stage: str
    is_asked_for: bool
    asked_for_at: datetime | None
    closed_by: datetime | None
    pace: Pace | None
    forecast: datetime | None
    acts: Actor
    in_the_way: list[dict[str, object]]


@console.command
def calendar(
    entity: Annotated[str | None, typer.Argument(help="Only of this legal entity.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show every billing period that has ended and is not closed: its deadline, what is in the way, and who acts.

    A cycle says in master data how many days after a period's end its run is asked for (`bill_after_days`) and until
    when it is closed (`deadline_days`). The forecast takes the work that is owed at the speed of the last ten minutes.
    Ends with 1 if a period is late or may become so. Example: tallyline calendar pony
    """
    with reach.database(), snapshot() as conn:
        if entity is not None and not billing_looks.cycles(conn, entity):
            fix = f"name one of {', '.join(billing_looks.entities(conn))}, or load it with `tallyline master load`"
            raise Failure(f"there is no legal entity {entity!r} with a cycle", fix=fix)
        rows = [_row(each) for each in close_calendar.entries(conn, legal_entity=entity)]
    if as_json:
        console.print_json({"periods": [asdict(row) for row in rows]})
    elif not rows:
        console.out().print("Every billing period that has ended is closed.")
    else:
        columns = ["period", "stage", "deadline", "in time", "forecast", "in the way", "who acts"]
        console.out().print(console.table("Not closed yet", columns, [_told(row) for row in rows]))
    if any(row.pace in ("at_risk", "late") for row in rows):
        raise typer.Exit(FOUND)


def _row(entry: Entry) -> Row:
    closed_by = entry.close_days.closed_by(entry.ends_on)
    codes = tuple(str(each["code"]) for each in entry.blockers)
    return Row(
        legal_entity=entry.legal_entity,
        cycle=entry.cycle,
        starts_on=str(entry.starts_on),
        ends_on=str(entry.ends_on),
        stage=entry.stage,
        is_asked_for=entry.run_id is not None,
        asked_for_at=entry.close_days.billed_at(entry.ends_on),
        closed_by=closed_by,
        pace=None if closed_by is None else pace(entry.progress, closed_by=closed_by, now=entry.now),
        forecast=forecast(entry.progress, now=entry.now) if entry.run_id is not None else None,
        acts=who_acts(codes, waits_for_person=entry.progress.waits_for_person),
        in_the_way=[
            {"code": each["code"], "count": each["count"], "money_at_risk": each["money_at_risk"], "fix": each["fix"]}
            for each in entry.blockers
        ],
    )


def _told(row: Row) -> list[str]:
    return [
        f"{row.legal_entity}/{row.cycle} {row.starts_on}",
        row.stage if row.is_asked_for else _not_asked(row),
        NO_DEADLINE if row.closed_by is None else _time(row.closed_by),
        "" if row.pace is None else row.pace.replace("_", " "),
        "" if row.forecast is None else _time(row.forecast),
        "; ".join(f"{count(int(str(each['count'])))} {each['code']}: {each['fix']}" for each in row.in_the_way),
        row.acts if row.acts != "nobody" else "",
    ]


def _not_asked(row: Row) -> str:
    if row.asked_for_at is None:
        return f"nobody asked: tallyline close {row.legal_entity} {row.starts_on} --cycle {row.cycle}"
    return f"asked for from {_time(row.asked_for_at)}"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
