"""Rows of usage files become events, each for itself: whatever is wrong with one, its neighbours go on."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.cli.usage_file import Format, usage_file
from workers.files import file_mapping, readings
from workers.files import lines as line_reading
from workers.files.batches import batches
from workers.files.events import Event
from workers.files.lines import FileUnreadable, RefusedRow
from workers.files.rows import COLUMNS_MAX
from workers.store.master_file import MasterInvalid

pytestmark = pytest.mark.fast

HEADING = "type,subject,time,units\n"


@pytest.fixture
def read(tmp_path):
    """Writes a file, and maybe a mapping, and reads its events and refused rows."""

    def run(content, *, name="usage.csv", mapping=None, source="/s", **options):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        if mapping is not None:
            (tmp_path / "mapping.yaml").write_text(mapping)
        chosen = usage_file(
            file, format_=options.get("format_"), source=source, since=options.get("since", ()),
            mapping=tmp_path / "mapping.yaml" if mapping is not None else None,
        )  # fmt: skip
        refused = []
        kept = [each for batch in batches(chosen.items(), size=options.get("size", 2), tell=refused.append)
                for each in json.loads(batch.content)]  # fmt: skip
        return kept, [(row.line, row.refused.code, row.refused.field) for row in refused]

    return run


def row(*cells: object) -> str:
    return ",".join(str(cell) for cell in cells) + "\n"


def test_a_row_of_csv_is_an_event_with_its_other_columns_as_data(read):
    events, refused = read(HEADING + row("calls", "ACME", "2026-01-31T12:00:00+01:00", "007"))

    assert refused == []
    assert events[0].pop("id").startswith("row-")
    assert events == [
        {"specversion": "1.0", "source": "/s", "type": "calls", "subject": "ACME", "time": "2026-01-31T11:00:00Z",
         "data": {"units": "007"}}
    ]  # fmt: skip


def test_the_same_file_makes_the_same_ids_and_equal_rows_make_different_ones(read):
    content = HEADING + row("calls", "A", "2026-01-31T12:00:00Z", 1) * 3 + row("calls", "B", "2026-01-31T12:00:00Z", 1)

    first, again = read(content)[0], read(content, size=500)[0]

    assert first == again
    assert len({event["id"] for event in first}) == 4


def test_rows_that_are_added_or_moved_leave_the_ids_of_the_others_as_they_were(read):
    old = [row("calls", "A", "2026-01-31T12:00:00Z", n) for n in (1, 2, 2)]
    new = row("calls", "A", "2026-01-31T12:00:00Z", 3)

    before = {event["id"] for event in read(HEADING + "".join(old))[0]}
    after = {event["id"] for event in read(HEADING + new + "".join(reversed(old)))[0]}

    assert before < after
    assert len(after) == 4


def test_a_row_beyond_those_that_can_be_told_apart_is_refused(read, monkeypatch):
    monkeypatch.setattr("workers.files.events.ROWS_WITHOUT_ID_MAX", 1)
    lines = [row("calls", "A", "2026-01-31T12:00:00Z", n) for n in (1, 1, 2)]

    events, refused = read(HEADING + "".join(lines))

    assert len(events) == 2
    assert refused == [(4, "id_missing", "id")]


@pytest.mark.parametrize(
    ("line", "code", "field"),
    [
        ("calls,A,2026-01-31T12:00:00Z", "row_unreadable", ""),
        ('calls,"A,2026-01-31T12:00:00Z,1', "row_unreadable", ""),
        ("calls,A,2026-01-31T12:00:00Z," + "9" * 200_000, "row_unreadable", ""),
        ("calls,A,2026-01-31T12:00:00Z," + "9" * 300_000, "row_unreadable", ""),
        (b"calls,A,2026-01-31T12:00:00Z,\xff", "row_unreadable", ""),
        ("calls,A,,1", "time_missing", "time"),
        ("calls,A,2026-01-31,1", "time_invalid", "time"),
        ("calls,A,2026-01-31T12:00:00,1", "time_naive", "time"),
        (",A,2026-01-31T12:00:00Z,1", "type_missing", "type"),
        ("c" * 300 + ",A,2026-01-31T12:00:00Z,1", "envelope_invalid", "type"),
        (b"calls,A,2026-01-31T12:00:00Z,\x00", "text_invalid", "data"),
    ],
)
def test_a_row_that_is_no_event_is_named_and_its_neighbours_go_on(read, line, code, field):
    good = row("calls", "A", "2026-01-31T12:00:00Z", 1).encode()
    bad = line if isinstance(line, bytes) else line.encode()

    events, refused = read(HEADING.encode() + good + bad + b"\n\n" + good)

    assert len(events) == 2
    assert refused == [(3, code, field)]


def test_a_mapping_names_columns_kinds_and_what_is_empty(read):
    mapping = """
type: calls
subject: {column: who}
time: {column: at, zone: Europe/Paris}
id: {column: ref}
dataschema: v2
delimiter: ";"
empty_words: [NA]
data:
  units: {column: n, kind: decimal}
  whole: {column: w, kind: integer}
  is_test: {column: t, kind: boolean}
  note: {column: x, kind: string, empty: "null"}
"""

    events, refused = read(
        "ref;who;at;n;w;t;x;unused\n"
        "r1;A;2026-07-01 12:00:00; 1.50;3;yes;NA;z\n"
        "r2;A;2026-07-01 12:00:00;NA;;;hello;z\n"
        "r3;A;2026-07-01 12:00:00;1e3;1;1;;\n"
        "r4;A;2026-07-01 12:00:00;1;1.5;1;;\n"
        "r5;A;2026-07-01 12:00:00;1;1;maybe;;\n"
        ";A;2026-07-01 12:00:00;1;1;0;;\n",
        mapping=mapping,
    )

    assert [event["data"] for event in events] == [
        {"units": 1.5, "whole": 3, "is_test": True, "note": None},
        {"note": "hello"},
    ]
    assert events[0]["time"] == "2026-07-01T10:00:00Z"
    assert (events[0]["id"], events[0]["dataschema"]) == ("r1", "v2")
    assert refused == [(4, "field_invalid", "n"), (5, "field_invalid", "w"), (6, "field_invalid", "t"),
                       (7, "id_missing", "ref")]  # fmt: skip


def test_numbers_of_json_rows_stay_exact_and_what_cannot_is_refused(read):
    lines = [
        '{"type":"calls","time":"2026-01-31T12:00:00Z","units":12345678901234.123456789,"note":"","none":null}',
        '{"type":"calls","time":"2026-01-31T12:00:00Z","units":NaN}',
        '{"type":"calls","time":"2026-01-31T12:00:00Z","units":1e99}',
        '{"type":"calls","time":"2026-01-31T12:00:00Z","units":[1e99]}',
        '{"type":7,"time":"2026-01-31T12:00:00Z"}',
        '{"type":"calls"',
        "[]",
        "[" * 100_000,
    ]

    file_events, refused = read("\n".join(lines), name="usage.jsonl")

    assert [(event["type"], event["data"]) for event in file_events] == [
        ("calls", {"units": 12345678901234.123456789, "note": "", "none": None}),
        ("7", {}),
    ]
    assert refused == [
        (2, "number_out_of_bounds", "units"), (3, "number_out_of_bounds", "units"), (4, "data_invalid", "data"),
        (6, "body_unreadable", ""), (7, "row_unreadable", ""), (8, "body_unreadable", ""),
    ]  # fmt: skip


def test_an_exact_number_is_written_as_it_was(tmp_path):
    file = tmp_path / "usage.jsonl"
    file.write_text('{"type":"calls","time":"2026-01-31T12:00:00Z","units":12345678901234.123456789}\n')

    (event,) = usage_file(file, format_=None, mapping=None, source="/s").items()

    assert isinstance(event, Event)
    assert '"units":12345678901234.123456789' in event.text


def test_a_cloudevent_keeps_the_text_it_was_written_in(tmp_path):
    attributes = '"specversion": "1.0", "id": "a", "source": "/s", "type": "calls", "time": "2026-01-31T12:00:00Z"'
    event = f'{{{attributes},  "data": {{"units": 1.50}}}}'
    file = tmp_path / "usage.ndjson"
    file.write_text(f"{event}\n")

    (found,) = usage_file(file, format_=None, mapping=None, source=None).items()

    assert found == Event(1, event)


def test_a_cloudevent_of_another_source_than_the_one_named_is_refused(read):
    def event(number: int, **more: str) -> str:
        return json.dumps({"specversion": "1.0", "id": str(number), "type": "calls", "time": "2026-01-31T12:00:00Z",
                           "data": {}, **more})  # fmt: skip

    events, refused = read("\n".join([event(1), event(2, source="/s"), event(3, source="/x")]), name="usage.jsonl")

    assert [(each["id"], each["source"]) for each in events] == [("1", "/s"), ("2", "/s")]
    assert refused == [(3, "envelope_invalid", "source")]


def test_an_event_that_makes_its_whole_batch_unreadable_is_refused_alone():
    good = '{{"specversion":"1.0","id":"{}","source":"/s","type":"calls","time":"2026-01-31T12:00:00Z","data":{{}}}}'
    items = [Event(1, good.format("a")), Event(2, "[" * 100_000), Event(3, good.format("b"))]
    refused = []

    (batch,) = batches(iter(items), size=3, tell=refused.append)

    assert [each.line for each in batch.items] == [1, 3]
    assert [(each.line, each.refused.code) for each in refused] == [(2, "body_unreadable")]


def test_a_batch_is_full_by_its_bytes_too(monkeypatch):
    monkeypatch.setattr("workers.files.batches.BATCH_BYTES", 150)
    event = '{"specversion":"1.0","id":"a","source":"/s","type":"calls","time":"2026-01-31T12:00:00Z","data":{}}'

    assert len(list(batches(iter([Event(n, event) for n in range(3)]), size=9, tell=print))) == 3


@pytest.mark.parametrize("size", [1, 3])
def test_a_document_of_many_lines_is_read_event_by_event(read, size):
    event = {"specversion": "1.0", "id": "a", "source": "/s", "type": "calls", "time": "2026-01-31T12:00:00Z",
             "data": {}}  # fmt: skip
    content = json.dumps([{**event, "id": str(n)} for n in range(size)], indent=2)

    assert [each["id"] for each in read(content, name="batch.json")[0]] == [str(n) for n in range(size)]
    assert read(json.dumps(event, indent=2), name="one.json")[0] == [event]
    assert read(gzip.compress(content.encode()), name="batch.json.gz")[0] == read(content, name="batch.json")[0]


def test_a_document_that_is_too_large_is_refused(read, monkeypatch):
    monkeypatch.setattr("workers.cli.usage_file.DOCUMENT_BYTES_MAX", 3)

    with pytest.raises(FileUnreadable, match="more than 3 bytes"):
        read("[\n{}]", name="batch.json")
    with pytest.raises(FileUnreadable, match="more than 3 bytes"):
        read(gzip.compress(b"[\n{}]"), name="batch.json.gz")


PACKED = gzip.compress(b"[\n" + os.urandom(9_000).hex().encode())
DAMAGED = pytest.mark.parametrize(
    "damaged",
    [PACKED[:-4_000], PACKED[:-8] + bytes(8), PACKED[: len(PACKED) // 2] + b"\xff" * 4_000],
    ids=["cut", "of another sum", "overwritten"],
)


@DAMAGED
def test_a_damaged_document_is_refused(read, damaged):
    with pytest.raises(FileUnreadable, match="cannot be read") as refused:
        read(damaged, name="batch.json.gz")

    assert refused.value.fix == "compress it anew"


def test_a_gzipped_file_that_breaks_off_gives_the_rows_before_it(read):
    content = HEADING + "".join(row("calls", "A", "2026-01-31T12:00:00Z", n) for n in range(3_000))
    packed = gzip.compress(content.encode())

    events, refused = read(packed[: len(packed) // 2], name="usage.csv.gz", size=10_000)

    assert 0 < len(events) < 3_000
    assert [code for _, code, _ in refused][-1] == "row_unreadable"


@DAMAGED
def test_where_a_file_breaks_off_its_last_row_says_so(tmp_path, damaged):
    (tmp_path / "x.csv.gz").write_bytes(damaged)

    *_, last = line_reading.lines(tmp_path / "x.csv.gz")

    assert isinstance(last, RefusedRow)
    assert last.refused.sentence.startswith("the file breaks off here: ")


def test_a_heading_of_more_columns_than_are_read_is_refused(read):
    most = ",".join([*HEADING.strip().split(","), *(f"c{n}" for n in range(COLUMNS_MAX - 4))])
    cells = row("calls", "A", "2026-01-31T12:00:00Z", *("1" for _ in range(COLUMNS_MAX - 3)))

    assert len(read(f"{most}\n{cells}")[0]) == 1
    with pytest.raises(FileUnreadable, match="at most 1000 columns"):
        read(f"{most},one\n{cells}")


def test_the_bytes_read_are_told_and_come_to_the_size_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(line_reading, "LINES_PER_LOOK", 2)
    file = tmp_path / "x.csv"
    file.write_text("a\n" * 7)
    told = []

    list(line_reading.lines(file, told.append))

    assert sum(told) == 14
    assert len(told) > 1


@pytest.mark.parametrize(
    ("name", "content", "options", "says"),
    [
        ("a.csv", "", {}, "is empty"),
        ("a.csv", b"\xff\n", {}, "heading cannot be read"),
        ("a.csv", '"a\n', {}, "heading cannot be read"),
        ("a.csv", "a,a\n", {}, "does not name each"),
        ("a.csv", "a,,b\n", {}, "does not name each"),
        ("a.csv", "a,b\n1,2\n", {}, "has no column type, time"),
        ("a.csv", "type,time\n", {"source": None}, "which source"),
        ("a.csv", "type,time\n", {"format_": Format.jsonl}, "no file of the format jsonl"),
        ("a.jsonl", "{}", {"format_": Format.csv}, "no file of the format csv"),
        ("a.csv", "type,time\n", {"since": [Path("x")]}, "only readings"),
        ("a.csv", "type,time\n", {"format_": Format.register}, "has no column register, reading"),
    ],
)
def test_a_file_that_cannot_be_used_at_all_is_refused_before_anything(read, name, content, options, says):
    with pytest.raises(FileUnreadable, match=says):
        read(content, name=name, **options)


def test_a_file_that_is_not_there_or_may_not_be_read_is_refused(tmp_path):
    with pytest.raises(FileUnreadable, match="there is no file"):
        usage_file(tmp_path / "none.csv", format_=None, mapping=None, source="/s")
    with pytest.raises(FileUnreadable, match="cannot be read"):
        usage_file(tmp_path / ("n" * 300), format_=None, mapping=None, source="/s")


def test_a_file_that_goes_away_between_two_looks_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(line_reading, "size_of", lambda _file: 1)

    with pytest.raises(FileUnreadable, match="cannot be read"):
        next(line_reading.lines(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ("type: {}", "type: needs either a text or a column"),
        ("type: {column: a, constant: b}", "type: needs either a text or a column"),
        ("id: fixed", "id: needs a column"),
        ("time: {zone: Mars/Olympus}", "time.zone: is no zone"),
        ("tipe: x", "tipe"),
        ("data: {x: {column: a, kind: float}}", "data.x.kind"),
        ("register: {capacity: -1}", "register.capacity"),
        ("register: {}\ndata: {quantity: {column: a}}", "quantity is what the difference"),
        ("- a", "holds no master data"),
    ],
)
def test_a_mapping_that_is_none_is_refused_with_its_place(tmp_path, mapping, says):
    file = tmp_path / "mapping.yaml"
    file.write_text(mapping)

    with pytest.raises(MasterInvalid, match=says):
        file_mapping.load(file)


READINGS = """
type: power
time: {column: at}
register: {column: device, reading: kwh, reset: exchanged, capacity: "1000", each: {big: {capacity: "100000"}}}
"""
DAY = "2026-01-{:02}T00:00:00Z"


def reading(device: object, day: int, kwh: object, exchanged: str = "") -> str:
    return row(device, DAY.format(day), kwh, exchanged, "s1")


def test_readings_become_events_that_hold_both_of_them(read):
    content = (
        "device,at,kwh,exchanged,stand\n"
        + reading("d1", 2, "20.5")
        + reading("d1", 1, 990)
        + reading("d1", 3, 1, "yes")
    )

    events, refused = read(content, mapping=READINGS)

    assert refused == []
    assert events[0] == {
        "specversion": "1.0", "source": "/s", "type": "power", "subject": "d1", "id": "d1@2026-01-02T00:00:00Z",
        "time": "2026-01-02T00:00:00Z",
        "data": {"stand": "s1", "register": "d1", "quantity": 30.5, "reading": 20.5, "previous_reading": 990,
                 "previous_at": "2026-01-01T00:00:00Z", "is_reset": False, "has_rolled_over": True},
    }  # fmt: skip
    assert (events[1]["id"], events[1]["data"]["quantity"]) == ("d1@2026-01-03T00:00:00Z/reset", 1)


def test_what_a_register_used_goes_on_from_the_file_before(read, tmp_path):
    heading = "device,at,kwh,exchanged,stand\n"
    january, february = tmp_path / "january.csv", heading + reading("d1", 3, 180) + reading("d2", 3, 7)
    january.write_text(heading + reading("d1", 1, 100) + reading("d1", 2, 130) + "bad\n" + reading("", 1, 1))

    alone, _ = read(february, mapping=READINGS)
    after, refused = read(february, mapping=READINGS, since=[january])

    assert alone == []
    assert [(each["id"], each["data"]["quantity"]) for each in after] == [("d1@2026-01-03T00:00:00Z", 50)]
    assert refused == []


@pytest.mark.parametrize(
    ("line", "code", "field"),
    [
        (reading("", 2, 1), "field_missing", "device"),
        (reading("d" * 201, 2, 1), "field_missing", "device"),
        (reading("d1", 2, ""), "field_missing", "kwh"),
        (reading("d1", 2, "about 7"), "field_invalid", "kwh"),
        (reading("d1", 2, 5, "perhaps"), "field_invalid", "exchanged"),
        (row("d1", "yesterday", 5, "", ""), "time_invalid", "at"),
        (reading("d1", 2, 5), "register_reading_ambiguous", "reading"),
        ("d1\n", "row_unreadable", ""),
        (row("d1", DAY.format(2), 11, "", "\x00"), "text_invalid", "kwh"),
    ],
)
def test_a_reading_that_is_none_is_named_and_the_others_count_on(read, line, code, field):
    content = "device,at,kwh,exchanged,stand\n" + reading("d1", 1, 10) + line + reading("d1", 3, 12)

    events, refused = read(content, mapping=READINGS)

    assert refused == [(3, code, field)]
    assert sum(each["data"]["quantity"] for each in events) in {1, 2}


def test_a_capacity_may_be_that_of_one_register_alone(read):
    content = "device,at,kwh,exchanged,stand\n" + "".join(
        reading(name, day, kwh) for name in ("big", "d1") for day, kwh in ((1, 500), (2, 2_000))
    )

    events, refused = read(content, mapping=READINGS)

    assert [each["data"]["quantity"] for each in events] == [1_500]
    assert refused == [(5, "register_reading_implausible", "reading")]


def test_readings_come_as_json_lines_too_and_without_a_mapping(read):
    lines = [{"register": 7, "reading": n, "time": DAY.format(n + 1), "type": "power"} for n in (0, 4)]

    events, refused = read("\n".join(map(json.dumps, lines)), name="readings.jsonl", format_=Format.register)

    assert refused == []
    assert [(each["id"], each["subject"], each["data"]["quantity"]) for each in events] == [
        ("7@2026-01-05T00:00:00Z", "7", 4)
    ]


def test_more_readings_than_memory_should_hold_are_refused_before_the_first_event(read, monkeypatch):
    monkeypatch.setattr(readings, "READINGS_MAX", 2)

    with pytest.raises(FileUnreadable, match="more than 2 readings"):
        read("device,at,kwh,exchanged,stand\n" + reading("d1", 1, 1) * 3, mapping=READINGS)


def test_a_number_that_no_reading_can_keep_is_refused(read):
    numbers = "1e99", f"0.{'0' * 29}1", f"1{'0' * 30}"
    lines = [
        f'{{"register": "a", "reading": {number}, "time": "{DAY.format(day)}", "type": "power"}}'
        for day, number in enumerate(numbers, start=1)
    ]

    events, refused = read("\n".join(lines), name="readings.jsonl", format_=Format.register)

    assert events == []
    assert refused == [(1, "number_out_of_bounds", "reading"), (3, "number_out_of_bounds", "reading")]


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=12), st.integers(1, 5))
def test_ids_do_not_depend_on_how_the_file_is_cut_into_batches(tmp_path_factory, subjects, size):
    file = tmp_path_factory.mktemp("f") / "usage.csv"
    file.write_text(HEADING + "".join(row("calls", each, "2026-01-31T12:00:00Z", 1) for each in subjects))

    chosen = usage_file(file, format_=None, mapping=None, source="/s")
    cut = [each for batch in batches(chosen.items(), size=size, tell=lambda _row: None) for each in batch.items]
    whole = [each for each in chosen.items() if not isinstance(each, RefusedRow)]

    assert cut == whole
    assert len({each.text for each in whole}) == len(subjects)


def test_a_first_line_that_is_no_json_is_one_bad_line_among_others(read):
    good = '{"type":"calls","time":"2026-01-31T12:00:00Z"}'

    events, refused = read('{"type": }\n' + good, name="usage.jsonl")

    assert len(events) == 1
    assert refused == [(1, "body_unreadable", "")]


def test_a_register_whose_name_no_database_can_hold_is_refused(read):
    line = '{"register": ["\\ud800"], "reading": 1, "time": "2026-01-01T00:00:00Z", "type": "power"}'

    assert read(line, name="readings.jsonl", format_=Format.register) == ([], [(1, "text_invalid", "data")])
