"""The rows of a usage file as named values: cells of CSV as texts, members of JSON objects as they are."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from domain.canonical import Json
from domain.refused import Refused
from queues.contracts import Refusal, json_in
from workers.files.lines import FileUnreadable, RefusedRow, unreadable

#: Columns of one file.
COLUMNS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its line, its values by name, and its text if it is JSON."""

    line: int
    values: Mapping[str, Json]
    text: str = ""


Rows: TypeAlias = Iterator[Row | RefusedRow]
Lines: TypeAlias = Iterable[tuple[int, str] | RefusedRow]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file, and its columns; None where each row names its own."""

    columns: tuple[str, ...] | None
    rows: Rows


def csv_table(lines: Lines, *, delimiter: str) -> Table:
    """The table of a CSV file, whose first line is its heading; a row is one line.

    Raises `FileUnreadable` without a heading of different names.
    """
    rest = iter(lines)
    first = next(rest, None)
    if first is None:
        raise FileUnreadable("the file is empty", fix="give it a heading and rows")
    fix = "begin the file with a line that names each column once"
    if isinstance(first, RefusedRow):
        raise FileUnreadable(f"the heading cannot be read: {first.refused.sentence}", fix=fix)
    cells = _cells(first[1], delimiter)
    if isinstance(cells, str):
        raise FileUnreadable(f"the heading cannot be read: {cells}", fix=fix)
    columns = tuple(cell.strip() for cell in cells)
    if len(set(columns)) != len(columns) or not all(columns) or len(columns) > COLUMNS_MAX:
        raise FileUnreadable(f"the heading does not name each of at most {COLUMNS_MAX} columns once", fix=fix)
    return Table(columns, _csv_rows(rest, columns, delimiter))


def _csv_rows(lines: Lines, columns: tuple[str, ...], delimiter: str) -> Rows:
    for line in lines:
        if isinstance(line, RefusedRow):
            yield line
            continue
        number, text = line
        cells = _cells(text, delimiter)
        if isinstance(cells, str):
            yield unreadable(number, cells)
        elif len(cells) != len(columns):
            yield unreadable(number, f"the row has {len(cells)} cells, its heading {len(columns)}")
        else:
            yield Row(number, dict(zip(columns, cells, strict=True)))


def _cells(text: str, delimiter: str) -> list[str] | str:
    """The cells of a line, or what is wrong with it; a quote that is never closed takes no neighbour with it."""
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return f"the line is no row of CSV: {error}; a cell holds no line break here"


def json_table(lines: Lines) -> Table:
    """The table of a file of JSON Lines: an object a line."""
    return Table(None, _json_rows(lines))


def _json_rows(lines: Lines) -> Rows:
    for line in lines:
        if isinstance(line, RefusedRow):
            yield line
            continue
        number, text = line
        found = json_in(text.encode())
        if isinstance(found, Refusal):
            yield RefusedRow(number, Refused(found.code, "", found.sentence.replace("the body", "the line")))
        elif not isinstance(found, dict):
            yield unreadable(number, "the line is no JSON object")
        else:
            yield Row(number, found, text.strip())
