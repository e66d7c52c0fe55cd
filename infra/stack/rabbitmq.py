"""The stack's RabbitMQ: one node with its console, metrics and an epmd of its own."""

import base64
import hashlib
import json
import os
import secrets
import signal
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pika
from pika.exceptions import AMQPError

from infra.stack.household import Household
from infra.stack.programs import Installed
from infra.stack.servers import with_free_ports
from workers.embedded.cluster import new_password, wait_until
from workers.embedded.ports import LOOPBACK, free_port
from workers.embedded.supervised import Program, Supervised

USER = "tallyline"
START_S_MAX = 120.0
#: The shovel lets on-call move messages from one queue to another in the console.
PLUGINS = ("rabbitmq_management", "rabbitmq_prometheus", "rabbitmq_shovel", "rabbitmq_shovel_management")
#: Queue counts in the console are as old as these two periods together; the defaults make that 10 s.
STATISTICS_MS = 1000


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one node."""

    amqp: int
    console: int
    metrics: int
    distribution: int
    epmd: int

    @classmethod
    def free(cls) -> "Ports":
        """Five different free ports."""
        chosen: list[int] = []
        for _ in range(5):
            chosen.append(free_port(frozenset(chosen)))
        return cls(*chosen)


class RabbitMQ:
    """A node that a kill -9 does not make forget: it starts again with the same ports, name and data."""

    name = "rabbitmq"

    def __init__(self, household: Household, installed: Installed) -> None:
        self._household = household
        self._installed = installed
        self._password = new_password()
        self._cookie = secrets.token_hex(16)
        self._ports: Ports | None = None
        self._epmd: Supervised | None = None
        self._node: Supervised | None = None

    @property
    def _folder(self) -> Path:
        return self._household.folder / self.name

    def start(self) -> None:
        """Serve, at the first time on free ports, later on the same."""
        if self._ports:
            self._start(self._ports)
        else:
            with_free_ports(self._start_on_free_ports)

    def kill(self) -> None:
        """SIGKILL the node and whatever belongs to it."""
        if self._node:
            self._node.signal(signal.SIGKILL)
            self._node.wait()

    def is_running(self) -> bool:
        """Whether the node's process lives."""
        return self._node is not None and self._node.is_running()

    def environment(self) -> Mapping[str, str]:
        """The addresses of AMQP, the console's API, and the metrics."""
        assert self._ports is not None
        login = f"{USER}:{self._password}@{LOOPBACK}"
        return {
            "TALLYLINE_AMQP_URL": f"amqp://{login}:{self._ports.amqp}/%2F",
            "TALLYLINE_RABBIT_API_URL": f"http://{login}:{self._ports.console}",
            "TALLYLINE_RABBIT_METRICS_URL": f"http://{LOOPBACK}:{self._ports.metrics}",
        }

    def _start_on_free_ports(self) -> None:
        if self._epmd:  # of an attempt whose ports were taken
            self._epmd.end()
        self._start(Ports.free())

    def _start(self, ports: Ports) -> None:
        self._ports = ports
        write_settings(self._folder, ports, password=self._password, cookie=self._cookie)
        environment = node_environment(self._folder, ports, self._installed)
        if self._epmd is None or not self._epmd.is_running():
            self._epmd = self._supervise("epmd", ("epmd", "-port", str(ports.epmd), "-address", LOOPBACK), environment)
        self._node = self._supervise("node", (self._installed.path,), environment)
        wait_until(lambda: all_answer(self.environment()), self._node, timeout_s=START_S_MAX)

    def _supervise(self, what: str, command: tuple[str, ...], environment: Mapping[str, str]) -> Supervised:
        return self._household.supervise(
            Program(
                argv=command,
                environment=environment,
                folder=self._folder,
                log_path=self._folder / f"{what}.log",
                stop_signals=(),  # a polite stop takes 6 s and the data is thrown away
            )
        )


def write_settings(folder: Path, ports: Ports, *, password: str, cookie: str) -> None:
    """The files a node reads: its settings, its plugins, its cookie, and one administrator."""
    home = folder / "home"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / "rabbitmq.conf").write_text(
        f"""\
listeners.tcp.1 = {LOOPBACK}:{ports.amqp}
management.tcp.ip = {LOOPBACK}
management.tcp.port = {ports.console}
prometheus.tcp.ip = {LOOPBACK}
prometheus.tcp.port = {ports.metrics}
load_definitions = {folder}/definitions.json
collect_statistics_interval = {STATISTICS_MS}
vm_memory_high_watermark.absolute = 1GiB
disk_free_limit.absolute = 50MB
log.console = false
"""
    )
    (folder / "advanced.config").write_text(f"[{{rabbit,[{{quorum_tick_interval,{STATISTICS_MS}}}]}}].\n")
    (folder / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].\n")
    (folder / "definitions.json").write_text(json.dumps(definitions(password)))
    cookie_file = home / ".erlang.cookie"
    if not cookie_file.exists():
        cookie_file.write_text(cookie)
        cookie_file.chmod(0o400)


def definitions(password: str) -> dict[str, list[dict[str, object]]]:
    """One administrator on the vhost `/`; because of it RabbitMQ makes no user `guest`."""
    salt = os.urandom(4)  # of this length by RabbitMQ's definition of a password hash
    password_hash = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    user = {"name": USER, "password_hash": password_hash, "hashing_algorithm": "rabbit_password_hashing_sha256"}
    return {
        "users": [{**user, "tags": ["administrator"]}],
        "vhosts": [{"name": "/"}],
        "permissions": [{"user": USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    }


def node_environment(folder: Path, ports: Ports, installed: Installed) -> dict[str, str]:
    """The variables that keep a node apart from every other on this machine."""
    search_path = (*installed.search_path, str(Path(installed.path).parent), "/usr/bin", "/bin", "/usr/sbin")
    return {
        "PATH": ":".join(search_path),
        "LANG": "C.UTF-8",
        "HOME": str(folder / "home"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),  # absent: the machine's own must not be read
        "RABBITMQ_NODENAME": f"tallyline{ports.amqp}@localhost",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        **installed.environment,
    }


def all_answer(addresses: Mapping[str, str]) -> bool:
    """Whether a RabbitMQ and the API of its console answer.

    The console's port opens first and proves nothing: the AMQP listener opens last, after the definitions.
    """
    return answers(addresses["TALLYLINE_AMQP_URL"]) and api_answers(addresses["TALLYLINE_RABBIT_API_URL"])


def answers(amqp_url: str) -> bool:
    """Whether the RabbitMQ at `amqp_url` lets us log in."""
    parameters = pika.URLParameters(amqp_url)
    parameters.socket_timeout = 2
    try:
        pika.BlockingConnection(parameters).close()
    except (AMQPError, OSError):
        return False
    return True


def api_answers(api_url: str) -> bool:
    """Whether the console's API at `api_url` (with user and password) answers."""
    parts = urlsplit(api_url)
    login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310  (http by construction)
        f"{parts.scheme}://{parts.hostname}:{parts.port}/api/overview", headers={"Authorization": f"Basic {login}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=3) as answer:  # noqa: S310
            return bool(answer.status == 200)  # noqa: PLR2004  (HTTP's OK)
    except (urllib.error.URLError, OSError):
        return False
