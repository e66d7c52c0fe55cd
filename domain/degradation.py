"""What goes on, what waits and who is told when something we depend on is away, and in which order it drains."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

Dependency: TypeAlias = Literal["rabbitmq", "redis", "postgresql", "tax_engine", "erp", "sentry"]
#: What a row speaks about: the process that receives, and the steps.
Part: TypeAlias = Literal["intake", "validate", "enrich", "aggregate", "close", "rate", "tax", "post", "notify"]

DEPENDENCIES: Final[tuple[Dependency, ...]] = get_args(Dependency)
PARTS: Final[tuple[Part, ...]] = get_args(Part)


@dataclass(frozen=True, slots=True)
class Tier:
    """A rank in the order of recovery: while a higher one has old due work, the sweeper bounds the lower ones."""

    number: int
    name: str
    parts: tuple[Part, ...]
    why: str


TIERS: Final[tuple[Tier, ...]] = (
    Tier(
        1,
        "intake",
        ("intake", "validate"),
        "what upstream systems hold back for us is taken over and answered for before anything else",
    ),
    Tier(2, "live line", ("enrich", "aggregate"), "nothing is frozen or billed before usage is in its windows"),
    Tier(3, "close and post", ("close", "rate", "tax", "post"), "periods end on dates that others wait for"),
    Tier(4, "notify", ("notify",), "what is told late is late, what is billed late is wrong in somebody's month"),
    Tier(5, "replay", (), "repairs of any step; they waited for a person, so they can wait for the rest"),
)
_REPLAY: Final = TIERS[-1]
_TIER_OF: Final[Mapping[str, Tier]] = {part: tier for tier in TIERS for part in tier.parts}


def tier_of(step: str, lane: str) -> Tier:
    """The tier of a step's work in a lane; whatever is replayed comes last. Raises `KeyError` for no step of ours."""
    return _REPLAY if lane == "replay" else _TIER_OF[step]


@dataclass(frozen=True, slots=True)
class Row:
    """One dependency that is away: each part either goes on or waits, and the sentences say how."""

    dependency: Dependency
    name: str
    goes_on: tuple[Part, ...]
    goes_on_how: str
    waits: tuple[Part, ...]
    waits_where: str
    told: str
    drains: str

    def __post_init__(self) -> None:
        assert sorted((*self.goes_on, *self.waits)) == sorted(PARTS), f"{self.dependency}: a part goes on or waits"

    @property
    def title(self) -> str:
        """The name as a sentence begins with it."""
        return self.name[:1].upper() + self.name[1:]

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """What waits, in the order in which it drains."""
        if not self.waits:
            return ()
        return tuple(tier for tier in TIERS if tier is _REPLAY or set(tier.parts) & set(self.waits))


#: Said of every dependency, so the rows say only what is theirs.
TOLD_ALWAYS: Final = (
    "`tallyline_dependency_up` is 0 in `/metrics`, a line of log comes when it goes and when it is back, `tallyline "
    "status` and `tallyline doctor` name it with what waits"
)
_NOTICE: Final = "the notices `tallyline.dependency.away` and `.back` go to whoever listens on the exchange `tallyline`"
_LINE: Final[tuple[Part, ...]] = ("intake", "validate", "enrich", "aggregate")

ROWS: Final[tuple[Row, ...]] = (
    Row(
        "rabbitmq",
        "RabbitMQ",
        goes_on=(),
        goes_on_how=(
            "A step that has begun ends and commits. What people do at the command line (look, ask for a bill, "
            "approve, replay) is done in PostgreSQL and leaves ready work there."
        ),
        waits=PARTS,
        waits_where=(
            "Usage waits with its upstream systems, which have no confirm for it. Every row of work stays ready in "
            "PostgreSQL: a hint that could not be sent is not needed."
        ),
        told=f"Both notices are owed in PostgreSQL when the outage begins and ends: {_NOTICE} once RabbitMQ is back.",
        drains=(
            "Processes connect again by themselves. The sweeper hints every due row, tier by tier; upstream systems "
            "send again what was not confirmed, and what comes twice is counted as a duplicate."
        ),
    ),
    Row(
        "redis",
        "Redis",
        goes_on=(*_LINE, "close", "rate", "tax", "notify"),
        goes_on_how="Nothing but the gate in front of the ERPs asks Redis: bills are drafted, taxed and approved.",
        waits=("post",),
        waits_where=(
            "The gate fails closed: nobody knows how many calls are under way, so none starts. Postings are snoozed "
            "for a few seconds at a time, which costs no attempt; a call that was under way is finished and recorded."
        ),
        told=f"At once: {_NOTICE}.",
        drains="Each posting is due again within seconds, at the pace of its ERP connection.",
    ),
    Row(
        "postgresql",
        "PostgreSQL",
        goes_on=(),
        goes_on_how=(
            "Upstream systems send as ever and get their confirms: RabbitMQ keeps usage in the queue `intake`. No "
            "process ends."
        ),
        waits=PARTS,
        waits_where=(
            "Intake gives back what it has not stored and stops consuming. A hint whose step finds no database goes up "
            "the ladder of delay queues; a step that was cut rolls back whole. Neither costs an attempt."
        ),
        told=(
            f"The scheduler that led tells RabbitMQ straight away: {_NOTICE}. Both are owed in PostgreSQL when it is "
            "back, under the same ids."
        ),
        drains=(
            "Intake consumes again within a second and stores what waited in full receipts; then the sweeper hints "
            "what is due, tier by tier."
        ),
    ),
    Row(
        "tax_engine",
        "a tax engine",
        goes_on=(*_LINE, "close", "rate", "post", "notify"),
        goes_on_how=(
            "Runs are frozen and rated, their drafts wait for tax; documents that are taxed already are approved and "
            "posted. The engine that ships with Tallyline is a table in PostgreSQL and is away only with it."
        ),
        waits=("tax",),
        waits_where=(
            "Drafts whose engine does not answer are snoozed, one by one, without an attempt; no run goes past them."
        ),
        told=f"At once: {_NOTICE}.",
        drains="Each draft is asked for again when its rest is over; then its run goes on.",
    ),
    Row(
        "erp",
        "an ERP",
        goes_on=(*_LINE, "close", "rate", "tax", "notify"),
        goes_on_how="Every other ERP connection is posted to as ever: each has a queue and a gate of its own.",
        waits=("post",),
        waits_where=(
            "Postings of this connection alone. Its gate is paused, so not every posting asks in vain; each is snoozed "
            "without an attempt. One whose call was under way is unknown, and looked up before anything is repeated."
        ),
        told=f"At once, by the name of the connection: {_NOTICE}.",
        drains="When the pause is over one posting asks, then the others follow at the pace of the connection.",
    ),
    Row(
        "sentry",
        "Sentry",
        goes_on=PARTS,
        goes_on_how=(
            "Everything. Errors are handed to a thread that sends them; it has a queue with an end and a time limit."
        ),
        waits=(),
        waits_where="Nothing. Reports that do not fit into the queue are dropped: the same errors are in the logs.",
        told=f"At once: {_NOTICE}.",
        drains="Nothing to drain. New errors are reported again.",
    ),
)
BY_DEPENDENCY: Final[Mapping[Dependency, Row]] = {row.dependency: row for row in ROWS}


@dataclass(frozen=True, slots=True)
class Outage:
    """A dependency that is away since an instant; of several of its kind `name` says which."""

    dependency: Dependency
    since: datetime
    name: str = ""

    @property
    def label(self) -> str:
        """`redis`, `erp.netsuite-us`."""
        return f"{self.dependency}.{self.name}" if self.name else self.dependency

    @property
    def key(self) -> str:
        """One for each outage; those of a dependency sort by time."""
        return f"{OUTAGES}/{self.label}/{self.since.isoformat(timespec='microseconds')}"


#: What every key of an outage begins with.
OUTAGES: Final = "outage"
