"""Reads a file line by line, plain or gzipped, in bounded memory; a line that cannot be read harms no other."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from domain.refused import Refused

#: Bytes of one line; an event of that size still fits into a message, however it is written.
LINE_BYTES_MAX = 256 * 1024
#: Lines between two looks at how far the file was read.
LINES_PER_LOOK = 1_000


class FileUnreadable(Exception):
    """The file cannot be used at all; nothing of it was sent."""

    def __init__(self, sentence: str, *, fix: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.fix = fix


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that is no event: its line, and why."""

    line: int
    refused: Refused


def unreadable(line: int, sentence: str) -> RefusedRow:
    """A line that is no row of its file."""
    return RefusedRow(line, Refused("row_unreadable", "", sentence))


def size_of(file: Path) -> int:
    """The bytes of a file. Raises `FileUnreadable` if it is not there."""
    try:
        if file.is_file():
            return file.stat().st_size
    except OSError as error:
        raise FileUnreadable(f"{file} cannot be read: {error.strerror}", fix="name a file that can be read") from None
    raise FileUnreadable(f"there is no file {file}", fix="name a file that can be read")


def lines(file: Path, advance: Callable[[int], object] = lambda _bytes: None) -> Iterator[tuple[int, str] | RefusedRow]:
    """Each line that is not empty, with its number from 1; `advance` is told the bytes read since it was last told.

    Raises `FileUnreadable` if the file cannot be opened; a file that breaks off ends with a refused row.
    """
    size_of(file)
    try:
        raw = file.open("rb")
    except OSError as error:
        raise FileUnreadable(f"{file} cannot be read: {error.strerror}", fix="name a file that can be read") from None
    with raw:
        told = 0
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw) if file.suffix == ".gz" else raw)
        for number, line in enumerate(_raw_lines(stream), start=1):
            if number % LINES_PER_LOOK == 0:
                advance(raw.tell() - told)
                told = raw.tell()
            read = _read(number, line)
            if read is not None:
                yield read
        advance(raw.tell() - told)


def _raw_lines(stream: IO[bytes]) -> Iterator[bytes | str]:
    """Lines with their ends; a text says what is wrong with one."""
    try:
        while line := stream.readline(LINE_BYTES_MAX + 1):
            if len(line) <= LINE_BYTES_MAX:
                yield line
                continue
            while line and not line.endswith(b"\n"):
                line = stream.readline(LINE_BYTES_MAX + 1)
            yield f"the line has more than {LINE_BYTES_MAX} bytes"
    except (OSError, EOFError, zlib.error) as error:
        yield f"the file breaks off here: {error}"


def _read(number: int, line: bytes | str) -> tuple[int, str] | RefusedRow | None:
    if isinstance(line, str):
        return unreadable(number, line)
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
    except UnicodeDecodeError as error:
        return unreadable(number, f"the line is not UTF-8 at byte {error.start}")
    return (number, text) if text.strip() else None
