"""Notices that nobody is left to stop us: our parent died, or the terminal we were started from is gone."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable

from workers.embedded.former import is_alive

POLL_S = 0.3


class Lifeline:
    """Watches the parent and, unless we were started under nohup, the session's leader and terminal."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._leader = 0 if _is_under_nohup() else os.getsid(0)
        self._terminals = [] if _is_under_nohup() else [fd for fd in (0, 1, 2) if os.isatty(fd)]
        if self._leader in (0, os.getpid()) or not is_alive(self._leader):
            self._leader = 0  # ourselves, or hidden from us by a container

    def is_cut(self) -> bool:
        """Whether one of those we watch is gone."""
        return os.getppid() != self._parent or (self._leader != 0 and not is_alive(self._leader)) or self._has_hung_up()

    def watch(self, act: Callable[[], None]) -> None:
        """Call `act` once, from a thread, when the line is cut."""
        threading.Thread(target=self._watch, args=(act,), name="lifeline", daemon=True).start()

    def _watch(self, act: Callable[[], None]) -> None:
        while not self.is_cut():
            time.sleep(POLL_S)
        act()

    def _has_hung_up(self) -> bool:
        poll = select.poll()
        for terminal in self._terminals:
            poll.register(terminal, 0)  # hang-ups are reported unasked
        return any(event & select.POLLHUP for _, event in poll.poll(0))


def _is_under_nohup() -> bool:
    return signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
