"""Where notices go: the exchanges of RabbitMQ in a fleet, files in the embedded run."""

from typing import Protocol

from queues.settings import settings
from workers.channels.exchange import Exchange
from workers.channels.folder import Folder


class Channel(Protocol):
    """Takes one notice at a time and returns when it is safe there; a notice may come twice."""

    def publish(self, exchange: str, routing_key: str, body: bytes) -> None:
        """Hand over a CloudEvent in JSON. Raises `NoticeNotSent`, which is nobody's failure."""


def channel() -> Channel:
    """The channel of this deployment."""
    chosen = settings()
    return Exchange() if chosen.mode == "fleet" else Folder(chosen.home / "notices")
