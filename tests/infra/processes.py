"""Finds the processes and folders that a run left behind, and waits for what must come true."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def eventually(claim: Callable[[], object], *, timeout_s: float = 15.0) -> None:
    """Return once `claim()` is true; fail with its last value when it does not become so."""
    deadline = time.monotonic() + timeout_s
    while not (value := claim()):
        assert time.monotonic() < deadline, f"still {value!r} after {timeout_s:g} s"
        time.sleep(0.05)


def is_clean(folder: Path) -> bool:
    """Whether nothing is left in `folder` and no process works in it or was told of it."""
    return not list(folder.iterdir()) and not processes_of(folder)


def processes_of(folder: Path) -> list[str]:
    """The command lines of processes that have `folder` in their command line, working folder or TMPDIR."""
    if not Path("/proc/self").exists():
        said = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
        return [line for line in said.stdout.splitlines() if str(folder) in line]
    return [line for pid in Path("/proc").glob("[0-9]*") if (line := _line_if_of(pid, str(folder)))]


def _line_if_of(pid: Path, folder: str) -> str:
    if int(pid.name) == os.getpid():
        return ""
    try:
        line = (pid / "cmdline").read_text(errors="replace").replace("\0", " ")
        facts = f"{line} {(pid / 'cwd').readlink()} {(pid / 'environ').read_text(errors='replace')}"
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it ended, or is nobody's business
        return ""
    return f"{pid.name} {line}" if folder in facts else ""
