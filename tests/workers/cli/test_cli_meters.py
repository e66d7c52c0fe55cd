"""A producer is told beforehand what would be refused, by the line's own rules, and what its meter looks like."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from operator_bench import DEMO, departure

from workers import trial
from workers.cli.reach import forget

MASTER = DEMO / "master.yaml"
USAGE = DEMO / "usage"


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def counts(reasons) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in reasons:
        found[each["code"]] = found.get(each["code"], 0) + each["count"]
    return found


#: Something of everything: taken, doubled, in conflict, refused for many reasons, excluded and waiting.
MIXED = (
    departure(1),
    departure(1),
    departure(1, data={"distance": 7}),
    departure(2, source="/ops/none"),
    departure(3, type="airport.arrival"),
    departure(4, time="1890-01-01T00:00:00Z"),
    departure(5, time=(datetime.now(UTC) + timedelta(days=2)).isoformat()),
    departure(6, time="yesterday and so on"),
    departure(7, data={"distance": "far"}),
    {key: value for key, value in departure(8).items() if key != "type"},
    departure(9, dataschema="v9"),
    departure(10, data={"departed": None, "air_time": None, "tail_number": None}),
    departure(11, data={"air_time": None}),
    departure(12, subject="nobody"),
    departure(13, data={"distance": 600}),
)


@pytest.fixture
def no_server(monkeypatch, tmp_path):
    """No database is named and none is there."""
    monkeypatch.delenv("TALLYLINE_DATABASE_URL")
    monkeypatch.setenv("TALLYLINE_HOME", str(tmp_path / "none"))
    forget()


def test_a_check_says_what_the_line_then_does(airports, lines):
    file = lines(*MIXED)

    tried = airports("meters", "check", file, "--user", "demo", "--json")
    airports("send", file)

    assert tried.code == 1
    found = tried.json
    accepted, duplicate = airports.rows("select sum(accepted), sum(duplicate) from receipt_counts")[0]
    refused = airports.rows("select code, count(*) from exceptions where step = 'validate' group by 1")
    waiting = airports.rows("select code, count(*) from exceptions where step = 'enrich' group by 1")
    excluded = airports.one("select count(*) from exclusions")
    counted = airports.rows("""select m.name, sum(a.quantity) from aggregates a join metrics m on m.id = a.metric_id
      where m.aggregation <> 'unique_count' group by 1 order by 1""")
    assert (found["events"], found["accepted"], found["duplicates"]) == (len(MIXED), accepted, duplicate)
    assert counts(found["refused"]) == dict(refused)
    assert counts(found["waiting"]) == dict(waiting)
    assert sum(each["usages"] for each in found["excluded"]) == excluded
    assert [(each["metric"], each["quantity"]) for each in found["metrics"] if "quantity" in each] == [
        (name, f"{quantity.normalize():f}") for name, quantity in counted
    ]
    assert len(refused) >= 8
    assert {code for code, _ in waiting} == {"quantity_missing", "subscription_not_found"}


def test_a_check_keeps_nothing(airports, lines):
    airports("meters", "check", lines(*MIXED))

    for table in ("receipts", "usage_events", "event_keys", "exceptions", "attributions", "work"):
        assert airports.one(f"select count(*) from {table}") == 0, table


def test_ids_that_were_accepted_before_are_duplicates_or_conflicts(airports, lines):
    airports("send", lines(departure(1), departure(2)))

    found = airports("meters", "check", lines(departure(1), departure(2, data={"distance": 7})), "--json").json

    assert (found["accepted"], found["duplicates"]) == (0, 1)
    assert [(each["code"], each["lines"]) for each in found["refused"]] == [("conflicting_duplicate", [2])]


def test_the_same_id_far_apart_in_a_file_is_found(airports, lines, monkeypatch):
    monkeypatch.setattr("workers.cli.meters.EVENTS_PER_BATCH", 2)
    file = lines(departure(1), departure(2), departure(1), departure(2, data={"distance": 7}))

    found = airports("meters", "check", file, "--json").json

    assert (found["accepted"], found["duplicates"]) == (2, 1)
    assert [(each["code"], each["field"], each["lines"]) for each in found["refused"]] == [
        ("conflicting_duplicate", "id", [4])
    ]


def test_a_user_who_may_not_claim_the_source_is_told_so(airports, lines):
    file = lines(departure(1))

    assert airports("meters", "check", file).code == 0
    assert counts(airports("meters", "check", file, "--user", "eve", "--json").json["refused"]) == {
        "source_not_allowed": 1
    }


def test_without_a_server_a_file_of_master_data_is_enough(operator, lines, no_server):
    file = lines(*MIXED)

    ran = operator("meters", "check", file, "--meters", MASTER, "--json")
    told = text_of(operator("meters", "check", file, "--meters", MASTER))

    found = ran.json
    assert ran.code == 1
    assert counts(found["refused"]) == {
        "conflicting_duplicate": 1, "source_unknown": 1, "meter_unknown": 1, "time_too_old": 1, "time_in_future": 1,
        "time_invalid": 1, "field_invalid": 1, "envelope_invalid": 1, "schema_unknown": 1,
    }  # fmt: skip
    assert counts(found["waiting"]) == {"quantity_missing": 1}
    # flights 1, 12 and 13 flew 1,400, 1,400 and 600 miles; 11 was diverted
    assert [(each["metric"], each.get("quantity", each.get("different_values"))) for each in found["metrics"]] == [
        ("aircraft", 4), ("departures", "4"), ("distance", "3400"),
    ]  # fmt: skip
    assert "5 of 15 events would be accepted, 9 refused, 1 are duplicates" in told
    assert "only the database can tell" in told
    assert "cancelled_departure" in told
    assert "4 different" in told


def test_reasons_name_their_first_lines_and_a_fix(operator, lines, no_server):
    file = lines(*(departure(n, source="/ops/none") for n in range(7)))

    (reason,) = operator("meters", "check", file, "--meters", MASTER, "--json").json["refused"]

    assert (reason["count"], reason["field"], reason["lines"]) == (7, "source", [1, 2, 3, 4, 5])
    assert reason["fix"]
    assert "1, 2, 3, 4, 5 .." in text_of(operator("meters", "check", file, "--meters", MASTER))


def test_a_batch_and_rows_and_readings_can_be_tried_too(operator, tmp_path, no_server):
    batch = tmp_path / "batch.json"
    batch.write_text(json.dumps([departure(1), departure(2)], indent=1))
    rows = (USAGE / "departures.csv", "--source", "/ops/jfk", "--mapping", USAGE / "departures.yaml")
    power = (USAGE / "power.csv", "--source", "/power/jfk", "--mapping", USAGE / "power.yaml")

    of_rows = operator("meters", "check", *rows, "--meters", MASTER, "--json")
    of_power = operator("meters", "check", *power, "--meters", USAGE / "master.yaml", "--json")

    assert operator("meters", "check", batch, "--meters", MASTER).code == 0
    assert [(each["code"], each["field"], each["lines"]) for each in of_rows.json["refused"]] == [
        ("field_invalid", "miles", [4])
    ]
    assert of_power.json["metrics"] == [{"metric": "power", "usages": 8, "unit": "kWh", "quantity": "4573.75"}]
    assert (of_rows.code, of_power.code) == (1, 0)


def test_a_file_with_meters_alone_judges_events_and_says_what_it_did_not_try(operator, lines, tmp_path, no_server):
    meters = tmp_path / "meters.yaml"
    version = "{version: 1, fields: [{name: flight, kind: string}], max_age_days: 36525, from: 2013-01-01}"
    meters.write_text(f"meters: {{airport.departure: {{owner: ops, versions: [{version}]}}}}")
    file = lines(departure(1, source="/any/where"))

    ran = operator("meters", "check", file, "--meters", meters)

    assert ran.code == 0
    assert "1 of 1 events would be accepted" in text_of(ran)
    assert "the file has no metrics" in text_of(ran)


def test_a_rule_counts_only_in_its_time(operator, lines, tmp_path, no_server):
    master = tmp_path / "master.yaml"
    master.write_text("""
meters: {airport.departure: {owner: x, versions: [{version: 1, max_age_days: 36525, fields: []}]}}
metrics: {departures: {meter: airport.departure, aggregation: count, unit: departure, owner: x}}
exclusion_rules:
  closed: {meter: airport.departure, reason: none, from: 2013-02-01, to: 2013-03-01,
           conditions: [{property: flight, op: is_not_null}]}
""")
    file = lines(departure(1), departure(2, time="2013-02-01T00:00:00Z"), departure(3, time="2013-03-01T00:00:00Z"))

    found = operator("meters", "check", file, "--meters", master, "--json").json

    assert found["excluded"] == [{"rule": "closed", "reason": "none", "usages": 1}]
    assert [each["quantity"] for each in found["metrics"]] == ["2"]


def test_what_only_its_period_turns_into_a_quantity_is_counted_without_one(operator, lines, tmp_path, no_server):
    master = tmp_path / "master.yaml"
    master.write_text("""
meters: {airport.departure: {owner: x, versions: [{version: 1, max_age_days: 36525, fields: []}]}}
metrics:
  daily: {meter: airport.departure, aggregation: count, unit: departure, bucket: day}
  longest: {meter: airport.departure, aggregation: max, property: distance, unit: mile}
  far: {meter: airport.departure, aggregation: count, unit: departure, filter: {destination: [SEA]}}
""")

    found = operator("meters", "check", lines(departure(1), departure(2)), "--meters", master, "--json")
    told = text_of(operator("meters", "check", lines(departure(1), departure(2)), "--meters", master))

    assert found.json["metrics"] == [
        {"metric": "daily", "usages": 2, "unit": "departure"},
        {"metric": "longest", "usages": 2, "unit": "mile", "different_values": 1},
    ]
    assert "1 different" in told


def test_usage_that_no_metric_reads_would_wait(operator, lines, tmp_path, no_server):
    master = tmp_path / "master.yaml"
    master.write_text("""
meters:
  airport.departure: {owner: x, versions: [{version: 1, max_age_days: 36525, fields: []}]}
  other: {owner: x}
metrics: {others: {meter: other, aggregation: count, unit: other, owner: x}, seats: {aggregation: subscribed, unit: x}}
""")

    ran = operator("meters", "check", lines(departure(1)), "--meters", master, "--json")

    assert (ran.code, counts(ran.json["waiting"])) == (1, {"metric_not_found": 1})


@pytest.mark.parametrize(
    ("master", "says"),
    [
        ("meters: {m: {owner: x, versions: [{version: 1, fields: [{name: a, kind: odd}]}]}}", "kind"),
        ("metrics: {m: {meter: x, aggregation: odd, unit: u}}", "aggregation"),
        ("exclusion_rules: {r: {meter: m, reason: none, conditions: []}}", "conditions"),
        ("metres: {}", "metres"),
    ],
)
def test_master_data_that_cannot_be_used_end_with_2_and_the_place(operator, lines, no_server, master, says):
    file = lines(master, name="master.yaml")

    ran = operator("meters", "check", lines(departure(1)), "--meters", file)

    assert ran.code == 2
    assert f"{file.name}:1" in ran.err.replace("\n", "")
    assert says in text_of(ran)


def test_more_events_than_memory_should_hold_are_not_tried(operator, lines, no_server, monkeypatch):
    monkeypatch.setattr(trial, "EVENTS_MAX", 2)
    monkeypatch.setattr("workers.cli.meters.EVENTS_PER_BATCH", 2)

    ran = operator("meters", "check", lines(*(departure(n) for n in range(3))), "--meters", MASTER)

    assert "2 of 2 events" in text_of(ran)
    assert "were tried: split the file" in text_of(ran)


def test_meters_are_listed_and_shown(airports):
    (listed,) = airports.json("meters", "list")
    shown = airports.json("meters", "show", "airport.departure")

    assert (listed["name"], listed["owner"], listed["newest"]) == ("airport.departure", "airport operations", 1)
    assert listed["metrics"] == ["aircraft", "departures", "distance"]
    assert [field["name"] for field in shown["versions"][0]["fields"]][:2] == ["flight", "tail_number"]
    assert shown["versions"][0]["owner"] == "airport operations"
    assert "airport.departure" in airports("meters", "list").out
    told = text_of(airports("meters", "show", "airport.departure"))
    assert "airport operations answers for it; read by aircraft, departures, distance" in told
    assert "Version 1, at any time, dataschema none, up to 36525 days old" in told


def test_the_schema_of_a_version_is_printed_for_producers(airports, tmp_path):
    second = tmp_path / "second.yaml"
    second.write_text("""
meters:
  airport.departure:
    owner: airport operations
    versions: [{version: 2, dataschema: v2, max_age_days: 36525, from: 2014-01-01, fields: [
      {name: tail_number, kind: string}, {name: distance, kind: decimal}, {name: air_time, kind: integer}]}]
""")
    assert airports("master", "load", second).code == 0

    newest = airports("meters", "schema", "airport.departure").json
    first = airports("meters", "schema", "airport.departure", "--version", "1").json

    assert (newest["title"], first["title"]) == ("airport.departure, version 2", "airport.departure, version 1")
    assert newest["required"] == ["tail_number", "distance", "air_time"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "nope"), "there is no meter 'nope'"),
        (("schema", "nope"), "name one of airport.departure"),
        (("schema", "airport.departure", "--version", "9"), "has no version 9"),
        (("check", "none.jsonl"), "there is no file"),
    ],
)
def test_a_name_that_is_not_there_ends_with_2_and_those_that_are(airports, words, says):
    ran = airports("meters", *words)

    assert ran.code == 2
    assert says in text_of(ran)


def test_without_any_meter_the_way_out_is_to_load_one(operator):
    assert "load a meter first" in text_of(operator("meters", "show", "nope"))
