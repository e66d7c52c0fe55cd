"""Servers in containers, where a Docker engine answers: `infra/compose.yaml` under a project name of its own."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.stack import rabbitmq, redis
from infra.stack.household import CommandFailed, Household
from infra.stack.servers import with_free_ports
from workers.embedded import cluster
from workers.embedded.ports import LOOPBACK, free_port
from workers.embedded.supervised import NotStarted, Program

FILE = Path(__file__).resolve().parents[1] / "compose.yaml"
ENGINE_ANSWER_S_MAX = 8
READY_S_MAX = 60.0
USER = "tallyline"
#: The published ports of each service, by the variable that names them in the compose file.
PORT_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "postgres": ("TALLYLINE_POSTGRES_PORT",),
    "rabbitmq": ("TALLYLINE_RABBITMQ_PORT", "TALLYLINE_CONSOLE_PORT", "TALLYLINE_RABBITMQ_METRICS_PORT"),
    "redis": ("TALLYLINE_REDIS_PORT",),
}


def engine_answers() -> bool:
    """Whether there is a Docker client with compose, and an engine behind it: the client alone proves nothing."""
    docker = shutil.which("docker")
    if not docker:
        return False
    for question in (["info", "--format", "{{.ServerVersion}}"], ["compose", "version"]):
        try:
            said = subprocess.run(
                [docker, *question],
                capture_output=True,
                timeout=ENGINE_ANSWER_S_MAX,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return False
        if said.returncode != 0:
            return False
    return True


class Project:
    """One compose project; it is taken down, volumes included, when the household ends in whatever way."""

    def __init__(self, household: Household, postgres_options: Mapping[str, str]) -> None:
        self.password = cluster.new_password()
        self._household = household
        self._ports: dict[str, int] = {}
        override = household.folder / "compose.override.json"
        options = {**cluster.OPTIONS, **cluster.THROW_AWAY_OPTIONS, "listen_addresses": "*", **postgres_options}
        command = ["postgres", *(word for name, value in options.items() for word in ("-c", f"{name}={value}"))]
        override.write_text(json.dumps({"services": {"postgres": {"command": command}}}))
        name = f"tallyline-{secrets.token_hex(4)}"
        self._command = ["docker", "compose", "-p", name, "-f", str(FILE), "-f", str(override)]
        household.supervise(
            Program(
                argv=(),
                environment=self._environment(),
                folder=Path("/"),
                farewell=(*self._command, "down", "--volumes", "--timeout", "0"),
            )
        )

    def up(self, service: str) -> None:
        """Start a service, the first time or again, and return when it is healthy. Raises `NotStarted`."""
        for variable in PORT_VARIABLES[service]:
            self._ports.setdefault(variable, free_port(frozenset(self._ports.values())))
        self._run("up", "--detach", "--wait", "--no-deps", "--no-recreate", service)

    def forget_ports(self, service: str) -> None:
        """Let the next `up` of a service choose other ports."""
        for variable in PORT_VARIABLES[service]:
            self._ports.pop(variable, None)

    def kill(self, service: str) -> None:
        """SIGKILL a service."""
        self._run("kill", "--signal", signal.SIGKILL.name, service)

    def port(self, variable: str) -> int:
        """A published port."""
        return self._ports[variable]

    def _run(self, *words: str) -> None:
        try:
            self._household.run([*self._command, *words], environment=self._environment(), folder=Path("/"))
        except CommandFailed as failure:
            raise NotStarted(str(failure)) from failure

    def _environment(self) -> dict[str, str]:
        ports = {variable: str(port) for variable, port in self._ports.items()}
        return {**os.environ, **ports, "TALLYLINE_COMPOSE_PASSWORD": self.password}


@dataclass(slots=True)
class ComposedServer:
    """One service of a project; `addresses` and `probe` say how it is reached."""

    name: str
    project: Project
    addresses: Callable[[Project], Mapping[str, str]]
    probe: Callable[[Mapping[str, str]], bool]
    has_ports: bool = False

    def start(self) -> None:
        """Serve, at the first time on free ports, later on the same."""
        if self.has_ports:
            self._up()
        else:
            with_free_ports(self._up_on_free_ports)

    def kill(self) -> None:
        """SIGKILL it."""
        self.project.kill(self.name)

    def is_running(self) -> bool:
        """Whether it answers."""
        return self.probe(self.environment())

    def environment(self) -> Mapping[str, str]:
        """The variables by which others reach it."""
        return self.addresses(self.project)

    def _up_on_free_ports(self) -> None:
        self.project.forget_ports(self.name)
        self._up()
        self.has_ports = True

    def _up(self) -> None:
        self.project.up(self.name)
        deadline = time.monotonic() + READY_S_MAX
        while not self.is_running():
            if time.monotonic() > deadline:
                raise NotStarted(f"the container of {self.name} is healthy, and {self.name} does not answer")
            time.sleep(0.1)


def composed(name: str, project: Project) -> ComposedServer:
    """The server `name` as a service of `project`."""
    addresses, probe = _KINDS[name]
    return ComposedServer(name=name, project=project, addresses=addresses, probe=probe)


def _rabbitmq_addresses(project: Project) -> Mapping[str, str]:
    login = f"{USER}:{project.password}@{LOOPBACK}"
    return {
        "TALLYLINE_AMQP_URL": f"amqp://{login}:{project.port('TALLYLINE_RABBITMQ_PORT')}/%2F",
        "TALLYLINE_RABBIT_API_URL": f"http://{login}:{project.port('TALLYLINE_CONSOLE_PORT')}",
        "TALLYLINE_RABBIT_METRICS_URL": f"http://{LOOPBACK}:{project.port('TALLYLINE_RABBITMQ_METRICS_PORT')}",
    }


def _redis_addresses(project: Project) -> Mapping[str, str]:
    return {"TALLYLINE_REDIS_URL": f"redis://:{project.password}@{LOOPBACK}:{project.port('TALLYLINE_REDIS_PORT')}/0"}


def _postgres_addresses(project: Project) -> Mapping[str, str]:
    login = f"{USER}:{project.password}@{LOOPBACK}"
    port = project.port("TALLYLINE_POSTGRES_PORT")
    return {"TALLYLINE_DATABASE_URL": f"postgresql://{login}:{port}/tallyline?sslmode=disable"}


_KINDS: Mapping[str, tuple[Callable[[Project], Mapping[str, str]], Callable[[Mapping[str, str]], bool]]] = {
    "postgres": (_postgres_addresses, lambda found: cluster.answers(found["TALLYLINE_DATABASE_URL"])),
    "rabbitmq": (_rabbitmq_addresses, rabbitmq.all_answer),
    "redis": (_redis_addresses, lambda found: redis.answers(found["TALLYLINE_REDIS_URL"])),
}
