"""The fleet as the Procfile describes it, run as real processes that a test may kill; those that end start again."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from workers.embedded.supervised import Program, Supervised

ROOT = Path(__file__).resolve().parents[1]
#: Where modules like `lossy_hints` lie.
FLEET_TESTS = ROOT / "tests" / "fleet"
#: After SIGTERM a process may end what it does.
STOP_S_MAX = 20.0


def commands() -> dict[str, str]:
    """The command of each process type, in the order of the Procfile."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines if line and not line.startswith("#"))
    return {name: command.strip() for name, command in pairs}


def prepared(command: str, module: str) -> str:
    """The same command with a module of the tests that is imported first, to make the process behave badly."""
    command = command.replace(" dramatiq workers.", f" dramatiq {module} workers.")
    run = f"import {module}, runpy; runpy.run_module('\\1', run_name='__main__', alter_sys=True)"
    return re.sub(r" python -m (workers\.\w+)", f' python -c "{run}"', command)


def wait_until(holds: Callable[[], object], *, for_s: float = 30.0, what: str = "") -> None:
    """Poll until `holds` is true; fails after `for_s` seconds."""
    deadline = time.monotonic() + for_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {for_s} s: {what}"
        time.sleep(0.05)


@dataclass
class Process:
    """One process type and what it wrote; its processes end when the test run does, however that ends."""

    name: str
    command: str
    environment: Mapping[str, str]
    log_path: Path
    starts: int = 0
    running: Supervised | None = None

    def start(self) -> None:
        """Start it, in a group of its own."""
        self.starts += 1
        argv = ("sh", "-c", self.command)
        self.running = Supervised(Program(argv, self.environment, ROOT, self.log_path, grace_s=STOP_S_MAX))

    def is_running(self) -> bool:
        """Whether it lives."""
        return self.running is not None and self.running.is_running()

    def kill(self) -> None:
        """Kill -9 the whole group."""
        assert self.running is not None
        self.running.signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the main process to end, as a platform does; one that is gone needs not be asked."""
        assert self.running is not None
        with suppress(ProcessLookupError):
            os.kill(self.running.pid, signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code; whoever does not end in time is killed, as a supervisor would do."""
        assert self.running is not None
        with suppress(subprocess.TimeoutExpired):
            self.running.wait(STOP_S_MAX)
        return self.running.end()

    def log(self) -> str:
        """All it wrote."""
        return self.log_path.read_text(errors="replace")


@dataclass
class Fleet:
    """Processes of the Procfile under a supervisor: a process that ends is started again, as every platform does."""

    environment: Mapping[str, str]
    folder: Path
    processes: dict[str, Process] = field(default_factory=dict)
    module: str = ""
    exits: dict[str, list[int]] = field(default_factory=dict)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _supervisor: threading.Thread | None = None

    def start(self, names: Sequence[str] = ()) -> None:
        """Start these process types, or all."""
        for name, command in commands().items():
            if not names or name in names:
                chosen = prepared(command, self.module) if self.module else command
                self.processes[name] = Process(name, chosen, self._environment(), self.folder / f"{name}.log")
                self.processes[name].start()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._supervisor.start()

    def kill(self, name: str) -> None:
        """Kill -9 the processes of a type; the supervisor starts them again."""
        process = self.processes[name]
        assert process.is_running(), f"{name} does not run:\n{process.log()[-2000:]}"
        starts = process.starts
        process.kill()
        wait_until(lambda: process.starts > starts, what=f"{name} starts again")

    def stop(self) -> dict[str, int]:
        """End all in good order; their exit codes."""
        self._is_over.set()
        if self._supervisor is not None:
            self._supervisor.join()
        for process in self.processes.values():
            process.terminate()
        return {name: process.wait() for name, process in self.processes.items()}

    def _supervise(self) -> None:
        while not self._is_over.wait(0.1):
            for process in self.processes.values():
                if not process.is_running():
                    self.exits.setdefault(process.name, []).append(process.wait())
                    process.start()

    def _environment(self) -> dict[str, str]:
        paths = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{FLEET_TESTS}",
            "PYTHONUNBUFFERED": "1",
            "TALLYLINE_METRICS_PORT": "0",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYLINE_")}
        return {**kept, **paths, **self.environment}
