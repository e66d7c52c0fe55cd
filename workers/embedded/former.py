"""What a run that was killed together with its supervisor may have left behind: a server nobody owns."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

#: For each of the signals below, before the next one is sent.
_GRACE_S = 15.0
_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)


class FormerServerStays(Exception):
    """A former server of this data folder does not end, not even by SIGKILL."""


def end_former_server(data: Path) -> None:
    """End a server that still runs on `data`, and remove the pid file that a dead one left.

    The caller holds the home folder's lock, so whoever started that server is gone. Without this, PostgreSQL
    refuses to start when the number in the file is now some other process's.
    Raises `FormerServerStays`.
    """
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().split("\n", 1)[0])
    for number in _SIGNALS:
        if not is_server_of(pid, data):
            pid_file.unlink(missing_ok=True)
            return
        os.kill(pid, number)
        _wait_for_the_end(pid)
    if is_server_of(pid, data):
        raise FormerServerStays(f"process {pid} still runs on {data}")
    pid_file.unlink(missing_ok=True)


def is_server_of(pid: int, data: Path) -> bool:
    """Whether the process `pid` is alive and is a PostgreSQL started on `data`."""
    words = command_line(pid)
    return bool(words) and words[0].endswith("postgres") and str(data) in words


def is_alive(pid: int) -> bool:
    """Whether a process of that number runs, whoever's it is; a zombie does not."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def command_line(pid: int) -> list[str]:
    """The words a process was started with; empty when it is gone or a zombie."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
        except (FileNotFoundError, ProcessLookupError):
            return []
    command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def _wait_for_the_end(pid: int) -> None:
    deadline = time.monotonic() + _GRACE_S
    while command_line(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
