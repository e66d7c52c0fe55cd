"""Usage files come in as events through the same intake: again and again without billing twice, with a report."""

import json
import os
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
from operator_bench import DEMO, TOKEN

from queues.definitions import definitions
from queues.rabbit_api import RabbitApi
from workers.cli.reach import forget

USAGE = DEMO / "usage"
POWER = (USAGE / "power.csv", "--source", "/power/jfk", "--mapping", USAGE / "power.yaml")
DEPARTURES = (USAGE / "departures.csv", "--source", "/ops/jfk", "--mapping", USAGE / "departures.yaml")


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


@pytest.fixture
def stands(airports):
    """The demo's contracts, and the meter of the example files."""
    assert airports("master", "load", USAGE / "master.yaml").code == 0
    return airports


def used(operator) -> dict[str, str]:
    """What each airline used of the metric `power`."""
    rows = operator.rows("""select s.ref, a.quantity from aggregates a join subscriptions s on s.id = a.subscription_id
      join metrics m on m.id = a.metric_id where m.name = 'power' and a.quantity <> 0 order by 1""")
    return {ref: f"{quantity.normalize():f}" for ref, quantity in rows}


def test_readings_of_registers_come_in_as_what_was_used_between_them(stands):
    sent = stands.json("usage", "import", *POWER)

    # 729.75 + 730.5 over the roll-over of 100,000 + 695, and 640 + 1,260 + 200 before the exchange, 318.5 after it
    assert used(stands) == {"pony-AA-usage": "2155.25", "pony-B6-usage": "2418.5"}
    assert (sent["events"], sent["rows_refused"], sent["messages"]) == (8, 0, 1)
    assert sent["taken"] == {"accepted": 8, "duplicate": 0, "refused": 0, "unreadable": 0}
    assert [(each["register"], [part["quantity"] for part in each["segments"]]) for each in sent["registers"]] == [
        ("K-101", ["2155.25"]),
        ("K-207", ["2100", "318.5"]),
    ]
    assert [len(each["gaps"]) for each in sent["registers"]] == [0, 1]


def test_the_same_file_twice_is_duplicates_and_changes_nothing(stands):
    stands("usage", "import", *POWER)
    before = used(stands)

    again = stands.json("usage", "import", *POWER)

    assert again["taken"] == {"accepted": 0, "duplicate": 8, "refused": 0, "unreadable": 0}
    assert used(stands) == before


def test_what_registers_used_is_told_with_where_counting_begins_and_what_lies_in_gaps(stands):
    told = text_of(stands("usage", "import", *POWER, "--check"))

    assert "roll-overs: 1" in told
    assert "after a reset" in told
    assert "2 registers begin here, such as K-101" in told
    assert "1 gaps" in told
    assert "nothing was sent" in told
    assert stands.one("select count(*) from receipts") == 0


def test_a_file_goes_on_from_the_one_before(stands, tmp_path):
    heading, *rows = (USAGE / "power.csv").read_text().splitlines(keepends=True)
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text(heading + "".join(rows[:2] + rows[4:6]))
    second.write_text(heading + "".join(rows[2:4] + rows[6:]))
    options = POWER[1:]

    stands("usage", "import", first, *options)
    ran = stands("usage", "import", second, *options, "--since-file", first)

    assert ran.code == 0, ran.err
    assert used(stands) == {"pony-AA-usage": "2155.25", "pony-B6-usage": "2418.5"}


def test_a_refused_row_is_reported_and_its_neighbours_are_billed(stands, tmp_path):
    report = tmp_path / "report.jsonl"

    ran = stands("usage", "import", *DEPARTURES, "--report", report)

    assert ran.code == 1
    assert "'740 mi' is no integer" in text_of(ran)
    assert "1 rows refused, 2 accepted" in text_of(ran)
    row, summary = map(json.loads, report.read_text().splitlines())
    assert (row["line"], row["code"], row["field"]) == (4, "field_invalid", "miles")
    assert row["fix"]
    assert summary["summary"]["by_code"] == {"field_invalid": 1}
    assert stands.rows("select m.name, quantity from aggregates join metrics m on m.id = metric_id order by 1") == [
        ("aircraft", 1), ("departures", 1), ("distance", 1576),
    ]  # fmt: skip
    assert stands.one("select count(*) from exclusions") == 3  # the cancelled one, under each metric


def test_what_the_line_refuses_ends_the_command_with_1_too(stands):
    ran = stands("usage", "import", USAGE / "departures.jsonl", "--source", "/ops/none")

    assert ran.code == 1
    assert "0 rows refused, 0 accepted, 0 duplicate, 2 refused" in text_of(ran)
    assert "tallyline exceptions" in text_of(ran)


def test_rows_of_json_lines_need_no_mapping(stands):
    sent = stands.json("usage", "import", USAGE / "departures.jsonl", "--source", "/ops/jfk")

    assert sent["taken"]["accepted"] == 2


def test_many_refused_rows_are_cut_on_the_terminal_and_whole_in_the_report(stands, tmp_path):
    file, report = tmp_path / "usage.csv", tmp_path / "report.jsonl"
    file.write_text("type,time\n" + "calls,yesterday\n" * 30)

    ran = stands("usage", "import", file, "--source", "/ops/jfk", "--report", report, "--check")

    assert "these are the first of 30: 30 time_invalid; --report FILE names all" in text_of(ran)
    assert len(report.read_text().splitlines()) == 31


def test_many_segments_are_cut_on_the_terminal(stands, tmp_path):
    file = tmp_path / "readings.csv"
    rows = (f"d{n},power,2026-01-0{day}T00:00:00Z,{day}\n" for n in range(21) for day in (1, 2))
    file.write_text("register,type,time,reading\n" + "".join(rows))

    ran = stands("usage", "import", file, "--source", "/x", "--format", "register", "--check")

    assert ran.code == 0
    assert "these are the first of 21; --report FILE names all" in text_of(ran)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("none.csv", "--source", "/x"), "there is no file"),
        ((USAGE / "power.csv",), "which source"),
        ((USAGE / "power.csv", "--source", "/x"), "the heading names|has no column"),
        ((*POWER[:3], "--mapping", USAGE / "none.yaml"), "cannot be read"),
        ((*POWER, "--report", USAGE / "none" / "x"), "cannot be written"),
    ],
)
def test_a_file_that_cannot_be_imported_ends_with_2_and_nothing_is_sent(stands, words, says):
    ran = stands("usage", "import", *words)

    assert ran.code == 2
    assert any(part in text_of(ran) for part in says.split("|"))
    assert stands.one("select count(*) from receipts") == 0


def test_an_import_that_was_killed_is_simply_run_again(stands, tmp_path):
    file = tmp_path / "departures.csv"
    heading, first, *_ = (USAGE / "departures.csv").read_text().splitlines(keepends=True)
    number = 30_000
    file.write_text(heading + "".join(first.replace("725", f"{n}", 1) for n in range(number)))
    words = [sys.executable, "-m", "workers", "usage", "import", file, *DEPARTURES[1:], "--batch", "50"]
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while stands.one("select count(*) from receipts") < 2 and time.monotonic() < until:
        assert process.poll() is None
    process.kill()
    process.wait()
    receipts = stands.one("select count(*) from receipts")

    sent = stands.json("usage", "import", file, *DEPARTURES[1:])

    assert 2 <= receipts < 15
    assert sent["sent"] == number
    assert stands.one("select count(*) from usage_events") == number
    assert stands.one(
        "select quantity from aggregates join metrics m on m.id = metric_id where m.name = 'departures'"
    ) == (number)


def test_in_a_fleet_each_message_is_confirmed_by_rabbitmq(stands, vhost, rabbit_api_url, monkeypatch):
    api = RabbitApi(rabbit_api_url, vhost=urlsplit(vhost).path[1:])
    api.import_definitions(definitions((), vhost=api.vhost))
    for name, value in {"MODE": "fleet", "AMQP_URL": vhost, "TOKEN": TOKEN}.items():
        monkeypatch.setenv(f"TALLYLINE_{name}", value)
    forget()

    sent = stands.json("usage", "import", *POWER, "--batch", 3)
    told = text_of(stands("usage", "import", *POWER, "--batch", 3))

    assert (sent["messages"], sent["sent"], sent["confirmed_by"]) == (3, 8, "RabbitMQ")
    assert "RabbitMQ has them safe" in told
    assert os.environ["TALLYLINE_AMQP_URL"] == vhost


def test_a_file_without_a_single_event_needs_no_rabbitmq(stands, tmp_path, monkeypatch):
    file = tmp_path / "usage.csv"
    file.write_text("type,time\ncalls,yesterday\n")
    for name, value in {"MODE": "fleet", "AMQP_URL": "amqp://x:x@127.0.0.1:1/", "TOKEN": TOKEN}.items():
        monkeypatch.setenv(f"TALLYLINE_{name}", value)
    forget()

    ran = stands("usage", "import", file, "--source", "/x")

    assert ran.code == 1
    assert "0 events, 1 rows refused" in text_of(ran)
