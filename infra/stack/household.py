"""Everything that a stack started, so that all of it can be ended at once, from any moment of its life."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from workers.embedded.supervised import NotStarted, Program, Supervised


class CommandFailed(Exception):
    """A command that fetches or prepares something ended with an error; the text holds its last words."""


def say(words: str) -> None:
    """Tell the user; a terminal that is gone must not keep us from cleaning up."""
    with contextlib.suppress(OSError):
        print(f"[stack] {words}", file=sys.stderr, flush=True)


class Household:
    """Starts programs and ends them all; once it is closed it starts no more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._members: list[Supervised] = []
        self._is_closed = False

    def supervise(self, program: Program, *, inherit: tuple[int, ...] = ()) -> Supervised:
        """The running program. Raises `NotStarted`, also when the household is being closed."""
        with self._lock:
            if self._is_closed:
                raise NotStarted("the stack is ending")
            member = Supervised(program, inherit=inherit)
            self._members.append(member)
        return member

    def run(self, command: list[str], *, environment: Mapping[str, str], folder: Path, timeout_s: float = 900) -> None:
        """Run a command to its end, out of sight. Raises `CommandFailed` with its last words."""
        log_path = self.folder / f"{Path(command[0]).name}.log"
        program = Program(argv=tuple(command), environment=environment, folder=folder, log_path=log_path)
        try:
            with self.supervise(program) as running:
                code = running.wait(timeout_s)
                last_words = running.log_end()
        except (NotStarted, subprocess.TimeoutExpired) as failure:
            raise CommandFailed(f"{' '.join(command)}: {failure}") from failure
        if code != 0:
            raise CommandFailed(f"{' '.join(command)} ended with {code}:\n{last_words}")

    def end_all(self) -> None:
        """End every program; they end side by side, and it returns when all of them are gone."""
        with self._lock:
            self._is_closed = True
        for member in reversed(self._members):
            member.ask_to_end()
        for member in self._members:
            member.end()
