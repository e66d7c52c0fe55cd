"""Programs that cannot outlive this process: each runs under a supervisor that ends it when we die in any way."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from workers.embedded import supervisor


class NotStarted(Exception):
    """A program could not be started, or ended before it was ready; the text holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Account:
    """An operating system account that a program runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how it wants to be ended; without `argv` only its end (`farewell`, `remove`) is supervised."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    log_path: Path | None = None
    account: Account | None = None
    signals_group: bool = True
    stop_signals: tuple[int, ...] = (signal.SIGTERM,)
    grace_s: float = 5.0
    farewell: tuple[str, ...] = ()
    remove: tuple[Path, ...] = field(default=())

    def label(self) -> str:
        """What is supervised, in a few words."""
        return " ".join((*self.argv[:1], *map(str, self.remove), *self.farewell[:1])) or "nothing"

    def order(self) -> supervisor.Order:
        """The program in the words of its supervisor."""
        return {
            "argv": list(self.argv),
            "environment": dict(self.environment),
            "folder": str(self.folder),
            "log_path": str(self.log_path or ""),
            "uid": self.account.uid if self.account else -1,
            "gid": self.account.gid if self.account else -1,
            "signals_group": self.signals_group,
            "stop_signals": [int(number) for number in self.stop_signals],
            "grace_s": self.grace_s,
            "farewell": list(self.farewell),
            "remove": [str(folder) for folder in self.remove],
        }


class Supervised:
    """A running program; leaving the `with` block ends it and everything that it started.

    `inherit` are file descriptors the supervisor keeps open as long as anything of the program lives (a lock).
    Raises `NotStarted` when the program cannot be executed.
    """

    def __init__(self, program: Program, *, inherit: tuple[int, ...] = ()) -> None:
        self.program = program
        self._writing = threading.RLock()  # a signal handler may speak while we do
        control, self._control = os.pipe()
        status_reader, status = os.pipe()
        self._process = subprocess.Popen(
            # The last word is for whoever reads a list of processes.
            [sys.executable, "-I", "-S", supervisor.__file__, str(control), str(status), program.label()],
            pass_fds=(control, status, *inherit),
            start_new_session=True,
            cwd="/",
        )
        os.close(control)
        os.close(status)
        self._tell(json.dumps(program.order()))
        with os.fdopen(status_reader) as reports:
            self.pid = self._pid_in(reports.readline())

    def _pid_in(self, line: str) -> int:
        report = json.loads(line) if line else {"error": "the supervisor died"}
        if "error" in report:
            self.end()
            raise NotStarted(report["error"])
        return int(report["pid"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.end()

    def is_running(self) -> bool:
        """Whether the program has not ended yet."""
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the program (to its whole group, if it asked for that)."""
        self._tell(f"signal {number}")

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit code (128 + N after signal N), once the program and all it started are gone.

        Raises `subprocess.TimeoutExpired` when that takes longer than `timeout_s`.
        """
        return self._process.wait(timeout_s)

    def ask_to_end(self) -> None:
        """Begin the end of the program without waiting for it."""
        with self._writing:
            if self._control >= 0:
                os.close(self._control)
                self._control = -1

    def end(self) -> int:
        """End the program with its stop signals, then SIGKILL; the exit code."""
        self.ask_to_end()
        return self.wait()

    def log_end(self, characters_max: int = 3000) -> str:
        """The last lines that the program wrote; empty when it writes to our terminal."""
        path = self.program.log_path
        return path.read_text(errors="replace")[-characters_max:] if path and path.exists() else ""

    def _tell(self, line: str) -> None:
        with self._writing:
            if self._control < 0:
                return
            try:
                os.write(self._control, line.encode() + b"\n")
            except BrokenPipeError:
                return  # it has ended by itself: there is nothing left to tell


class Supervise(Protocol):
    """Whatever starts a program under a supervisor: `Supervised` itself, or a keeper of many."""

    def __call__(self, program: Program, *, inherit: tuple[int, ...] = ()) -> Supervised:
        """The running program; raises `NotStarted`."""
        ...
