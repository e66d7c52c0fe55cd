"""What is owed and what is stuck, for people: work by step, work rows one by one, exceptions one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

#: Rows of one list; a filter narrows it down.
ROWS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class StepState:
    """One step and lane: rows that are due, how long the oldest has been, rows that are due later, and dead ones."""

    step: str
    lane: str
    connection_id: str | None
    due: int
    oldest_s: float
    later: int
    dead: int


@dataclass(frozen=True, slots=True)
class WorkRow:
    """A work row as a list shows it."""

    id: int
    step: str
    lane: str
    subject: str
    revision: int
    state: str
    weight: int
    attempts: int
    due_at: datetime
    outcome: str | None
    error: str | None
    correlation_id: str


@dataclass(frozen=True, slots=True)
class ExceptionRow:
    """An exception as a list shows it."""

    id: int
    step: str
    code: str
    state: str
    seen: int
    metric: str | None
    source: str | None
    event_id: str | None
    subject: str | None
    event_no: int | None
    work_id: int | None
    receipt_id: int | None
    position: int | None
    happened_at: datetime | None
    quantity: Any
    waits_kind: str | None
    waits_key: str | None
    opened_at: datetime
    sentence: str
    facts: Mapping[str, Any]


def states(conn: Connection) -> Sequence[StepState]:
    """Every step and lane that has ready or dead rows."""
    found = conn.execute(
        text("""select step, lane, connection_id,
               count(*) filter (where state = 'ready' and due_at <= now()) as due, coalesce(extract(epoch from
                 now() - min(due_at) filter (where state = 'ready' and due_at <= now())), 0)::float8 as oldest_s,
               count(*) filter (where state = 'ready' and due_at > now()) as later,
               count(*) filter (where state = 'dead') as dead
             from work where state in ('ready', 'dead') group by 1, 2, 3 order by 1, 2, 3""")
    )
    return [StepState(*row) for row in found]


_WORK_COLUMNS = "id, step, lane, subject, revision, state, weight, attempts, due_at, outcome, error, correlation_id"


@dataclass(frozen=True, slots=True)
class WorkFilter:
    """Which work rows are wanted; None stands for any."""

    step: str | None = None
    state: str | None = None
    subject: str | None = None
    outcome: str | None = None


def work_rows(conn: Connection, wanted: WorkFilter, *, rows: int) -> Sequence[WorkRow]:
    """The newest work rows that are wanted."""
    found = conn.execute(
        text(f"""select {_WORK_COLUMNS} from work
             where (cast(:step as text) is null or step = :step) and (cast(:state as text) is null or state = :state)
               and (cast(:subject as text) is null or subject = :subject)
               and (cast(:outcome as text) is null or outcome = :outcome)
             order by id desc limit :rows"""),
        {**asdict(wanted), "rows": min(rows, ROWS_MAX)},
    )
    return [WorkRow(*row) for row in found]


_EXCEPTIONS = """select x.id, x.step, x.code, x.state, x.seen, m.name as metric, coalesce(x.source, s.name) as source,
  x.event_id, x.subject, x.event_no, x.work_id, x.receipt_id, x.position, x.happened_at, x.quantity, x.waits_kind,
  x.waits_key, x.opened_at, x.sentence, x.facts
from exceptions x left join metrics m on m.id = x.metric_id left join sources s on s.id = x.source_id"""


def exceptions_by_id(conn: Connection, ids: Sequence[int]) -> Sequence[ExceptionRow]:
    """The exceptions with these ids, in order; an id that is not there is left out."""
    found = conn.execute(
        text(f"{_EXCEPTIONS} where x.id = any(cast(:ids as bigint[])) order by x.id"), {"ids": list(ids)}
    )
    return [ExceptionRow(*row) for row in found]


def open_ids(conn: Connection, code: str, *, rows: int = ROWS_MAX) -> Sequence[int]:
    """The open exceptions of a code, oldest first."""
    found = conn.execute(
        text("select id from exceptions where code = :code and state = 'open' order by id limit :rows"),
        {"code": code, "rows": rows},
    )
    return list(found.scalars())
