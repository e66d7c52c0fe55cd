"""Where every message may lie: steps, lanes, queue names, exchanges and the arguments RabbitMQ is given for them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, cast, get_args

Step = Literal["validate", "enrich", "aggregate", "rate", "tax", "post", "notify", "close"]
Lane = Literal["live", "close", "replay"]
Arguments = Mapping[str, str | int]

STEPS: tuple[Step, ...] = get_args(Step)
LANES: tuple[Lane, ...] = get_args(Lane)

#: A close never waits behind live usage, and nothing before rating belongs to a close.
LANES_OF: Mapping[Step, tuple[Lane, ...]] = {
    "validate": ("live", "replay"),
    "enrich": ("live", "replay"),
    "aggregate": ("live", "replay"),
    "rate": LANES,
    "tax": LANES,
    "post": LANES,
    "notify": LANES,
    "close": ("live", "replay"),
}
#: Steps with one queue per ERP connection, so that ops can scale and pause each partner alone.
STEPS_PER_CONNECTION: frozenset[Step] = frozenset({"post"})

INTAKE_QUEUE = "intake"
USAGE_EXCHANGE = "usage"
UNROUTED_EXCHANGE = "usage.unrouted"
#: Where other systems say what changed of their master data, and the queue that keeps it until it is stored.
MASTER_EXCHANGE = "master"
MASTER_QUEUE = "master"
NOTICES_EXCHANGE = "tallyline"
REFUSALS_EXCHANGE = "refusals"

#: Rungs of the delay ladder in seconds; a delay is rounded up to a rung. Longer waits are rows with a due time.
DELAYS_S: tuple[int, ...] = (1, 5, 30, 120, 600)

#: The largest delivery limit both lines know: 4.x would drop after 20 looks by default, and -1 drops at once on 3.10.
DELIVERIES_UNLIMITED = 2**31 - 1
#: A row that kills its worker dies as poison after five starts of its own; this stops a hint that kills before that.
HINT_DELIVERIES_MAX = 50
#: Refusals nobody fetches; they are copies of exception rows, so the oldest may go.
REFUSALS_WAITING_MAX = 100_000
#: AMQP carries routing keys and names of at most 255 bytes.
ROUTING_KEY_BYTES_MAX = 255

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


class QueueUnknown(ValueError):
    """A queue, step, lane or connection that the topology does not have."""


class DelayTooLong(ValueError):
    """A wait longer than the last rung; a message does not wait that long, its work row does."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a work queue serves; `connection` is set for the steps that have a queue per ERP connection."""

    step: Step
    lane: Lane = "live"
    connection: str | None = None

    @property
    def queue(self) -> str:
        """The name of the queue."""
        parts = [self.step, self.connection, None if self.lane == "live" else self.lane]
        return ".".join(part for part in parts if part)


def queue_name(step: str, lane: str = "live", connection: str | None = None) -> str:
    """The work queue of a step and lane, for `post` also of an ERP connection: `validate`, `post.netsuite-us.replay`.

    Raises `QueueUnknown` for a step or lane that does not exist, and where a connection is missing or too many.
    """
    return _route(step, lane, connection).queue


def route_of(queue: str) -> Route:
    """What the work queue of that name serves. Raises `QueueUnknown` if it is no work queue."""
    step, *rest = queue.split(".")
    lane = rest.pop() if len(rest) > (step in STEPS_PER_CONNECTION) else "live"
    route = _route(step, lane, ".".join(rest) or None)
    if route.queue != queue:
        raise QueueUnknown(f"{queue!r} is no work queue")
    return route


def _route(step: str, lane: str, connection: str | None) -> Route:
    if step not in LANES_OF or lane not in LANES_OF[cast("Step", step)]:
        raise QueueUnknown(f"there is no step {step!r} with a lane {lane!r}")
    if (connection is not None) != (step in STEPS_PER_CONNECTION):
        raise QueueUnknown(f"step {step!r} has {'a' if connection is None else 'no'} queue per ERP connection")
    if connection is not None and not _NAME.fullmatch(connection):
        raise QueueUnknown(f"connection {connection!r} is not of the form {_NAME.pattern}")
    return Route(cast("Step", step), lane, connection)


def queues_of(step: Step, connections: Sequence[str] = ()) -> tuple[str, ...]:
    """All work queues of a step: one per lane, and for `post` per lane and ERP connection."""
    owners: Sequence[str | None] = connections if step in STEPS_PER_CONNECTION else (None,)
    return tuple(queue_name(step, lane, owner) for owner in owners for lane in LANES_OF[step])


def work_queues(connections: Sequence[str] = ()) -> tuple[str, ...]:
    """All work queues of a deployment with these ERP connections, in the order of the steps."""
    return tuple(queue for step in STEPS for queue in queues_of(step, connections))


def dead_queue_name(queue: str) -> str:
    """Where on-call finds what `queue` could not serve."""
    return f"{queue}.XQ"


def delay_name(delay_s: int) -> str:
    """The exchange and the queue of one rung of the delay ladder."""
    return f"delay.{delay_s}s"


def rung(delay_s: float) -> int:
    """The shortest rung of at least `delay_s` seconds. Raises `DelayTooLong`."""
    for each in DELAYS_S:
        if delay_s <= each:
            return each
    raise DelayTooLong(f"{delay_s} s is longer than the last rung of {DELAYS_S[-1]} s")


def work_queue_arguments(queue: str) -> Arguments:
    """Replicated, and nothing leaves the queue before `.XQ` has confirmed that it holds it."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_queue_name(queue),
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-delivery-limit": HINT_DELIVERIES_MAX,
    }


def parked_queue_arguments() -> Arguments:
    """`intake`, `master` and `.XQ`: nothing expires, nothing is dropped however often it is looked at."""
    return {"x-queue-type": "quorum", "x-delivery-limit": DELIVERIES_UNLIMITED}


def delay_queue_arguments(delay_s: int) -> Arguments:
    """A rung: no dead-letter routing key, so each message returns under its own key, to the queue it was meant for."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-message-ttl": delay_s * 1000,
    }


def refusals_queue_arguments() -> Arguments:
    """What one upstream may fetch; bounded, since an upstream that never looks must not fill the disk."""
    return {**parked_queue_arguments(), "x-max-length": REFUSALS_WAITING_MAX, "x-overflow": "drop-head"}


@dataclass(frozen=True, slots=True)
class Upstream:
    """A RabbitMQ user that may send usage and fetch its own refusals, and nothing else.

    One for a system that keeps master data sends to `master` instead.
    """

    user: str
    exchange: str = USAGE_EXCHANGE

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.user):
            raise QueueUnknown(f"upstream {self.user!r} is not of the form {_NAME.pattern}")

    @property
    def refusals_queue(self) -> str:
        """The queue this upstream fetches its refusals from."""
        return f"{REFUSALS_EXCHANGE}.{self.user}"

    @property
    def permissions(self) -> Mapping[str, str]:
        """Regular expressions for RabbitMQ: configures nothing, writes to its exchange, reads its refusals."""
        return {
            "configure": "",
            "write": f"^{self.exchange}$",
            "read": rf"^{REFUSALS_EXCHANGE}\.{self.user}$",
        }

    @property
    def topic_permissions(self) -> Mapping[str, str] | None:
        """What RabbitMQ holds routing keys to, None for any: on `master` a system sends under its own name alone."""
        if self.exchange != MASTER_EXCHANGE:
            return None
        return {"exchange": self.exchange, "write": rf"^{self.user}(\.|$)", "read": "^$"}


@dataclass(frozen=True, slots=True)
class OnCall:
    """A RabbitMQ user for whoever is on call: may do in the console whatever loses and doubles no usage.

    Work queues and `.XQ` hold only hints and copies, so taking, purging, moving and publishing there is harmless.
    `intake` holds usage that nobody has stored yet: it can be neither read nor purged, which takes the same right.
    """

    user: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.user):
            raise QueueUnknown(f"user {self.user!r} is not of the form {_NAME.pattern}")

    @property
    def tags(self) -> str:
        """It sees the console, and may set no policies, which could drop messages."""
        return "management"

    @property
    def permissions(self) -> Mapping[str, str]:
        """Regular expressions for RabbitMQ: declares and deletes nothing, publishes to queues by name, reads hints."""
        return {
            "configure": "",
            "write": r"^amq\.default$",
            "read": rf"^({'|'.join(STEPS)})(\.[a-z][a-z0-9-]*)*(\.XQ)?$",
        }


def refusal_key(user: str, source: str) -> str:
    """The routing key of a refusal: who sent it, then the source it claimed.

    The user comes first so that a refusal reaches who sent the event, also when it claimed a source of somebody else.
    A source that does not fit into a routing key stands there as its SHA-256.
    """
    key = f"{user}.{source}"
    if len(key.encode()) <= ROUTING_KEY_BYTES_MAX:
        return key
    return f"{user}.sha256-{sha256(source.encode()).hexdigest()}"


def queue_arguments(connections: Sequence[str], upstreams: Sequence[Upstream] = ()) -> dict[str, Arguments]:
    """Every queue of a deployment with the arguments it must have; other arguments are refused by RabbitMQ (406)."""
    queues: dict[str, Arguments] = {INTAKE_QUEUE: parked_queue_arguments(), MASTER_QUEUE: parked_queue_arguments()}
    for queue in work_queues(connections):
        queues[queue] = work_queue_arguments(queue)
        queues[dead_queue_name(queue)] = parked_queue_arguments()
    for delay_s in DELAYS_S:
        queues[delay_name(delay_s)] = delay_queue_arguments(delay_s)
    for upstream in upstreams:
        queues[upstream.refusals_queue] = refusals_queue_arguments()
    return queues


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange; what matches none of its bindings goes to `alternate`, if it has one."""

    name: str
    kind: Literal["topic", "fanout"]
    alternate: str | None = None

    @property
    def arguments(self) -> Arguments:
        """The arguments RabbitMQ is given."""
        return {} if self.alternate is None else {"alternate-exchange": self.alternate}


def exchanges() -> tuple[Exchange, ...]:
    """Every exchange of a deployment, alternates before those that name them."""
    return (
        Exchange(UNROUTED_EXCHANGE, "fanout"),
        Exchange(USAGE_EXCHANGE, "topic", alternate=UNROUTED_EXCHANGE),
        Exchange(MASTER_EXCHANGE, "topic"),
        Exchange(NOTICES_EXCHANGE, "topic"),
        Exchange(REFUSALS_EXCHANGE, "topic"),
        *(Exchange(delay_name(delay_s), "fanout") for delay_s in DELAYS_S),
    )


def bindings(upstreams: Sequence[Upstream] = ()) -> Iterator[tuple[str, str, str]]:
    """Every (exchange, queue, routing key) of a deployment."""
    yield USAGE_EXCHANGE, INTAKE_QUEUE, "#"
    yield UNROUTED_EXCHANGE, INTAKE_QUEUE, ""
    yield MASTER_EXCHANGE, MASTER_QUEUE, "#"
    for delay_s in DELAYS_S:
        yield delay_name(delay_s), delay_name(delay_s), ""
    for upstream in upstreams:
        yield REFUSALS_EXCHANGE, upstream.refusals_queue, f"{upstream.user}.#"
