"""A usage file as a command names it: which format it has, and the events that its rows come to."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from queues.contracts import json_in
from workers.cli.bodies import texts
from workers.files import file_mapping
from workers.files.events import Items, Maker
from workers.files.file_mapping import FileMapping, Register
from workers.files.lines import FileUnreadable, lines, size_of
from workers.files.readings import Found, Readings
from workers.files.rows import Row, Rows, csv_table, json_table

#: Bytes of a JSON document over many lines, which is read at once; JSON Lines may be of any size.
DOCUMENT_BYTES_MAX = 64 * 2**20
#: How files of JSON end.
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")

Advance = Callable[[int], object]


class Format(StrEnum):
    """What the rows of a file are."""

    csv = "csv"
    jsonl = "jsonl"
    register = "register"


@dataclass(slots=True)
class UsageFile:
    """A file with what was said of it. `found` holds its registers once all events have been read."""

    file: Path
    mapping: FileMapping
    format: Format
    source: str | None
    since: Sequence[Path] = ()
    is_mapped: bool = False
    found: list[Found] = field(default_factory=list)

    def items(self, advance: Advance = lambda _bytes: None) -> Items:
        """The events of the file, and the rows that are none. Raises `FileUnreadable`."""
        if self.format is not Format.register:
            maker = Maker(self.mapping, self.source, is_plain=not self.is_mapped)
            return maker.events(self._rows(self.file, advance))
        readings = Readings(self.mapping, self.source, self.found)
        for file in self.since:
            readings.know(self._rows(file, lambda _bytes: None))
        return readings.events(self._rows(self.file, advance))

    def _rows(self, file: Path, advance: Advance) -> Rows:
        if is_json(file):
            if is_document(file):
                return _elements(file, advance)
            table = json_table(lines(file, advance))
        else:
            table = csv_table(lines(file, advance), delimiter=self.mapping.delimiter)
        self.mapping.check(table.columns)
        return table.rows


def usage_file(
    file: Path, *, format_: Format | None, mapping: Path | None, source: str | None, since: Sequence[Path] = ()
) -> UsageFile:
    """The file as it is to be read. Raises `FileUnreadable`, and `MasterInvalid` for a mapping that is none."""
    size_of(file)
    made = FileMapping() if mapping is None else file_mapping.load(mapping)
    if format_ is None:
        as_rows = Format.jsonl if is_json(file) else Format.csv
        format_ = Format.register if made.readings is not None else as_rows
    if format_ is not Format.register and (is_json(file) != (format_ is Format.jsonl)):
        endings = ", ".join(JSON_SUFFIXES) if format_ is Format.jsonl else ".csv"
        raise FileUnreadable(f"{file} is no file of the format {format_}", fix=f"its name ends in {endings}")
    if since and format_ is not Format.register:
        raise FileUnreadable("only readings of registers go on from a file before", fix="leave out --since-file")
    if source is None and (format_ is Format.register or not is_json(file)):
        raise FileUnreadable("the rows do not say which source they are of", fix="name it with --source")
    if format_ is Format.register and made.readings is None:
        made = made.model_copy(update={"readings": Register()})
    return UsageFile(file, made, format_, source, since, is_mapped=mapping is not None)


def is_json(file: Path) -> bool:
    """Whether the file's name says that it is JSON."""
    return file.name.removesuffix(".gz").endswith(JSON_SUFFIXES)


def is_document(file: Path) -> bool:
    """Whether a JSON file is one array or object over many lines, and not an object a line."""
    first = next(iter(lines(file)), None)
    if not isinstance(first, tuple):
        return False
    text = first[1].lstrip()
    return text.startswith("[") or (text.startswith("{") and not _is_whole(text))


def _is_whole(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return _closes(text)
    return True


def _closes(text: str) -> bool:
    """Whether a line that is no JSON at least ends like an object: then it is a bad line among others."""
    return text.rstrip().endswith("}")


def _elements(file: Path, advance: Advance) -> Iterator[Row]:
    """The events of a JSON document, numbered from 1. Raises `FileUnreadable` for a large one, `Failure` for none."""
    if _size(file) > DOCUMENT_BYTES_MAX:
        sentence = f"{file} is one JSON document of more than {DOCUMENT_BYTES_MAX} bytes"
        raise FileUnreadable(sentence, fix="write one event a line: JSON Lines may be of any size")
    for number, text in enumerate(texts(file), start=1):
        found = json_in(text.encode())
        assert isinstance(found, dict), "`texts` yields objects alone"
        yield Row(number, found, text)
    advance(size_of(file))


def _size(file: Path) -> int:
    """The bytes of the file's content, as far as it matters."""
    if file.suffix != ".gz":
        return size_of(file)
    try:
        with gzip.open(file) as opened:
            return len(opened.read(DOCUMENT_BYTES_MAX + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise FileUnreadable(f"{file} cannot be read: {error}", fix="compress it anew") from None
