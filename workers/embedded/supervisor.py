"""A small process that owns one server and outlives whoever asked for it, so that nothing is ever left running.

It is started as a file of its own (`python -I -S supervisor.py CONTROL STATUS LABEL`), knows only the standard
library, and sits in a session of its own, where no Ctrl-C and no closed terminal reaches it. CONTROL is the reading
end of a pipe whose other end only the owner holds: when the owner dies in any way, kill -9 included, the pipe ends
and the supervisor stops what it started. On the pipe STATUS it reports the program's pid, or why there is none.

The first line on CONTROL is the order (see `Order`); later lines are `signal N` or `stop`.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn, TypedDict

#: prctl(2): orphaned descendants become ours instead of init's, so that we see and end them. Linux only.
PR_SET_CHILD_SUBREAPER = 36
#: How often the owner is looked for, in case a forked copy of it still holds the pipe open.
OWNER_POLL_S = 0.5
#: How long killed processes may take to vanish before we stop waiting for them.
SWEEP_S_MAX = 10.0


class Order(TypedDict):
    """What to start and how to end it; `argv` empty means: start nothing, only clean up at the end."""

    argv: list[str]
    environment: dict[str, str]
    folder: str
    log_path: str  # empty: standard output and error are the owner's
    uid: int  # -1: the owner's account
    gid: int
    signals_group: bool  # False for a server whose main process ends its own children
    stop_signals: list[int]
    grace_s: float  # after each of `stop_signals`, before the next and at last SIGKILL
    farewell: list[str]  # a command that runs after the end, such as the removal of containers
    remove: list[str]  # folders removed at the very end


class Supervisor:
    """One program, its signals, its end, and the end of everything that it started."""

    def __init__(self, control: int, status: int) -> None:
        self.control = control
        self.status = status
        self.owner_pid = os.getppid()
        self.lines = b""
        self.is_stopping = False
        self.exit_code: int | None = None
        self.program: subprocess.Popen[bytes] | None = None  # kept: a forgotten Popen would collect its own exit code
        self.pid = 0

    def run(self) -> int:
        """The exit code of the program, once it and all its descendants are gone."""
        wakeup, wakeup_writer = os.pipe()
        os.set_blocking(wakeup_writer, False)
        signal.set_wakeup_fd(wakeup_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: self._ask_to_stop())
        # Caught, not ignored: what is ignored would stay so in the program, and could then never stop it.
        for passed_over in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            signal.signal(passed_over, lambda *_: None)
        _adopt_orphans()
        order = self._order()
        try:
            self._start(order)
            while self.exit_code is None and not self.is_stopping:
                self._turn(wakeup, order, OWNER_POLL_S)
            for number in order["stop_signals"]:
                self._end_with(number, wakeup, order)
        finally:
            self._clean_up(order)
        return self.exit_code or 0

    def _order(self) -> Order:
        while b"\n" not in self.lines:
            chunk = os.read(self.control, 65536)
            if not chunk:  # the owner died before it said what it wanted
                sys.exit(0)
            self.lines += chunk
        line, self.lines = self.lines.split(b"\n", 1)
        order: Order = json.loads(line)
        return order

    def _start(self, order: Order) -> None:
        if not order["argv"]:
            self._report(pid=os.getpid())
            return
        try:
            self.program = _spawned(order)
        except (OSError, subprocess.SubprocessError) as error:
            self._report(error=f"{order['argv'][0]}: {error}")
            self.exit_code = 127
            return
        self.pid = self.program.pid
        self._report(pid=self.pid)

    def _turn(self, wakeup: int, order: Order, wait_s: float) -> None:
        readable, _, _ = select.select([wakeup] if self.is_stopping else [self.control, wakeup], [], [], wait_s)
        if wakeup in readable:
            os.read(wakeup, 512)
        if self.control in readable:
            self._read_control(order)
        if os.getppid() != self.owner_pid:
            self.is_stopping = True
        self._reap()

    def _read_control(self, order: Order) -> None:
        chunk = os.read(self.control, 65536)
        if not chunk:
            self.is_stopping = True
        *lines, self.lines = (self.lines + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"signal "):
                self._send(int(line[7:]), order)
            elif line == b"stop":
                self.is_stopping = True

    def _end_with(self, number: int, wakeup: int, order: Order) -> None:
        if self.exit_code is not None or not self.pid:
            return
        self._send(number, order)
        deadline = time.monotonic() + order["grace_s"]
        while self.exit_code is None and time.monotonic() < deadline:
            self._turn(wakeup, order, 0.1)

    def _send(self, number: int, order: Order) -> None:
        if not self.pid or self.exit_code is not None:
            return
        _signal(self.pid, number, whole_group=order["signals_group"])

    def _reap(self) -> bool:
        """Collect ended children; False once there is none left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.pid:
                self.exit_code = os.waitstatus_to_exitcode(status)

    def _clean_up(self, order: Order) -> None:
        deadline = time.monotonic() + SWEEP_S_MAX
        if self.pid and (self.exit_code is None or order["signals_group"]):
            _signal(self.pid, signal.SIGKILL, whole_group=True)
        while self._reap() and time.monotonic() < deadline:
            for pid in children_of(os.getpid()):
                _signal(pid, signal.SIGKILL, whole_group=False)
            time.sleep(0.005)
        if order["farewell"]:
            subprocess.run(
                order["farewell"], check=False, stdin=subprocess.DEVNULL, env=order["environment"], timeout=60
            )
        for folder in order["remove"]:
            _remove(Path(folder))

    def _ask_to_stop(self) -> None:
        self.is_stopping = True

    def _report(self, **facts: object) -> None:
        try:
            os.write(self.status, json.dumps(facts).encode() + b"\n")
        except BrokenPipeError:
            return  # the owner is dead, which is exactly when we are needed


def _spawned(order: Order) -> subprocess.Popen[bytes]:
    log = os.open(order["log_path"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if order["log_path"] else None
    account = {"user": order["uid"], "group": order["gid"], "extra_groups": []} if order["uid"] >= 0 else {}
    try:
        return subprocess.Popen(  # type: ignore[no-any-return]
            order["argv"],
            env=order["environment"],
            cwd=order["folder"],
            stdin=None if log is None else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **account,  # type: ignore[call-overload]
        )
    finally:
        if log is not None:
            os.close(log)


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children_of(parent_pid: int) -> list[int]:
    """The processes whose parent is `parent_pid`; empty where there is no /proc (there, orphans are not adopted)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        if int(fields[1]) == parent_pid:
            found.append(int(entry.parent.name))
    return found


def _remove(folder: Path) -> None:
    """Remove a folder in which programs of other supervisors may still be writing their last."""
    deadline = time.monotonic() + SWEEP_S_MAX
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)


def _signal(pid: int, number: int, *, whole_group: bool) -> None:
    try:
        (os.killpg if whole_group else os.kill)(pid, number)
    except (ProcessLookupError, PermissionError):  # gone; macOS says EPERM when only zombies are left in a group
        return


def main() -> NoReturn:
    """Run as the owner ordered; the exit code is the program's, or 128 + the signal that ended it."""
    code = Supervisor(control=int(sys.argv[1]), status=int(sys.argv[2])).run()
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
