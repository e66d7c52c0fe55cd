"""What the stack knows of a server, whoever provides it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from workers.embedded.supervised import NotStarted

PORT_TRIES_MAX = 5
#: What servers say when somebody took their port between our look and their bind.
_PORT_TAKEN = ("address already in use", "eaddrinuse", "could not bind", "port is already allocated")


class NotOurs(Exception):
    """The server was named by its address: the stack neither kills nor starts it."""


class Server(Protocol):
    """A server the stack starts and, for tests of crashes, kills and starts again on the same port and data."""

    @property
    def name(self) -> str:
        """Its name in the control: postgres, rabbitmq or redis."""

    def start(self) -> None:
        """Return once it serves. Raises `NotStarted`."""

    def kill(self) -> None:
        """End it as a crash would, and return when it is gone. Raises `NotOurs` for a server named by address."""

    def environment(self) -> Mapping[str, str]:
        """The variables by which others reach it."""

    def is_running(self) -> bool:
        """Whether it runs, as far as we can tell."""


@dataclass(frozen=True, slots=True)
class NamedServer:
    """A server somebody else runs, given by its address in the environment."""

    name: str
    variables: Mapping[str, str]
    probe: Callable[[], bool]

    def start(self) -> None:
        """Check that it answers. Raises `NotStarted` with the variable to look at."""
        if not self.probe():
            raise NotStarted(f"{self.name} does not answer at the address in {' and '.join(self.variables)}")

    def kill(self) -> None:
        """Refuse: it is not ours."""
        raise NotOurs(f"{self.name} was named by {' and '.join(self.variables)}: the stack does not kill it")

    def environment(self) -> Mapping[str, str]:
        """The variables as they were given."""
        return self.variables

    def is_running(self) -> bool:
        """Whether it answers now."""
        return self.probe()


def with_free_ports(start: Callable[[], None]) -> None:
    """Run `start`, which picks ports, again while somebody takes one of them meanwhile."""
    for _ in range(PORT_TRIES_MAX - 1):
        try:
            start()
        except NotStarted as failure:
            if not any(words in str(failure).lower() for words in _PORT_TAKEN):
                raise
        else:
            return
    start()
