"""Rebuild `flights-2013-01.csv.gz` from the full year of flights.

    python infra/demo/build.py path/to/flights-2013.csv.gz

The full file has a row per flight that was scheduled to leave New York City in 2013, in the columns of the R package
nycflights13 0.2 (CC0), with `time_hour` in UTC. What is kept is the month of January in New York's time zone.
The same input gives the same bytes.
"""

import csv
import gzip
import io
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

KEPT = Path(__file__).with_name("flights-2013-01.csv.gz")
ZONE = ZoneInfo("America/New_York")
YEAR, MONTH = 2013, 1
#: Scheduled departures in that month; another count means another input.
DEPARTURES = 27_004
COLUMNS = (
    "time_hour", "carrier", "flight", "tailnum", "origin", "dest", "sched_dep_time", "dep_time", "air_time", "distance",
)  # fmt: skip


def is_kept(row: dict[str, str]) -> bool:
    """Whether the departure was scheduled in the month, by a calendar in New York."""
    local = datetime.fromisoformat(row["time_hour"]).astimezone(ZONE)
    return (local.year, local.month) == (YEAR, MONTH)


def month_of(full: Path) -> list[dict[str, str]]:
    """The rows of the month in order of time, without the columns that nobody reads."""
    with gzip.open(full, "rt", encoding="utf-8", newline="") as rows:
        kept = [{name: row[name] for name in COLUMNS} for row in csv.DictReader(rows) if is_kept(row)]
    kept.sort(key=lambda row: (row["time_hour"], row["origin"], row["carrier"], int(row["flight"])))
    return kept


def write(rows: list[dict[str, str]], to: Path) -> None:
    """Write the rows as CSV, compressed without a time stamp so that the bytes depend on nothing else."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with to.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write(text.getvalue().encode())


def main() -> int:
    """Write the month beside this file and say how many departures it has; 1 if it is another number."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the script and its one argument
        sys.stderr.write(__doc__ or "")
        return 2
    rows = month_of(Path(sys.argv[1]))
    if len(rows) != DEPARTURES:
        sys.stderr.write(f"{len(rows)} departures, expected {DEPARTURES}: not the file this was made for\n")
        return 1
    write(rows, KEPT)
    print(f"{KEPT.name}: {len(rows)} departures, {KEPT.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
