"""Paces calls to partners: so many a second, so many at once, and silence while a partner asks for it.

A gate only paces. What must not happen twice is held by PostgreSQL; a gate that forgets everything costs a few refused
calls and no money.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, cast
from uuid import uuid4

import redis
import structlog
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from domain.errors import Snooze
from queues.settings import Settings, settings

log = structlog.get_logger(__name__)

#: Answers of Redis that decide whether a call may start; a slow one is no answer.
REDIS_ANSWER_S_MAX = 0.5
#: One more try, for a pooled connection that a restart of Redis has closed. A second run of the script is harmless: it
#: only paces a little slower.
REDIS_RETRIES = 1
#: Work whose gate is closed is due again after this.
CLOSED_S = 5.0
#: Longest sleep at a stretch, so that a time limit or a shutdown gets through.
SLICE_S_MAX = 0.5
#: A free place among concurrent calls is looked for this often by who waits, and this late by who gave up.
CONCURRENCY_LOOK_S = 0.1
CONCURRENCY_AGAIN_S = 1.0

_OPEN = "open"
_CONCURRENCY = "concurrency"


@dataclass(frozen=True, slots=True)
class Pace:
    """What a partner bears. A lease ends by itself after `lease_s`, longer than its client's longest call."""

    per_second: float
    concurrency: int
    lease_s: float
    burst: int = 1

    def __post_init__(self) -> None:
        assert self.per_second > 0, self
        assert min(self.concurrency, self.burst) >= 1, self
        assert self.lease_s > 0, self


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to make one call; give it back when the call has ended."""

    key: str
    token: str


class Throttled(Snooze):
    """The gate stays shut for longer than the caller wants to wait; `why` is pause, concurrency or rate."""

    outcome = None  # the partner was not asked, so what is known of it is as it was

    def __init__(self, key: str, *, delay_s: float, why: str) -> None:
        super().__init__(f"gate {key}: {why}", delay_s=delay_s, key=key, why=why)
        self.why = why


class GateClosed(Snooze):
    """Redis does not answer, so nobody knows how many calls are under way: no call starts."""

    outcome = "redis_away"


class Gate(Protocol):
    """One gate for all partners, each with a key and a pace of its own."""

    def acquire(self, key: str, pace: Pace, *, max_wait_s: float) -> Lease:
        """Wait at most `max_wait_s` for the right to make one call. Raises `Throttled` and `GateClosed`."""

    def release(self, lease: Lease) -> None:
        """Give a right back; nothing happens if it has ended by itself."""

    def pause(self, key: str, seconds: float) -> None:
        """Let nobody call the partner for so long, as it asked (Retry-After). Raises `GateClosed`."""


@contextmanager
def passage(gate: Gate, key: str, pace: Pace, *, max_wait_s: float) -> Iterator[None]:
    """Holds the right to one call meanwhile. Raises as `Gate.acquire`."""
    lease = gate.acquire(key, pace, max_wait_s=max_wait_s)
    try:
        yield
    finally:
        gate.release(lease)


@dataclass(frozen=True, slots=True)
class _Answer:
    wait_s: float
    why: str


Ask = Callable[[], _Answer]
Sleep = Callable[[float], None]


def _wait(ask: Ask, key: str, *, max_wait_s: float, sleep: Sleep) -> None:
    """Ask until the gate is open; gives up at once when the answer says that waiting is in vain."""
    deadline = time.monotonic() + max_wait_s
    while (answer := ask()).why != _OPEN:
        is_busy = answer.why == _CONCURRENCY
        wait_s = min(answer.wait_s, CONCURRENCY_LOOK_S) if is_busy else answer.wait_s
        if time.monotonic() + wait_s > deadline:
            raise Throttled(key, delay_s=CONCURRENCY_AGAIN_S if is_busy else wait_s, why=answer.why)
        sleep(min(wait_s, SLICE_S_MAX))


#: KEYS: when the next call is due at an even pace (ms), leases by their end (ms), pause. ARGV: ms between calls, burst,
#: concurrency, lease in ms, token. Redis's clock is the only one. Asked again with the same token, as after a lost
#: answer, it gives the same right and not a second one. Answers {ms to wait, why}.
_SCRIPT = """
local now = redis.call('TIME')
now = now[1] * 1000 + now[2] / 1000
local interval, burst, concurrency, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('ZSCORE', KEYS[2], ARGV[5]) then return {0, 'open'} end
local pause = redis.call('PTTL', KEYS[3])
if pause > 0 then return {pause, 'pause'} end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZCARD', KEYS[2]) >= concurrency then
  local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  return {math.ceil(tonumber(first[2]) - now), 'concurrency'}
end
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local wait = due - now - (burst - 1) * interval
if wait > 0 then return {math.ceil(wait), 'rate'} end
redis.call('SET', KEYS[1], string.format('%.3f', due + interval), 'PX', math.ceil(due + interval - now) + 1000)
redis.call('ZADD', KEYS[2], string.format('%.3f', now + lease), ARGV[5])
redis.call('PEXPIRE', KEYS[2], math.ceil(lease) + 1000)
return {0, 'open'}
"""


class RedisGate:
    """A gate for all processes of a deployment, on the clock of one Redis. Shut when Redis is away."""

    def __init__(self, url: str, *, sleep: Sleep = time.sleep) -> None:
        self._redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=REDIS_ANSWER_S_MAX,
            socket_connect_timeout=REDIS_ANSWER_S_MAX,
            retry=Retry(NoBackoff(), REDIS_RETRIES),
        )
        self._script = self._redis.register_script(_SCRIPT)
        self._sleep = sleep

    def acquire(self, key: str, pace: Pace, *, max_wait_s: float) -> Lease:
        """Wait at most `max_wait_s` for the right to make one call. Raises `Throttled` and `GateClosed`."""
        lease = Lease(key, uuid4().hex)
        _wait(lambda: self._ask(lease, pace), key, max_wait_s=max_wait_s, sleep=self._sleep)
        return lease

    def release(self, lease: Lease) -> None:
        """Give a right back; if Redis is away it ends by itself."""
        try:
            self._redis.zrem(_keys(lease.key)[1], lease.token)
        except RedisError as error:
            # The call is over and its outcome counts; failing it for a lease that ends anyway would be wrong.
            log.warning("lease left to its end", gate=lease.key, error=str(error))

    def pause(self, key: str, seconds: float) -> None:
        """Let nobody call the partner for so long; a shorter pause never cuts a longer one. Raises `GateClosed`."""
        name = _keys(key)[2]
        try:
            if self._redis.pttl(name) < seconds * 1000:
                self._redis.set(name, 1, px=max(1, int(seconds * 1000)))
        except RedisError as error:
            raise GateClosed(f"gate {key}: {error}", delay_s=CLOSED_S) from error

    def ping(self) -> None:
        """Return if Redis answers. Raises `GateClosed`."""
        try:
            self._redis.ping()
        except RedisError as error:
            raise GateClosed(f"gate: {error}", delay_s=CLOSED_S) from error

    def close(self) -> None:
        """Close the connections to Redis."""
        self._redis.close()

    def _ask(self, lease: Lease, pace: Pace) -> _Answer:
        facts: list[str | int | float] = [
            1000 / pace.per_second,
            pace.burst,
            pace.concurrency,
            pace.lease_s * 1000,
            lease.token,
        ]
        try:
            wait_ms, why = cast("tuple[int, str]", self._script(keys=_keys(lease.key), args=facts))
        except RedisError as error:
            raise GateClosed(f"gate {lease.key}: {error}", delay_s=CLOSED_S) from error
        return _Answer(wait_ms / 1000, why)


def _keys(key: str) -> list[str]:
    """The names in Redis of what the script reads; the braces keep them on one node of a cluster."""
    return [f"tallyline:gate:{{{key}}}:{part}" for part in ("due", "leases", "pause")]


@dataclass(slots=True)
class _Door:
    due_at: float = 0.0
    paused_until: float = 0.0
    ends: dict[str, float] = field(default_factory=dict)


class LocalGate:
    """The same gate for one process, as in the embedded run."""

    def __init__(self, *, sleep: Sleep = time.sleep) -> None:
        self._lock = threading.Lock()
        self._doors: dict[str, _Door] = {}
        self._sleep = sleep

    def acquire(self, key: str, pace: Pace, *, max_wait_s: float) -> Lease:
        """Wait at most `max_wait_s` for the right to make one call. Raises `Throttled`."""
        lease = Lease(key, uuid4().hex)
        _wait(lambda: self._ask(lease, pace), key, max_wait_s=max_wait_s, sleep=self._sleep)
        return lease

    def release(self, lease: Lease) -> None:
        """Give a right back; nothing happens if it has ended by itself."""
        with self._lock:
            self._door(lease.key).ends.pop(lease.token, None)

    def pause(self, key: str, seconds: float) -> None:
        """Let nobody call the partner for so long; a shorter pause never cuts a longer one."""
        with self._lock:
            door = self._door(key)
            door.paused_until = max(door.paused_until, time.monotonic() + seconds)

    def _door(self, key: str) -> _Door:
        return self._doors.setdefault(key, _Door())

    def _ask(self, lease: Lease, pace: Pace) -> _Answer:
        now, interval = time.monotonic(), 1 / pace.per_second
        with self._lock:
            door = self._door(lease.key)
            if door.paused_until > now:
                return _Answer(door.paused_until - now, "pause")
            door.ends = {token: end for token, end in door.ends.items() if end > now}
            if len(door.ends) >= pace.concurrency:
                return _Answer(min(door.ends.values()) - now, _CONCURRENCY)
            due_at = max(door.due_at, now)
            wait_s = due_at - now - (pace.burst - 1) * interval
            if wait_s > 0:
                return _Answer(wait_s, "rate")
            door.due_at = due_at + interval
            door.ends[lease.token] = now + pace.lease_s
        return _Answer(0, _OPEN)


def build_gate(chosen: Settings) -> RedisGate | LocalGate:
    """The gate for these settings: one for the whole fleet, or one for this process."""
    if chosen.mode == "embedded":
        return LocalGate()
    if chosen.redis_url is None:
        raise ValueError("a fleet needs TALLYLINE_REDIS_URL")
    return RedisGate(chosen.redis_url.get_secret_value())


@cache
def gate() -> RedisGate | LocalGate:
    """The gate of this process, made on first use."""
    return build_gate(settings())
