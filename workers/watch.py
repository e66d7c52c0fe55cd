"""Watches the servers a fleet depends on: whether each answers, since when, and one line of log when that changes."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from time import monotonic
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psycopg
import structlog

from domain.degradation import BY_DEPENDENCY, Dependency, Outage
from domain.notices import dependency_away
from queues.broker import broker
from queues.gate import GateClosed, gate
from queues.publishing import NoticeNotSent, NotPublished
from queues.settings import Settings, settings
from queues.topology import INTAKE_QUEUE, NOTICES_EXCHANGE
from workers.store import notices
from workers.store.outages import away_key

log = structlog.get_logger(__name__)

#: A server is asked this often, and one that takes longer to answer is away.
LOOK_EVERY_S = 2.0
ANSWER_S_MAX = 3
#: A scheduler that led so lately is the one that tells of an outage of PostgreSQL, whose lock it lost with it.
LED_LATELY_S = 15.0
#: What a server that is away makes its client raise.
AWAY = (NotPublished, GateClosed, psycopg.OperationalError, OSError)
_SERVER_ERROR = 500

Probe = Callable[[], object]


def probes(chosen: Settings) -> dict[Dependency, Probe]:
    """How each server of this deployment is asked whether it is there; each raises one of `AWAY` if not."""
    found: dict[Dependency, Probe] = {}
    if chosen.database_url is not None:
        url = chosen.database_url.get_secret_value()
        found["postgresql"] = lambda: psycopg.connect(url, connect_timeout=ANSWER_S_MAX).close()
    if chosen.mode == "fleet" and chosen.amqp_url is not None:
        found["rabbitmq"] = lambda: broker().look(INTAKE_QUEUE)
    if chosen.mode == "fleet" and chosen.redis_url is not None:
        found["redis"] = _ask_gate
    if chosen.sentry_dsn is not None:
        parts = urlsplit(chosen.sentry_dsn.get_secret_value())
        address = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        found["sentry"] = lambda: _ask_http(address)
    return found


def _ask_gate() -> None:
    chosen = gate()
    if hasattr(chosen, "ping"):
        chosen.ping()


def _ask_http(address: str) -> None:
    """Return if something answers there, whatever it says of a question without a key. Raises `OSError`."""
    try:
        with urlopen(Request(f"{address}/", method="HEAD"), timeout=ANSWER_S_MAX):  # noqa: S310 -- of the operator's DSN
            return
    except HTTPError as answer:
        if answer.code >= _SERVER_ERROR:
            raise
        answer.close()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a server stands: away since an instant, or there."""

    outage: Outage | None

    @property
    def is_up(self) -> bool:
        """Whether it answered when it was last asked."""
        return self.outage is None


class Watch:
    """Asks each server in a thread of its own, so that one that is silent hides no other."""

    def __init__(self, asked: Mapping[Dependency, Probe], *, every_s: float = LOOK_EVERY_S) -> None:
        self._asked = dict(asked)
        self._every_s = every_s
        self._standing: dict[Dependency, Standing] = {}
        self._ended: list[tuple[Outage, datetime]] = []
        self._led_at = -LED_LATELY_S
        self._lock = threading.Lock()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Looks meanwhile."""
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._look, args=(name, probe, stop), name=f"watch {name}", daemon=True)
            for name, probe in self._asked.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(ANSWER_S_MAX)

    def standing(self) -> dict[Dependency, Standing]:
        """Every server that was asked at least once."""
        with self._lock:
            return dict(self._standing)

    def leads(self) -> None:
        """Note that this process leads at this moment."""
        self._led_at = monotonic()

    def take_ended(self) -> list[tuple[Outage, datetime]]:
        """Outages of PostgreSQL that are over, with when; each once: nothing could be owed while they lasted."""
        with self._lock:
            ended, self._ended = self._ended, []
        return ended

    def give_back(self, ended: list[tuple[Outage, datetime]]) -> None:
        """Take back what could not be written, for the next try."""
        with self._lock:
            self._ended = ended + self._ended

    def _look(self, name: Dependency, probe: Probe, stop: threading.Event) -> None:
        while not stop.is_set():
            reason = _reason(probe)
            if not stop.is_set():
                self._note(name, reason)
            stop.wait(self._every_s)

    def _note(self, name: Dependency, reason: str | None) -> None:
        """Keep what was found, and say it where it is new."""
        now = datetime.now(UTC)
        with self._lock:
            former = self._standing.get(name, Standing(None)).outage
            if reason is None and former is not None and name == "postgresql":
                self._ended.append((former, now))
            outage = None if reason is None else former or Outage(name, now)
            self._standing[name] = Standing(outage)
        if outage is not None and former is None:
            # as an error, so that Sentry has it too, once
            log.error("dependency away", dependency=name, reason=reason, waits=BY_DEPENDENCY[name].waits_where)
            if name == "postgresql" and monotonic() - self._led_at < LED_LATELY_S:
                _tell_straight(outage)
        elif outage is None and former is not None:
            log.warning("dependency back", dependency=name, away_s=round((now - former.since).total_seconds(), 1))


def answers(*names: Dependency) -> dict[Dependency, str | None]:
    """Ask each that this deployment has, once: why it is away, without its address, or None if it answers."""
    asked = probes(settings())
    return {name: _reason(asked[name]) for name in names if name in asked}


def _reason(probe: Probe) -> str | None:
    try:
        probe()
    except AWAY as error:
        return type(error).__name__
    return None


def _tell_straight(outage: Outage) -> None:
    """Tell of an outage of PostgreSQL, in which no notice can be owed; if RabbitMQ is away as well, the log has it."""
    notice = dependency_away(outage)
    body = notices.event_of(notice, key=away_key(outage), at=outage.since)
    with suppress(NoticeNotSent):
        broker().publish_event(NOTICES_EXCHANGE, notice.type, body)


@cache
def watch() -> Watch:
    """The watch of this process."""
    return Watch(probes(settings()))
