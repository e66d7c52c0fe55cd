"""Free TCP ports on the loopback address for servers of our own."""

import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
#: Where the range of outgoing connections starts by IANA, and on macOS.
_EPHEMERAL_FIRST = 49152
_PORT_FIRST = 15000
_TRIES_MAX = 500


class NoFreePort(RuntimeError):
    """Every port that was tried is taken."""


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """A port below the ephemeral range that nobody listens on now and that is not in `taken`.

    Outgoing connections take ephemeral ports at any moment, so one from there may be gone before a server binds it.
    Someone else may still take this one first: whoever binds it must be ready to try another.
    Raises `NoFreePort` after 500 tries.
    """
    last = ephemeral_first() - 1
    for _ in range(_TRIES_MAX):
        port = random.randint(_PORT_FIRST, last)  # noqa: S311  (no secret)
        if port not in taken and _is_free(port):
            return port
    raise NoFreePort(f"no free port between {_PORT_FIRST} and {last}")


def ephemeral_first() -> int:
    """The first port that the system may give to outgoing connections."""
    if not _RANGE_FILE.exists():
        return _EPHEMERAL_FIRST
    first = int(_RANGE_FILE.read_text().split()[0])
    # A system that hands out nearly every port leaves no room below: share its range then.
    return first if first > _PORT_FIRST + 1000 else _EPHEMERAL_FIRST


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
