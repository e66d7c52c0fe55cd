"""The demo's usage events: one CloudEvent for each departure that was scheduled, cancelled or not."""

import csv
import gzip
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

DEMO = Path(__file__).resolve().parents[2] / "infra" / "demo"
FLIGHTS = DEMO / "flights-2013-01.csv.gz"
#: Columns by which a file is known to be one of flights.
COLUMNS = frozenset({"time_hour", "carrier", "flight", "tailnum", "origin", "dest", "sched_dep_time", "dep_time"})
#: The airports' zone; a departure's date is a local one.
ZONE = ZoneInfo("America/New_York")
TYPE = "airport.departure"


def is_flights(file: Path) -> bool:
    """Whether the file is a table of flights, by its name and heading."""
    if not file.name.endswith((".csv", ".csv.gz")):
        return False
    with _opened(file) as lines:
        return set(next(csv.reader(lines), ())) >= COLUMNS


def events(file: Path) -> Iterator[dict[str, object]]:
    """The events of a table of flights, in its order. Raises `ValueError` or `KeyError` for another table."""
    with _opened(file) as lines:
        for row in csv.DictReader(lines):
            yield event(row)


def event(row: Mapping[str, str]) -> dict[str, object]:
    """One scheduled departure; a cancelled flight has no `departed`, a diverted one no `air_time`.

    The id is made of what an airport calls a departure: local date, airline, flight, airport and scheduled time.
    """
    hour = datetime.fromisoformat(row["time_hour"])
    scheduled = row["sched_dep_time"].zfill(4)
    happened_at = hour + timedelta(minutes=int(scheduled[2:]))
    carrier, flight, origin = row["carrier"], row["flight"], row["origin"]
    return {
        "specversion": "1.0",
        "id": f"{hour.astimezone(ZONE):%Y-%m-%d}/{carrier}/{flight}/{origin}/{scheduled}",
        "source": f"/ops/{origin.lower()}",
        "type": TYPE,
        "subject": carrier,
        "time": f"{happened_at:%Y-%m-%dT%H:%M:%SZ}",
        "data": {
            "flight": flight,
            "tail_number": _known(row["tailnum"]),
            "origin": origin,
            "destination": row["dest"],
            "distance": int(row["distance"]),
            "departed": _clock(row["dep_time"]),
            "air_time": None if row["air_time"] == "NA" else int(row["air_time"]),
        },
    }


def _known(text: str) -> str | None:
    return None if text == "NA" else text


def _clock(text: str) -> str | None:
    """517 as `05:17`, local time; None if the flight never left."""
    return None if text == "NA" else f"{text.zfill(4)[:2]}:{text.zfill(4)[2:]}"


def _opened(file: Path) -> IO[str]:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")
