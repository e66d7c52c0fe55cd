"""The work ledger: what each step owes; outbox, inbox, retry schedule and progress bar in one table.

PostgreSQL is the truth, messages are hints. Every function runs in the caller's transaction and none commits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from queues.topology import queue_name

#: A failed row is tried again after 2, 4, 8 .. seconds, never later than this.
BACKOFF_S_MAX = 300
#: Sentences kept with a row; the whole story is in the exception.
ERROR_LENGTH_MAX = 1_000


@dataclass(frozen=True, slots=True)
class NewWork:
    """A row that a step owes to another."""

    step: str
    subject: str
    correlation_id: str
    revision: int = 1
    weight: int = 1
    lane: str = "live"
    connection_id: str | None = None
    close_id: int | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hintable:
    """Enough of a row to hint it: which queue, and how heavy it is."""

    id: int
    step: str
    queue: str
    weight: int
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A row claimed by this transaction."""

    id: int
    step: str
    subject: str
    revision: int
    lane: str
    connection_id: str | None
    weight: int
    attempts: int
    close_id: int | None
    correlation_id: str

    @property
    def subject_id(self) -> int:
        """The number behind the last slash of the subject: `receipt/17` is 17."""
        return int(self.subject.rpartition("/")[2])


_INSERT = text("""
insert into work (step, subject, revision, weight, lane, connection_id, close_id, due_at, correlation_id)
select * from (
  select step, subject, revision, weight, lane, connection_id, close_id, coalesce(due_at, now()) as due_at,
    correlation_id
  from unnest(cast(:step as text[]), cast(:subject as text[]), cast(:revision as integer[]), cast(:weight as integer[]),
    cast(:lane as text[]), cast(:connection_id as text[]), cast(:close_id as bigint[]), cast(:due_at as timestamptz[]),
    cast(:correlation_id as text[]))
    as t (step, subject, revision, weight, lane, connection_id, close_id, due_at, correlation_id)
  order by step, subject, revision) s
on conflict (step, subject, revision) do nothing
returning id, step, lane, connection_id, weight, correlation_id, due_at <= now() as is_due
""")

COLUMNS = ("step", "subject", "revision", "weight", "lane", "connection_id", "close_id", "due_at", "correlation_id")


def insert(conn: Connection, rows: Sequence[NewWork]) -> list[Hintable]:
    """Insert what is not there yet and return the new rows that are due, to be hinted after the commit."""
    if not rows:
        return []
    found = conn.execute(_INSERT, {name: [getattr(row, name) for row in rows] for name in COLUMNS})
    return [
        Hintable(row.id, row.step, queue_name(row.step, row.lane, row.connection_id), row.weight, row.correlation_id)
        for row in found
        if row.is_due
    ]


_CLAIM = text("""
select id, step, subject, revision, lane, connection_id, weight, attempts, close_id, correlation_id
from work where id = any(cast(:ids as bigint[])) and step = :step and state = 'ready' and due_at <= now()
  and (lease_until is null or lease_until < now())
order by id for update skip locked
""")


def claim(conn: Connection, step: str, ids: Sequence[int]) -> tuple[Ready, ...]:
    """Lock and return those of the rows that are ready, due and not held by somebody else."""
    return tuple(Ready(*row) for row in conn.execute(_CLAIM, {"ids": list(ids), "step": step}))


_LEASE = text("""
update work set lease_no = lease_no + 1, lease_until = now() + make_interval(secs => :lease_s)
where id = (select id from work where id = :id and step = :step and state = 'ready' and due_at <= now()
  and (lease_until is null or lease_until < now()) for update skip locked)
returning id, step, subject, revision, lane, connection_id, weight, attempts, close_id, correlation_id, lease_no,
  lease_until
""")


def lease(conn: Connection, step: str, work_id: int, *, lease_s: float) -> tuple[Ready, int, datetime] | None:
    """Take the row for `lease_s` seconds: the row, the number that fences the lease, and when it ends."""
    row = conn.execute(_LEASE, {"id": work_id, "step": step, "lease_s": lease_s}).one_or_none()
    return None if row is None else (Ready(*row[:10]), row.lease_no, row.lease_until)


def attempts_of(conn: Connection, work_id: int) -> int:
    """Failed attempts of the row so far."""
    return conn.execute(text("select attempts from work where id = :id"), {"id": work_id}).scalar_one()  # type: ignore[no-any-return]


def hold(conn: Connection, work_id: int) -> Ready | None:
    """Lock the row whether it is due or not, to record how it ended; None if it is no longer ready."""
    row = conn.execute(
        text("""select id, step, subject, revision, lane, connection_id, weight, attempts, close_id, correlation_id
             from work where id = :id and state = 'ready' for update"""),
        {"id": work_id},
    ).one_or_none()
    return None if row is None else Ready(*row)


def holds_lease(conn: Connection, work_id: int, lease_no: int) -> bool:
    """Lock the row and say whether `lease_no` is still the one in force."""
    found = conn.execute(
        text("select 1 from work where id = :id and lease_no = :lease_no and state = 'ready' for update"),
        {"id": work_id, "lease_no": lease_no},
    )
    return found.one_or_none() is not None


def relet(conn: Connection, work_id: int, *, lease_no: int, lease_s: float) -> None:
    """Let the lease `lease_no` end `lease_s` seconds from now: what is known of the partner decides, not the step."""
    conn.execute(
        text("""update work set lease_until = clock_timestamp() + make_interval(secs => :lease_s)
             where id = :id and lease_no = :lease_no and state = 'ready'"""),
        {"id": work_id, "lease_no": lease_no, "lease_s": lease_s},
    )


def next_revision(conn: Connection, step: str, subject: str) -> int:
    """One more than the highest revision that the step ever owed to the subject."""
    found = conn.execute(
        text("select coalesce(max(revision), 0) + 1 from work where step = :step and subject = :subject"),
        {"step": step, "subject": subject},
    )
    return found.scalar_one()  # type: ignore[no-any-return]


def lock_subjects(conn: Connection, step: str, subjects: Iterable[str]) -> None:
    """Wait until no other transaction works on any of these subjects of the step."""
    conn.execute(
        text("""select pg_advisory_xact_lock(key) from (
               select distinct hashtextextended(:step || ' ' || subject, 0) as key
               from unnest(cast(:subjects as text[])) as t (subject) order by 1) s"""),
        {"step": step, "subjects": list(subjects)},
    )


def superseded(conn: Connection, ids: Sequence[int]) -> set[int]:
    """Those of the claimed rows whose subject has a newer revision that is done or claimed along with them."""
    found = conn.execute(
        text("""select w.id from work w where w.id = any(cast(:ids as bigint[])) and exists (
               select 1 from work n where n.step = w.step and n.subject = w.subject and n.revision > w.revision
               and (n.state = 'done' or n.id = any(cast(:ids as bigint[]))))"""),
        {"ids": list(ids)},
    )
    return set(found.scalars())


def done(conn: Connection, ids: Sequence[int], *, outcome: str = "done") -> None:
    """Record that nothing is owed any more."""
    conn.execute(
        text("""update work set state = 'done', done_at = now(), outcome = :outcome, lease_until = null, error = null
             where id = any(cast(:ids as bigint[]))"""),
        {"ids": list(ids), "outcome": outcome},
    )


def snooze(
    conn: Connection, ids: Sequence[int], *, delay_s: float, sentence: str, outcome: str | None = "snooze"
) -> None:
    """Make the rows due later; a snooze is no attempt. Without an `outcome` they show the one they had."""
    conn.execute(
        text("""update work set due_at = now() + make_interval(secs => :delay_s), lease_until = null, starts = 0,
             outcome = coalesce(:outcome, outcome, 'snooze'), error = :error
             where id = any(cast(:ids as bigint[])) and state = 'ready'"""),
        {"ids": list(ids), "delay_s": delay_s, "error": sentence[:ERROR_LENGTH_MAX], "outcome": outcome},
    )


def again(conn: Connection, work_id: int, *, sentence: str) -> None:
    """Count a failed attempt and make the row due after a back-off."""
    conn.execute(
        text("""update work set attempts = attempts + 1, starts = 0, lease_until = null, outcome = 'again',
          error = :error,
             due_at = now() + make_interval(secs => least(:longest, power(2, least(attempts + 1, 30))))
             where id = :id and state = 'ready'"""),
        {"id": work_id, "error": sentence[:ERROR_LENGTH_MAX], "longest": BACKOFF_S_MAX},
    )


def dead(conn: Connection, work_id: int, *, code: str, sentence: str) -> None:
    """Record that a person must act; the caller opens the exception in the same transaction."""
    conn.execute(
        text("""update work set state = 'dead', done_at = now(), lease_until = null, outcome = :code, error = :error,
             shown_at = null where id = :id and state = 'ready'"""),
        {"id": work_id, "code": code, "error": sentence[:ERROR_LENGTH_MAX]},
    )


def start(conn: Connection, work_id: int) -> int:
    """Count one more start of a redelivered row; 0 if it is no longer ready."""
    found = conn.execute(
        text("update work set starts = starts + 1 where id = :id and state = 'ready' returning starts"), {"id": work_id}
    )
    return found.scalar_one_or_none() or 0


def still_ready(conn: Connection, ids: Sequence[int], *, within_s: float = 0) -> list[Hintable]:
    """Those of the rows that are ready and due `within_s` seconds: their hint was consumed, so they need another."""
    found = conn.execute(
        text("""select id, step, lane, connection_id, weight, correlation_id from work
             where id = any(cast(:ids as bigint[])) and state = 'ready'
               and due_at <= now() + make_interval(secs => :within_s) order by id"""),
        {"ids": list(ids), "within_s": within_s},
    )
    return [
        Hintable(row.id, row.step, queue_name(row.step, row.lane, row.connection_id), row.weight, row.correlation_id)
        for row in found
    ]


def weights(conn: Connection, ids: Sequence[int]) -> list[tuple[int, int]]:
    """(id, weight) of the rows that are ready, in order of id."""
    found = conn.execute(
        text("""select id, weight from work where id = any(cast(:ids as bigint[])) and state = 'ready' order by id"""),
        {"ids": list(ids)},
    )
    return [(row.id, row.weight) for row in found]


def chunks(rows: Iterable[tuple[int, int]], *, rows_max: int, weight_max: int) -> list[list[int]]:
    """The ids of (id, weight) pairs in runs of at most `rows_max` rows and `weight_max` weight, one row at least."""
    runs: list[list[int]] = []
    heavy = 0
    for row_id, weight in rows:
        if not runs or len(runs[-1]) >= rows_max or heavy + weight > weight_max:
            runs.append([])
            heavy = 0
        runs[-1].append(row_id)
        heavy += weight
    return runs
