"""An export of the audit log: JSON Lines with exactly the texts that were hashed, its head in the last one."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from domain.audit import Entry, Head
from workers.cli.console import FOUND, Failure

#: Bytes of one line; the longest entry that is written has its texts escaped within them.
LINE_BYTES_MAX: Final = 32 * 2**20


class _EntryLine(msgspec.Struct, forbid_unknown_fields=True):
    no: int
    prev_hash: str
    hash: str
    recorded_at: str
    person: str
    token_id: str | None
    approval_id: str | None
    reason: str
    action: str
    subject: str
    before: str | None
    after: str | None


class _HeadLine(msgspec.Struct, forbid_unknown_fields=True):
    head_no: int
    head_hash: str


_entry_of = msgspec.json.Decoder(_EntryLine).decode
_head_of = msgspec.json.Decoder(_HeadLine).decode


def write(file: Path, entries: Iterable[Entry], head: Head, *, advance: Callable[[int], object]) -> int:
    """Write an export; how many entries. Raises `Failure` if the file is there already or cannot be written."""
    written = 0
    try:
        with file.open("x", encoding="utf-8") as opened:
            for entry in entries:
                line = {**asdict(entry), "prev_hash": entry.prev_hash.hex(), "hash": entry.hash.hex()}
                opened.write(json.dumps(line, ensure_ascii=False) + "\n")
                written += 1
                advance(1)
            opened.write(json.dumps({"head_no": head.no, "head_hash": head.hash.hex()}) + "\n")
    except FileExistsError:
        raise Failure(f"{file} is there already", fix="name a file that is not there yet") from None
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}", fix="name another file") from None
    return written


class Export:
    """An export as it is read: its entries, and after the last of them its head."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.head: Head | None = None

    def entries(self) -> Iterator[Entry]:
        """The entries in the order of the lines. Raises `Failure` that names the line which is none of an export."""
        try:
            with self._file.open("rb") as opened:
                number = 0
                for number, line in enumerate(_lines(opened), start=1):
                    if self.head is not None:
                        raise self._unreadable(number, "it comes after the head, which is the last line")
                    yield from self._read(number, line)
            if not number:
                raise self._unreadable(1, "the file is empty")
        except OSError as error:
            raise Failure(
                f"{self._file} cannot be read: {error.strerror}", fix="name an export that is there"
            ) from None

    def _read(self, number: int, line: bytes) -> Iterator[Entry]:
        if len(line) > LINE_BYTES_MAX:
            raise self._unreadable(number, f"it has more than {LINE_BYTES_MAX} bytes")
        try:
            if line.startswith(b'{"head_no"'):
                told = _head_of(line)
                self.head = Head(told.head_no, bytes.fromhex(told.head_hash))
                return
            read = _entry_of(line)
            hashes = {"prev_hash": bytes.fromhex(read.prev_hash), "hash": bytes.fromhex(read.hash)}
        except (msgspec.DecodeError, ValueError) as error:
            raise self._unreadable(number, str(error)) from None
        yield Entry(**{**msgspec.structs.asdict(read), **hashes})

    def _unreadable(self, number: int, why: str) -> Failure:
        fix = "compare it with another copy of the export; a file that was cut or edited proves nothing"
        return Failure(f"line {number} of {self._file} is none of an audit export: {why}", fix=fix, code=FOUND)


def _lines(opened: BinaryIO) -> Iterator[bytes]:
    while line := opened.readline(LINE_BYTES_MAX + 1):
        yield line
