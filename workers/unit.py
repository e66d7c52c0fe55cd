"""What an actor is given: the claimed rows in one transaction, or one leased row around a call to the outside."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Engine, text

from domain.errors import Rejection
from queues import exceptions, work
from queues.work import Hintable, NewWork, Ready
from workers.store import exception_keys

Lane = Literal["live", "close", "replay"]


class LeaseLost(Exception):
    """Another worker took the row over; what this one found out belongs in the attempt log and nowhere else."""


@dataclass(slots=True)
class Unit:
    """One transaction of a step: the rows it claimed, and what it owes to the next steps."""

    conn: Connection
    ready: tuple[Ready, ...]
    now: datetime
    _next: list[NewWork] = field(default_factory=list)
    _settled: set[int] = field(default_factory=set)

    def then(  # noqa: PLR0913 -- work is named by all of these, most of them by default
        self,
        cause: Ready,
        step: str,
        subject: str,
        *,
        revision: int = 1,
        weight: int = 1,
        lane: Lane | None = None,
        connection_id: str | None = None,
        close_id: int | None = None,
        due_at: datetime | None = None,
    ) -> None:
        """Owe `step` to `subject`, with the lane, close and correlation id of `cause` unless they are given."""
        self._next.append(
            NewWork(
                step=step,
                subject=subject,
                correlation_id=cause.correlation_id,
                revision=revision,
                weight=weight,
                lane=lane or cause.lane,
                connection_id=connection_id,
                close_id=close_id if close_id is not None else cause.close_id,
                due_at=due_at,
            )
        )

    def reject(self, ready: Ready, rejection: Rejection) -> None:
        """Settle this row as dead with an exception; the other rows go on."""
        bury(self.conn, ready, code=rejection.code, sentence=rejection.sentence, facts=rejection.facts)
        self._settled.add(ready.id)

    def snooze(self, ready: Ready, *, delay_s: float, sentence: str) -> None:
        """Settle this row as due later; the other rows go on."""
        work.snooze(self.conn, [ready.id], delay_s=delay_s, sentence=sentence)
        self._settled.add(ready.id)

    def settle(self) -> list[Hintable]:
        """Insert what is owed, mark the rest of the rows done, and return the rows to hint after the commit."""
        hints = work.insert(self.conn, self._next)
        work.done(self.conn, [ready.id for ready in self.ready if ready.id not in self._settled])
        return hints


def bury(conn: Connection, ready: Ready, *, code: str, sentence: str, facts: dict[str, object]) -> None:
    """Mark the row dead and open its exception, in one transaction."""
    key16, digest = exceptions.of_subject(ready.step, ready.subject)
    keys = exception_keys.of_work(conn, ready, code=code, facts=facts)
    work.dead(conn, ready.id, code=code, sentence=sentence)
    exceptions.open_exceptions(
        conn,
        [
            exceptions.NewException(
                step=ready.step,
                code=code,
                key16=key16,
                hash=digest,
                sentence=sentence,
                work_id=ready.id,
                subject=ready.subject,
                correlation_id=ready.correlation_id,
                facts=facts,
                **keys,
            )
        ],
    )


def database_now(conn: Connection) -> datetime:
    """The start of the transaction by the database's clock: the only clock that decides."""
    return conn.execute(text("select now()")).scalar_one()  # type: ignore[no-any-return]


@dataclass(slots=True)
class Errand:
    """One leased row around a call to the outside: no transaction is open unless the body opens one."""

    engine: Engine
    ready: Ready
    lease_no: int
    deadline: datetime
    hints: list[Hintable] = field(default_factory=list)
    is_finished: bool = False

    @contextmanager
    def transaction(self) -> Iterator[Unit]:
        """A short transaction that holds the row; raises `LeaseLost` if another worker took it over."""
        with self.engine.begin() as conn:
            if not work.holds_lease(conn, self.ready.id, self.lease_no):
                raise LeaseLost(f"lease {self.lease_no} of work {self.ready.id} is no longer in force")
            unit = Unit(conn, (self.ready,), database_now(conn))
            yield unit
            hints = work.insert(conn, unit._next)  # noqa: SLF001 -- the unit is this module's own
        self.hints += hints

    @contextmanager
    def finish(self) -> Iterator[Unit]:
        """As `transaction`, and the row is done when it commits."""
        with self.transaction() as unit:
            yield unit
            work.done(unit.conn, [self.ready.id])
        self.is_finished = True

    @contextmanager
    def rest(self, *, delay_s: float, sentence: str) -> Iterator[Unit]:
        """As `transaction`, and the row is due `delay_s` later when it commits: who wakes it by then is not undone."""
        with self.transaction() as unit:
            yield unit
            work.snooze(unit.conn, [self.ready.id], delay_s=delay_s, sentence=sentence)
        self.is_finished = True


def ids_of(rows: Sequence[Ready]) -> list[int]:
    """The ids of the rows, as SQL takes them."""
    return [row.id for row in rows]
