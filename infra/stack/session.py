"""One run of the stack: start the servers, run the command, and end everything whatever happens."""

import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from infra.stack.control import CONTROL_VARIABLE, ControlSocket
from infra.stack.household import Household, say
from infra.stack.lifeline import Lifeline
from infra.stack.servers import Server
from workers.embedded.supervised import Program, Supervised

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: What a command may take to end by itself after SIGTERM.
COMMAND_GRACE_S = 10.0


class Interrupted(BaseException):
    """A signal came before the command ran; not an `Exception`, so that nothing on the way mistakes it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Session:
    """The servers, the command, and the signals that end them."""

    def __init__(self, household: Household) -> None:
        self._household = household
        self._command: Supervised | None = None
        self._is_ending = False

    def listen(self) -> None:
        """From now on signals, and the loss of parent or terminal, end the session in good order."""
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup stays in force
                signal.signal(number, self._on_signal)
        Lifeline().watch(self._on_line_cut)

    def start(self, servers: Sequence[Server]) -> None:
        """Start all servers side by side. Raises what the first failing one raises."""
        with ThreadPoolExecutor(max_workers=max(len(servers), 1)) as pool:
            try:
                for future in [pool.submit(_start_and_say, server) for server in servers]:
                    future.result()
            except BaseException:
                self._household.end_all()  # else the pool would wait for the others to be ready
                raise

    def run(self, command: Sequence[str], servers: Sequence[Server]) -> int:
        """The exit code of the command, run with the servers' addresses in its environment."""
        control = ControlSocket(self._household.folder / "control", {server.name: server for server in servers})
        addresses = {name: value for server in servers for name, value in server.environment().items()}
        self._command = self._household.supervise(
            Program(
                argv=tuple(command),
                environment={**os.environ, **addresses, CONTROL_VARIABLE: str(control.path)},
                folder=Path.cwd(),
                grace_s=COMMAND_GRACE_S,
            )
        )
        return self._command.wait()

    def end(self) -> None:
        """End the command, then the servers. Signals no longer interrupt."""
        self._is_ending = True
        if self._command:
            self._command.end()
        self._household.end_all()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._is_ending:
            return
        if self._command is None:
            self._is_ending = True
            raise Interrupted(number)
        if number == signal.SIGINT:
            self._command.signal(number)  # pytest prints what it knows; honcho stops its processes
        else:
            self._command.ask_to_end()

    def _on_line_cut(self) -> None:
        say("whoever started this is gone: stopping")
        if self._command:
            self._command.ask_to_end()
        else:
            os.kill(os.getpid(), signal.SIGTERM)


def _start_and_say(server: Server) -> None:
    began_at = time.monotonic()
    server.start()
    say(f"{server.name} ready in {time.monotonic() - began_at:.1f} s")
