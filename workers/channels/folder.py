"""Notices in files, for a run without a broker: one file of JSON Lines for each exchange."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from queues.publishing import NoticeNotSent

#: When a full or missing disk is tried again.
REST_S = 30.0


@dataclass(frozen=True, slots=True)
class Folder:
    """`<path>/<exchange>.jsonl`, each line an object of `routing_key` and `event`; a line that a crash cut is ended."""

    path: Path

    def publish(self, exchange: str, routing_key: str, body: bytes) -> None:
        """Append a CloudEvent and wait until it is on disk. Raises `NoticeNotSent` if that fails."""
        line = msgspec.json.encode({"routing_key": routing_key, "event": msgspec.Raw(body)}) + b"\n"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / f"{exchange}.jsonl").open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _end_last_line(file.fileno())
                os.write(file.fileno(), line)
                os.fsync(file.fileno())
        except OSError as error:
            raise NoticeNotSent(f"the notice was not written: {error}", delay_s=REST_S) from error


def _end_last_line(descriptor: int) -> None:
    """End the last line if a process died while it wrote it."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.write(descriptor, b"\n")
