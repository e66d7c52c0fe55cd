"""Sifts rows of master data: those that can be published stay, each that cannot is refused with field, reason and fix.

What goes in and what does not is found by publishing it, in a transaction that is undone; so a row is refused for the
same reasons, in the same words, as a whole file would be. A look keeps no usage waiting, and whoever writes the audit
log only until it is undone: what is published in the end is checked anew, alone.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from workers.store import master
from workers.store.master_file import Document, MasterInvalid, Place, Problem, dotted
from workers.store.master_models import MasterData

#: Stands at the end of a path for "one more of the list".
MORE: Final = None
#: Looks at the rows that are left. Each look finds all that is wrong at one stage of publishing, or refuses rows that
#: rest on refused ones; real files take two or three.
LOOKS_MAX: Final = 40
#: Categories of characters that no name has: control characters, and breaks of lines and paragraphs.
_CONTROLS: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number, the path in the file at which its value stands, and the column that names it."""

    number: int
    path: tuple[str | None, ...]
    value: Any
    named_by: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row is not taken, and what to do about it."""

    row: int
    field: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Sifted:
    """The values of the rows that can be published, how many they are, and the refused ones."""

    values: Mapping[str, Any]
    rows: int
    refused: Sequence[Refusal]


def rows_of(document: Document) -> list[Row]:
    """Each entry of a file in the usual form as a row; its number is its line."""
    rows: list[Row] = []
    for section, entries in document.values.items():
        if isinstance(entries, dict):
            rows += [Row(document.line_of((section, key)), (section, key), value) for key, value in entries.items()]
        elif isinstance(entries, list):
            rows += [Row(document.line_of((section, n)), (section, MORE), value) for n, value in enumerate(entries)]
        else:
            rows.append(Row(document.line_of((section,)), (section,), entries))
    return rows


def sift(conn: Connection, file: Path, rows: Iterable[Row], *, person: str) -> Sifted:
    """Which of the rows can be published; whatever it takes to find out is undone. The caller has named the person.

    Raises `MasterInvalid` where what is wrong is not a row's.
    """
    refused: list[Refusal] = []
    left = list(_readable(rows, refused))
    for _ in range(LOOKS_MAX):
        values, places = _assembled(left, refused)
        left = list(places.values())
        problems = _problems(conn, Document(file, values, {place: row.number for place, row in places.items()}), person)
        if not problems:
            return Sifted(values, len(left), sorted(refused, key=lambda each: each.row))
        gone = set(_blame(places, problems, refused))
        if not gone:
            raise MasterInvalid(file, problems)
        left = [row for place, row in places.items() if place not in gone]
    sentence = f"holds rows that rest on refused ones in more than {LOOKS_MAX} steps"
    raise MasterInvalid(
        file, [Problem(0, "", sentence, "correct the rows that are refused first, and import it again")]
    )


def _readable(rows: Iterable[Row], refused: list[Refusal]) -> Iterator[Row]:
    for row in rows:
        if _has_controls((row.path, row.value)):
            refused.append(Refusal(row.number, "", "holds control characters or line breaks", "remove them"))
        else:
            yield row


def _has_controls(value: object) -> bool:
    if isinstance(value, str):
        return not value.isprintable() and any(unicodedata.category(each) in _CONTROLS for each in value)
    if isinstance(value, Mapping):
        return any(_has_controls(each) for pair in value.items() for each in pair)
    return isinstance(value, list | tuple) and any(map(_has_controls, value))


def _assembled(rows: Sequence[Row], refused: list[Refusal]) -> tuple[dict[str, Any], dict[Place, Row]]:
    """One file of the rows, and at which place of it each stands; a second row of the same name is refused."""
    values: dict[str, Any] = {}
    places: dict[Place, Row] = {}
    for row in rows:
        *parents, last = row.path
        node: Any = values
        for parent, child in zip(parents, row.path[1:], strict=True):
            node = node.setdefault(parent, [] if child is MORE else {})
        if last is MORE:
            places[(*(each for each in parents if each), len(node))] = row
            node.append(row.value)
            continue
        place = tuple(each for each in row.path if each)
        if place in places:
            reason = f"says anew what row {places[place].number} says"
            refused.append(Refusal(row.number, row.named_by, reason, "keep one of the two"))
            continue
        node[last] = row.value
        places[place] = row
    return values, places


def _problems(conn: Connection, document: Document, person: str) -> Sequence[Problem]:
    attempt = conn.begin_nested()
    try:
        master.publish(conn, document, master.validated(document, MasterData), person=person, is_look=True)
    except MasterInvalid as error:
        return error.problems
    finally:
        attempt.rollback()
    return ()


def _blame(places: Mapping[Place, Row], problems: Sequence[Problem], refused: list[Refusal]) -> Iterator[Place]:
    """The places of the rows that a problem is about, each with its reason among the refused."""
    blamed: set[Place] = set()
    for problem in problems:
        for place in _about(places, problem.place):
            if place in blamed:
                continue
            blamed.add(place)
            row = places[place]
            within = problem.place[: len(place)] == place
            field = dotted(problem.place[len(place) :] if within else problem.place) or row.named_by
            refused.append(Refusal(row.number, field, problem.sentence, problem.fix))
    yield from blamed


def _about(places: Mapping[Place, Row], place: Place) -> Sequence[Place]:
    """The row within which a place lies; else all that share most of their path with it."""
    for length in range(len(place), 0, -1):
        if place[:length] in places:
            return [place[:length]]
    for length in range(len(place), 0, -1):
        near = [each for each in places if each[:length] == place[:length]]
        if near:
            return near
    return ()
