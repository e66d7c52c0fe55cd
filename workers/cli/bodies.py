"""Reads a file of usage events as the bodies that go onto the queue; each event keeps the text it was written in."""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from workers.cli import flights
from workers.cli.console import Failure

#: Lines and events that are named when a file is wrong.
NAMED_MAX = 5
_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Body:
    """A CloudEvents batch, and how many events are in it."""

    content: bytes
    events: int


def bodies(texts: Iterable[str], *, size: int) -> Iterator[Body]:
    """Put events together in batches of at most `size`."""
    rest = iter(texts)
    while chunk := list(islice(rest, size)):
        yield Body(("[" + ",".join(chunk) + "]").encode(), len(chunk))


def counted(file: Path) -> int:
    """How many events the file holds. Raises `Failure` that names what is no JSON object, before anything is sent."""
    if not file.is_file():
        raise Failure(f"there is no file {file}", fix="name a file of JSON Lines, a CloudEvents batch, or flights")
    return sum(1 for _ in texts(file))


def texts(file: Path) -> Iterator[str]:
    """The events of a file as JSON texts. Raises `Failure` that names what is no JSON object."""
    if flights.is_flights(file):
        return (json.dumps(event, separators=(",", ":")) for event in flights.events(file))
    if file.name.endswith((".csv", ".csv.gz")):
        fix = f"a table needs the columns {', '.join(sorted(flights.COLUMNS))}; other events come as JSON Lines"
        raise Failure(f"{file} is no table of flights", fix=fix)
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        text = content.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}", fix="save it as UTF-8, plain or compressed by gzip") from None
    return _array(file, text) if text.lstrip(_SPACE).startswith("[") else _lines(file, text)


def _lines(file: Path, text: str) -> Iterator[str]:
    """One event a line, or one event over many lines."""
    if _is_object(text):
        return iter([text.strip(_SPACE)])
    wrong = [n for n, line in enumerate(text.splitlines(), start=1) if line.strip() and not _is_object(line)]
    if wrong:
        shown = ", ".join(str(n) for n in wrong[:NAMED_MAX]) + (" .." if len(wrong) > NAMED_MAX else "")
        fix = "give each event as a JSON object on a line of its own; nothing was sent"
        raise Failure(f"{file}: no JSON object in line {shown}", fix=fix)
    return (line.strip(_SPACE) for line in text.splitlines() if line.strip())


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _array(file: Path, text: str) -> Iterator[str]:
    """The elements of a JSON array, each as it was written."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{file} is no JSON: {error}", fix="nothing was sent; correct it") from None
    wrong = [n for n, value in enumerate(values, start=1) if not isinstance(value, dict)]
    if wrong:
        raise Failure(f"{file}: event {wrong[0]} is no JSON object", fix="nothing was sent; correct it")
    return _elements(text, len(values))


def _elements(text: str, number: int) -> Iterator[str]:
    """The texts of the elements of an array that is known to be well formed."""
    at = text.index("[")
    for _ in range(number):
        at = _skip(text, at + 1)
        _, end = _DECODER.raw_decode(text, at)
        yield text[at:end]
        at = _skip(text, end)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
