"""The month of the demo: what it holds, how it is rebuilt, and what each row becomes."""

import ast
import csv
import gzip
import importlib.util
import sys
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from workers.cli import flights
from workers.store import master

DEMO = Path(__file__).resolve().parents[2] / "infra" / "demo"
HEADING = "time_hour,carrier,flight,tailnum,origin,dest,sched_dep_time,dep_time,arr_time,air_time,distance"


def script(name: str):
    spec = importlib.util.spec_from_file_location(f"demo_{name}", DEMO / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row_of(line: str) -> dict[str, str]:
    return dict(zip(HEADING.split(","), line.split(","), strict=True))


def full_year(folder: Path, *rows: str) -> Path:
    file = folder / "flights.csv.gz"
    with gzip.open(file, "wt", encoding="utf-8") as out:
        out.write("\n".join((HEADING, *rows)) + "\n")
    return file


def test_the_month_has_27004_scheduled_departures_each_under_an_id_of_its_own():
    events = list(flights.events(flights.FLIGHTS))

    assert len(events) == 27_004
    assert len({(event["source"], event["id"]) for event in events}) == 27_004


def test_every_departure_lies_in_january_by_a_calendar_in_new_york():
    first, last = datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 2, 1, 5, tzinfo=UTC)

    assert all(first <= datetime.fromisoformat(event["time"]) < last for event in flights.events(flights.FLIGHTS))


def test_every_airline_at_every_airport_has_a_mapping():
    document, data = master.read(DEMO / "master.yaml")
    mapped = {(each.source, each.subject) for each in data.mappings}

    assert {(event["source"], event["subject"]) for event in flights.events(flights.FLIGHTS)} == mapped
    assert document.file.name == "master.yaml"
    assert len(data.accounts) == 16


def test_a_scheduled_departure_becomes_an_event_at_its_scheduled_minute():
    row = dict(
        zip(
            HEADING.split(","),
            ["2013-01-01T10:00:00Z", "UA", "1545", "N14228", "EWR", "IAH", "515", "517", "830", "227", "1400"],
            strict=True,
        )
    )

    assert flights.event(row) == {
        "specversion": "1.0",
        "id": "2013-01-01/UA/1545/EWR/0515",
        "source": "/ops/ewr",
        "type": "airport.departure",
        "subject": "UA",
        "time": "2013-01-01T10:15:00Z",
        "data": {
            "flight": "1545",
            "tail_number": "N14228",
            "origin": "EWR",
            "destination": "IAH",
            "distance": 1400,
            "departed": "05:17",
            "air_time": 227,
        },
    }


def test_what_is_not_known_of_a_flight_is_null():
    row = dict(
        zip(
            HEADING.split(","),
            ["2013-02-01T02:00:00Z", "9E", "3", "NA", "JFK", "BOS", "2130", "NA", "NA", "NA", "187"],
            strict=True,
        )
    )

    event = flights.event(row)

    assert event["id"] == "2013-01-31/9E/3/JFK/2130"
    assert (event["data"]["tail_number"], event["data"]["departed"], event["data"]["air_time"]) == (None, None, None)


def test_a_table_of_flights_is_known_by_its_heading(tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    plain = tmp_path / "flights.csv"
    plain.write_text(HEADING + "\n")

    assert flights.is_flights(flights.FLIGHTS)
    assert flights.is_flights(plain)
    assert not flights.is_flights(other)
    assert not flights.is_flights(tmp_path / "events.jsonl")


def test_the_rebuild_keeps_january_of_new_york_in_order_and_drops_what_nobody_reads(tmp_path):
    year = full_year(
        tmp_path,
        "2013-02-01T05:00:00Z,UA,1,N1,EWR,IAH,0,1,2,3,4",
        "2013-02-01T04:00:00Z,UA,2,N1,JFK,IAH,2359,1,2,3,4",
        "2013-01-01T05:00:00Z,UA,3,N1,EWR,IAH,15,16,2,3,4",
    )

    kept = script("build").month_of(year)

    assert [row["flight"] for row in kept] == ["3", "2"]
    assert "arr_time" not in kept[0]


def test_the_rebuild_gives_the_same_bytes_from_the_same_rows(tmp_path):
    build = script("build")
    with gzip.open(flights.FLIGHTS, "rt", encoding="utf-8") as rows:
        kept = list(csv.DictReader(rows))

    build.write(kept, tmp_path / "again.csv.gz")

    with gzip.open(tmp_path / "again.csv.gz") as again, gzip.open(flights.FLIGHTS) as before:
        assert again.read() == before.read()


def test_the_rebuild_refuses_another_file_than_the_one_it_was_made_for(tmp_path, monkeypatch, capsys):
    build = script("build")
    monkeypatch.setattr(build, "KEPT", tmp_path / "kept.csv.gz")

    monkeypatch.setattr(sys, "argv", ["build.py", str(full_year(tmp_path))])
    assert build.main() == 1
    monkeypatch.setattr(sys, "argv", ["build.py"])
    assert build.main() == 2
    assert not (tmp_path / "kept.csv.gz").exists()
    assert "0 departures, expected 27004" in capsys.readouterr().err


def test_the_rebuild_writes_the_month_if_its_count_is_right(tmp_path, monkeypatch, capsys):
    build = script("build")
    year = full_year(tmp_path, "2013-01-01T05:00:00Z,UA,3,N1,EWR,IAH,15,16,2,3,4")
    monkeypatch.setattr(build, "KEPT", tmp_path / "kept.csv.gz")
    monkeypatch.setattr(build, "DEPARTURES", 1)
    monkeypatch.setattr(sys, "argv", ["build.py", str(year)])

    assert build.main() == 0
    assert "1 departures" in capsys.readouterr().out


def test_control_totals_know_nothing_of_tallyline():
    tree = ast.parse((DEMO / "control_totals.py").read_text())
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert imported <= {"csv", "gzip", "json", "sys", "collections", "datetime", "decimal", "pathlib", "zoneinfo"}


@pytest.mark.parametrize(
    ("miles", "amount"),
    [
        # 1 mile: 1 x 0.02515 + 250.00
        ("1", "250.02515"),
        # the last mile of the first tier: 100,000 x 0.02515 + 250.00
        ("100000", "2765.00"),
        # 2,765.00 + 1 x 0.018475 + 125.50
        ("100001", "2890.518475"),
        # 2,765.00 + 900,000 x 0.018475 + 125.50 + 1 x 0.0142625
        ("1000001", "19518.0142625"),
    ],
)
def test_control_totals_price_each_mile_in_its_tier(miles, amount):
    totals = script("control_totals")

    assert totals.graduated(Decimal(miles), totals.DISTANCE["pony"]) == Decimal(amount)
    assert totals.graduated(Decimal(0), totals.DISTANCE["pony"]) == 0


def test_control_totals_count_cancelled_diverted_and_flown_departures_apart(tmp_path, monkeypatch, capsys):
    totals = script("control_totals")
    flown = "2013-01-01T10:00:00Z,UA,1,N1,EWR,IAH,515,517,830,227,1400"
    year = full_year(
        tmp_path,
        flown,
        flown.replace(",UA,1,", ",UA,2,"),
        flown.replace(",227,", ",NA,"),
        flown.replace(",517,", ",NA,").replace(",227,", ",NA,"),
        flown.replace("2013-01-01", "2013-03-01"),
    )
    monkeypatch.setattr(sys, "argv", ["control_totals.py", str(year)])

    month = totals.read(year)

    assert month.events == 4
    assert month.usage["departures"] == Counter(billed=3, excluded=1)
    assert month.usage["distance"] == Counter(billed=2, excluded=1, excepted=1)
    assert month.usage["aircraft"] == Counter(billed=3, excluded=1)
    # departures 3 x 38.9050 = 116.715 -> 116.72; miles 2,800 x 0.02375 + 175.00 = 241.50
    # aircraft 1 x 97.50125 -> 97.50
    # tax: runway (116.72 + 241.50) x 3.5 % = 12.5377 -> 12.54; stand 97.50 x 6.625 % = 6.459375 -> 6.46
    assert totals.document(month, "newark", "UA") == {
        "net": Decimal("455.72"),
        "tax": Decimal("19.00"),
        "gross": Decimal("474.72"),
    }
    assert totals.main() == 0
    assert '"newark/UA"' in capsys.readouterr().out
