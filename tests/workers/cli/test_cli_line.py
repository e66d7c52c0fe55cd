"""Sending, looking, tracing and replaying through the real command line, the work done by a real worker."""

import json
import subprocess
import sys

import pytest
from operator_bench import departure

from queues.contracts import BATCH
from workers.cli import bodies, flights
from workers.cli.reach import forget


def text_of(ran) -> str:
    return " ".join((ran.out + ran.err).split())


def test_json_lines_are_sent_and_worked_on_to_the_end(airports, lines):
    ran = airports("send", lines(departure(1), departure(2), departure(3, source="/ops/none")), "--json")

    assert ran.code == 1, "one of them was refused"
    assert ran.json == {"events": 3, "accepted": 2, "duplicate": 0, "refused": 1, "unreadable": 0}
    assert airports.one("select count(*) from work where state = 'ready'") == 0
    assert airports.rows("select m.name, quantity from aggregates join metrics m on m.id = metric_id order by 1") == [
        ("aircraft", 2),
        ("departures", 2),
        ("distance", 2800),
    ]


def test_the_same_file_twice_is_counted_as_duplicates(airports, lines):
    file = lines(departure(1), departure(2))
    airports("send", file)

    assert airports.json("send", file)["duplicate"] == 2
    assert "2 duplicate" in text_of(airports("send", file))


def test_a_batch_and_a_single_event_keep_the_text_they_were_written_in(airports, tmp_path):
    batch, single = tmp_path / "batch.json", tmp_path / "single.json"
    batch.write_text(
        "[ " + json.dumps(departure(1)).replace("1400", "1400.0") + ",\n" + json.dumps(departure(2)) + " ]\n"
    )
    single.write_text(json.dumps(departure(3), indent=2))

    assert airports.json("send", batch)["accepted"] == 2
    assert airports.json("send", single)["accepted"] == 1
    assert '"distance": 1400.0' in bytes(airports.one("select bodies[1] from receipts where id = 1")).decode()


def test_a_table_of_flights_is_sent_as_events(airports, tmp_path):
    file = tmp_path / "flights.csv"
    with flights._opened(flights.FLIGHTS) as rows:
        file.write_text("".join(next(rows) for _ in range(4)))

    assert airports.json("send", file)["accepted"] == 3


def test_events_go_into_bodies_of_the_size_asked_for(airports, lines):
    airports("send", lines(*(departure(n) for n in range(5))), "--batch", 2)

    assert airports.rows("select cardinality(bodies), properties -> 0 ->> 'content_type' from receipts") == [(3, BATCH)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.jsonl", None, "there is no file"),
        ("wrong.jsonl", '{"a": 1}\n7\n\n{"b"\n', "no JSON object in line 2, 4"),
        ("many.jsonl", "7\n" * 9, "no JSON object in line 1, 2, 3, 4, 5 .."),
        ("wrong.json", '[{"a": 1}, 7]', "event 2 is no JSON object"),
        ("wrong.json", '[{"a": 1}', "is no JSON"),
        ("wrong.json", "[" * 100_000, "is no JSON"),
        ("table.csv", "a,b\n1,2\n", "is no table of flights"),
        ("packed.jsonl.gz", "no gzip", "cannot be read"),
    ],
)
def test_a_file_that_holds_no_events_is_refused_before_anything_is_sent(operator, tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_text(content)

    ran = operator("send", tmp_path / name)

    assert ran.code == 2
    assert says in text_of(ran)
    assert operator.one("select count(*) from receipts") == 0


def test_a_file_that_is_not_utf_8_is_refused(operator, tmp_path):
    (tmp_path / "latin.jsonl").write_bytes(b'{"a": "\xff"}')

    assert "save it as UTF-8" in text_of(operator("send", tmp_path / "latin.jsonl"))


def test_an_array_is_cut_at_its_elements_whatever_is_between_them(tmp_path):
    file = tmp_path / "events.json"
    file.write_text('  [ {"a": [1, {"b": "]"}]} ,\n\t{"c": 1.50}\n] \n')

    assert list(bodies.texts(file)) == ['{"a": [1, {"b": "]"}]}', '{"c": 1.50}']


def test_status_shows_money_that_waits_and_what_is_stuck(airports, lines):
    airports("send", lines(departure(1), departure(2, data={"air_time": None})))
    airports.run("insert into work (step, subject, correlation_id, state) values ('rate', 'x/1', 'c', 'dead')")

    found = airports.json("status")

    # two departures 2 x 38.9050 = 77.81, two aircraft 2 x 97.50125 -> 195.00, miles 1,400 x 0.02375 + 175.00 = 208.25
    assert found["unbilled"] == {"USD": "481.06"}
    # the diverted flight would add 1,400 x 0.02375
    assert found["excepted"] == {"USD": "33.25"}
    assert found["exceptions"] == 1
    assert [(each["step"], each["dead"]) for each in found["steps"]] == [("rate", 1)]
    assert "rate" in airports("status").out


def test_status_counts_the_windows_that_could_not_be_priced(airports, lines):
    airports("send", lines(departure(1)))
    assert airports.json("status")["unpriced_windows"] == 0
    assert "could not be priced" not in text_of(airports("status"))

    # contracts are never edited by commands: a price that asks for a property of single events
    refuses = """update prices set terms = '{"model": "dynamic", "multiplier": "1"}'
              where metric_id = (select id from metrics where name = 'distance')"""
    airports.run(refuses)

    # one departure 38.905 -> 38.91, one aircraft 97.50125 -> 97.50
    found = airports.json("status")
    assert (found["unbilled"], found["unpriced_windows"]) == ({"USD": "136.41"}, 1)
    assert "Unbilled: USD 136.41 (1 window could not be priced)" in text_of(airports("status"))

    airports.run(refuses.replace("'distance'", "'aircraft'"))
    assert "(2 windows could not be priced)" in text_of(airports("status"))


def test_the_identity_holds_and_names_what_does_not_add_up(airports, lines):
    airports("send", lines(departure(1)))

    assert airports("status", "--identity").code == 0
    assert "Everything adds up" in airports("status", "--identity").out

    airports.run("delete from attributions where metric_id = (select id from metrics where name = 'distance')")
    ran = airports("status", "--identity")

    assert ran.code == 1
    assert "distance" in ran.out
    assert "2013-01-01 10:00" in ran.out
    assert airports("status", "--identity", "--json").json["differences"][0]["metric"] == "distance"


def test_a_window_that_is_not_the_sum_of_its_usage_does_not_add_up(airports, lines):
    airports("send", lines(departure(1)))
    airports.run("""update aggregates set quantity = 2 * quantity
                 where metric_id = (select id from metrics where name = 'distance')""")

    ran = airports("status", "--identity")

    assert ran.code == 1
    assert "Everything adds up" not in ran.out
    assert "1 / 1400" in ran.out
    assert "1 / 2800" in ran.out


def test_an_event_is_traced_by_source_and_id_and_by_number(airports, lines):
    airports("send", lines(departure(1)))

    by_id = airports.json("trace", "/ops/ewr", "UA/1")
    by_number = airports.json("trace", by_id["event"]["event_no"])

    assert by_id == by_number
    assert by_id["receipt"]["user"] == "demo"
    assert {usage["metric"]: usage["value"] or usage["quantity"] for usage in by_id["usages"]} == {
        "aircraft": "N1",
        "departures": "1",
        "distance": "1400",
    }
    assert all(usage["subscription"] == "newark-UA-usage" and usage["line"] is None for usage in by_id["usages"])
    assert "not rated yet: in flight" in airports("trace", "/ops/ewr", "UA/1").out


def test_excluded_and_excepted_usage_is_told_with_its_reason(airports, lines):
    cancelled = departure(1, data={"departed": None, "air_time": None, "tail_number": None})
    airports("send", lines(cancelled, departure(2, data={"air_time": None})))

    assert "excluded by cancelled_departure" in airports("trace", "/ops/ewr", "UA/1").out
    assert "quantity_missing (open)" in airports("trace", "/ops/ewr", "UA/2").out


def test_a_refused_event_is_told_with_the_reason(airports, lines):
    airports("send", lines(departure(1, data={"distance": "far"})))

    told = airports("trace", "/ops/ewr", "UA/1").out

    assert "not accepted" in told
    assert "field_invalid (open)" in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name one event, one --line or one --invoice"),
        (["1", "--line", "1"], "name one event, one --line or one --invoice"),
        (["/ops/ewr", "UA/9"], "no event UA/9 of source /ops/ewr has been read"),
        (["x"], "an event is one number, or a source and an id"),
        (["17"], "there is no event 17"),
        (["--line", "17"], "there is no invoice line 17"),
        (["--invoice", "N-1"], "there is no document 'N-1'"),
    ],
)
def test_what_cannot_be_traced_is_said_with_a_way_out(operator, words, says):
    ran = operator("trace", *words)

    assert ran.code == 2
    assert says in text_of(ran)


def test_work_is_listed_and_filtered(airports, lines):
    airports("send", lines(departure(1)))

    assert {row["step"] for row in airports.json("work")} == {"validate", "enrich", "aggregate"}
    assert [row["step"] for row in airports.json("work", "--step", "enrich")] == ["enrich"]
    assert airports.json("work", "--state", "dead") == []
    assert airports.json("work", "--subject", "receipt/1", "--outcome", "done", "--limit", "1")[0]["step"] == "enrich"
    assert "receipt/1" in airports("work").out
    assert "No work row fits" in airports("work", "--state", "dead").out


def test_commands_teach_how_to_use_them(operator):
    for name in (
        "demo",
        "send",
        "status",
        "trace",
        "work",
        "exceptions",
        "replay",
        "close",
        "doctor",
        "sources",
        "master",
        "usage",
        "meters",
    ):
        ran = operator(name, "--help")
        assert ran.code == 0
        assert name in ran.out
    assert "Exit codes:" in operator("--help").out


def test_an_unknown_option_ends_with_2(operator):
    assert operator("status", "--identiti").code == 2


def test_without_a_database_the_way_out_is_named(operator, tmp_path, monkeypatch):
    monkeypatch.delenv("TALLYLINE_DATABASE_URL")
    monkeypatch.setenv("TALLYLINE_HOME", str(tmp_path / "home"))
    forget()

    ran = operator("status")
    monkeypatch.setenv("TALLYLINE_MODE", "fleet")
    forget()
    fleet = operator("status")

    assert (ran.code, fleet.code) == (3, 3)
    assert "run `tallyline demo` here" in text_of(ran)
    assert "no database is named" in text_of(fleet)


def test_a_database_that_does_not_answer_ends_with_3(operator, monkeypatch):
    monkeypatch.setenv("TALLYLINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    forget()

    ran = operator("status")

    assert ran.code == 3
    assert "the database does not answer" in text_of(ran)
    told = json.loads(operator("status", "--json").err)
    assert told["exit_code"] == 3
    assert told["fix"]


def test_a_database_without_our_schema_ends_with_3(operator, monkeypatch, postgres_url):
    monkeypatch.setenv("TALLYLINE_DATABASE_URL", postgres_url)
    forget()

    ran = operator("status")

    assert ran.code == 3
    assert "no schema of Tallyline" in text_of(ran)


def test_python_runs_it_as_a_module():
    ran = subprocess.run([sys.executable, "-m", "workers", "--help"], capture_output=True, text=True, check=False)

    assert ran.returncode == 0
    assert "Usage: tallyline" in ran.stdout
