"""Tables fit a terminal of 80 columns: no word is broken that could be whole."""

import io

from hypothesis import given
from hypothesis import strategies as st
from operator_bench import departure
from rich.console import Console

from workers.cli import console
from workers.cli.tables import WORD_MAX

WIDTH = 80


def printed(columns, rows, *, width: int = WIDTH) -> str:
    out = Console(file=io.StringIO(), width=width, highlight=False)
    out.print(console.table("A title", columns, rows))
    return out.file.getvalue()


def test_a_table_that_fits_stands_side_by_side():
    lines = printed(["name", "quantity#"], [["first", "1"], ["second", "20"]]).splitlines()

    assert len(lines) == 7
    assert "│ second │       20 │" in lines


def test_a_table_that_does_not_fit_stands_row_after_row():
    columns = [f"column-number-{n}" for n in range(9)]

    told = printed(columns, [[f"value-of-{n}" for n in range(9)], ["x"] * 9])

    assert all(column in told and f"value-of-{n}" in told for n, column in enumerate(columns))
    assert max(map(len, told.splitlines())) <= WIDTH


@given(st.integers(1, 12), st.data())
def test_no_word_is_broken_that_could_be_whole_and_no_line_is_too_long(number, data):
    word = st.text("abcdefghij-_.0123456789", min_size=1, max_size=WORD_MAX)
    cells = st.lists(word, min_size=1, max_size=5).map(" ".join)
    rows = data.draw(st.lists(st.lists(cells, min_size=number, max_size=number), min_size=1, max_size=3))
    columns = data.draw(st.lists(word, min_size=number, max_size=number))

    told = printed(columns, rows)

    assert max(map(len, told.splitlines())) <= WIDTH
    words = set(told.replace("│", " ").replace("┃", " ").split())
    assert {each for row in rows for cell in row for each in cell.split()} <= words


def test_a_word_that_is_too_long_for_any_column_is_folded():
    told = printed(["name"], [["x" * 200]])

    assert max(map(len, told.splitlines())) <= WIDTH
    assert told.count("x") == 200


#: The widest tables that commands print.
COMMANDS = [
    ("status",),
    ("status", "--identity"),
    ("exceptions",),
    ("exceptions", "list"),
    ("exceptions", "show", "1"),
    ("work",),
    ("trace", "/ops/ewr", "UA/1"),
    ("sources", "list"),
    ("people", "list"),
    ("people", "actions"),
    ("policies", "list"),
    ("approve",),
    ("audit", "list"),
    ("replay", "list"),
    ("close", "newark", "2013-01"),
    ("meters", "list"),
    ("meters", "show", "airport.departure"),
    ("credits", "list"),
    ("doctor",),
]


def test_what_commands_print_stays_within_80_columns_and_codes_and_instants_stay_whole(airports, lines, monkeypatch):
    airports("send", lines(departure(1), departure(2, data={"air_time": None}), departure(3, source="/ops/none")))
    monkeypatch.setattr(console, "WIDTH", WIDTH)

    told = {" ".join(words): airports(*words).out for words in COMMANDS}

    too_wide = {name for name, text in told.items() for line in text.splitlines() if len(line) > WIDTH and "│" in line}
    assert too_wide == set()
    assert "quantity_missing" in told["exceptions"]
    assert "source_unknown" in told["exceptions list"]
    assert "airport operations" in " ".join(told["sources list"].split())


def test_an_empty_table_shows_its_headings():
    assert "name" in printed(["name", "quantity#"], [])
