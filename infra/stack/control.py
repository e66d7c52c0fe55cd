"""How tests kill and start the servers of the stack they run in."""

import json
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

from infra.stack.servers import NotOurs, Server
from workers.embedded.supervised import NotStarted

CONTROL_VARIABLE = "TALLYLINE_STACK_CONTROL"
#: The slowest answer is a RabbitMQ that starts.
ANSWER_S_MAX = 180.0


class ControlFailed(Exception):
    """The stack refused or failed to do what it was asked; the text is its answer."""


class Control:
    """The servers of a running stack, by name: `postgres`, `rabbitmq`, `redis`."""

    def __init__(self, path: str) -> None:
        self._path = path

    @classmethod
    def from_environment(cls) -> "Control":
        """The control of the stack this process was started by. Raises `ControlFailed` outside of one."""
        path = os.environ.get(CONTROL_VARIABLE)
        if not path:
            raise ControlFailed(f"{CONTROL_VARIABLE} is not set: run this under `make test` or `python -m infra.stack`")
        return cls(path)

    def kill(self, name: str) -> None:
        """Kill -9 a server; it is gone on return."""
        self._ask("kill", name)

    def start(self, name: str) -> None:
        """Start a killed server again on its port and data; it serves on return."""
        self._ask("start", name)

    def is_running(self, name: str) -> bool:
        """Whether a server's process lives."""
        return bool(self._ask("status", name))

    def _ask(self, verb: str, name: str) -> object:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_S_MAX)
            try:
                connection.connect(self._path)
                connection.sendall(json.dumps([verb, name]).encode() + b"\n")
                answer = json.loads(_line(connection))
            except (OSError, ValueError) as failure:
                raise ControlFailed(f"the stack does not answer: {failure}") from failure
        if "error" in answer:
            raise ControlFailed(answer["error"])
        return answer["result"]


def _line(connection: socket.socket) -> str:
    with connection.makefile() as lines:
        return lines.readline()


class ControlSocket:
    """The stack's end: answers one request a connection, one after the other."""

    def __init__(self, path: Path, servers: Mapping[str, Server]) -> None:
        self.path = path
        self._servers = servers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        threading.Thread(target=self._serve, name="stack control", daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(10)
                try:
                    self._answer(connection)
                except (OSError, ValueError):
                    continue  # it hung up, or does not speak our language: the next one may

    def _answer(self, connection: socket.socket) -> None:
        verb, name = json.loads(_line(connection))
        try:
            answer = {"result": self._done(verb, name)}
        except (NotOurs, NotStarted, KeyError) as failure:
            answer = {"error": str(failure)}
        connection.sendall(json.dumps(answer).encode() + b"\n")

    def _done(self, verb: str, name: str) -> object:
        if name not in self._servers:
            raise NotOurs(f"this stack has no {name}, only {', '.join(self._servers)}")
        server = self._servers[name]
        if verb == "kill":
            server.kill()
        elif verb == "start":
            server.start()
        elif verb == "status":
            return server.is_running()
        else:
            raise NotOurs(f"cannot {verb}, only kill, start, status")
        return True
