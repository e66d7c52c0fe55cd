"""The stack's Redis."""

import signal
from collections.abc import Mapping

import redis

from infra.stack.household import Household
from infra.stack.programs import Installed
from infra.stack.servers import with_free_ports
from workers.embedded.cluster import new_password, wait_until
from workers.embedded.ports import LOOPBACK, free_port
from workers.embedded.supervised import Program, Supervised

START_S_MAX = 30.0


class Redis:
    """A Redis on a port of its own, with a password, that writes what it is told to an append-only file."""

    name = "redis"

    def __init__(self, household: Household, installed: Installed) -> None:
        self._household = household
        self._installed = installed
        self._password = new_password()
        self._port = 0
        self._server: Supervised | None = None

    def start(self) -> None:
        """Serve, at the first time on a free port, later on the same."""
        if self._port:
            self._start()
        else:
            with_free_ports(self._start_on_a_free_port)

    def kill(self) -> None:
        """SIGKILL it."""
        if self._server:
            self._server.signal(signal.SIGKILL)
            self._server.wait()

    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._server is not None and self._server.is_running()

    def environment(self) -> Mapping[str, str]:
        """The address of database 0."""
        return {"TALLYLINE_REDIS_URL": f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"}

    def _start_on_a_free_port(self) -> None:
        self._port = free_port()
        self._start()

    def _start(self) -> None:
        folder = self._household.folder / self.name
        folder.mkdir(mode=0o700, exist_ok=True)
        settings = folder / "redis.conf"  # a file: everybody may read a command line, and it holds the password
        settings.write_text(
            f'port {self._port}\nbind {LOOPBACK}\nrequirepass {self._password}\ndir {folder}\nsave ""\nappendonly yes\n'
        )
        self._server = self._household.supervise(
            Program(
                argv=(self._installed.path, str(settings)),
                environment=self._installed.environment,
                folder=folder,
                log_path=folder / "redis.log",
            )
        )
        wait_until(lambda: answers(self.environment()["TALLYLINE_REDIS_URL"]), self._server, timeout_s=START_S_MAX)


def answers(url: str) -> bool:
    """Whether the Redis at `url` answers a ping."""
    client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
