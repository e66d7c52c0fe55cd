"""Billing runs: one act of billing a period each; how they are asked for, pressed on, approved and let pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from domain.closing import STAGES, Blocker, Override, OverrideInvalid, Stage, StageOutOfOrder, overridden
from queues import work
from queues.work import Hintable, NewWork

_encode = msgspec.json.Encoder(decimal_format="string").encode

#: A blocked run is tried again by itself this often; what blocks it may have passed.
TRY_AGAIN_S = 60


@dataclass(frozen=True, slots=True)
class Run:
    """A billing run with its period, locked by whoever holds it."""

    id: int
    stage: Stage
    billing_period_id: int
    lot: int
    legal_entity_id: str
    starts_on: date
    ends_on: date
    starts_at: datetime
    ends_at: datetime
    invoice_on: date
    posting_on: date
    requested_at: datetime
    approved_by: str | None

    @property
    def period(self) -> str:
        """The period's days, the last one exclusive."""
        return f"{self.starts_on}/{self.ends_on}"


_RUN = text("""
select r.id, r.stage, r.billing_period_id, r.lot, c.legal_entity_id, p.starts_on, p.ends_on, p.starts_at, p.ends_at,
  r.invoice_on, r.posting_on, r.requested_at, r.approved_by
from billing_runs r join billing_periods p on p.id = r.billing_period_id join billing_cycles c on c.id = p.cycle_id
where r.id = :id for update of r
""")


def hold(conn: Connection, run_id: int) -> Run:
    """The run, locked until the transaction ends."""
    return Run(*conn.execute(_RUN, {"id": run_id}).one())


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for: bill the period, with these dates."""

    billing_period_id: int
    invoice_on: date
    posting_on: date
    person: str


_REQUEST = text("""
insert into billing_runs (billing_period_id, lot, invoice_on, posting_on, requested_by)
select id, lot, :invoice_on, :posting_on, :person from billing_periods where id = :period
on conflict (billing_period_id, lot) do nothing
""")
_LAST = text("""
select id, lot, stage from billing_runs where billing_period_id = :period order by lot desc limit 1
""")


def request(conn: Connection, wanted: Wanted) -> int:
    """The open run of the period's current lot, made if there is none: its number. `press` sets it going.

    Raises `StageOutOfOrder` while the run before it has not issued its documents: what it bills would not be known.
    """
    conn.execute(
        text("select 1 from billing_periods where id = :period for update"), {"period": wanted.billing_period_id}
    )
    last = conn.execute(_LAST, {"period": wanted.billing_period_id}).one_or_none()
    if last is not None and last.stage == "open":
        return last.id  # type: ignore[no-any-return]
    if last is not None and STAGES.index(last.stage) < STAGES.index("approved"):
        raise StageOutOfOrder(f"run {last.id} of the period is {last.stage}: approve it first", run=last.id)
    values = {"period": wanted.billing_period_id, "invoice_on": wanted.invoice_on, "posting_on": wanted.posting_on}
    conn.execute(_REQUEST, {**values, "person": wanted.person})
    return conn.execute(_LAST, values).one().id  # type: ignore[no-any-return]


def press(conn: Connection, run_id: int) -> list[Hintable]:
    """Owe `close` to the run once more, to see how far it goes now; to be hinted after the commit."""
    subject, correlation_id = f"billing_run/{run_id}", f"billing-run-{run_id}"
    revision = next_revision(conn, run_id)
    return work.insert(conn, [NewWork("close", subject, correlation_id, revision=revision, close_id=run_id)])


def next_revision(conn: Connection, run_id: int) -> int:
    """A revision for one more `close` of the run; none is given twice."""
    found = conn.execute(
        text("update billing_runs set revision = revision + 1 where id = :id returning revision"), {"id": run_id}
    )
    return int(found.scalar_one())


def approve(conn: Connection, run_id: int, *, person: str) -> None:
    """Record who approves the run's drafts; the first approval stands. `press` goes on with it.

    Raises `StageOutOfOrder` if there are no drafts to look at yet.
    """
    run = hold(conn, run_id)
    if STAGES.index(run.stage) < STAGES.index("drafted"):
        raise StageOutOfOrder(f"run {run_id} is {run.stage}: its drafts are not complete", run=run_id)
    conn.execute(
        text("""update billing_runs set approved_by = :person, approved_at = now()
             where id = :id and approved_by is null"""),
        {"id": run_id, "person": person},
    )


_REDATED = text("""
update billing_runs set invoice_on = :invoice_on, posting_on = :posting_on, approved_by = null, approved_at = null
where id = :id
""")
_REDATED_DRAFTS = text("""
update invoices set invoice_on = :invoice_on, posting_on = :posting_on
where billing_run_id = :id and state in ('draft', 'taxed', 'empty')
""")


def redate(conn: Connection, run_id: int, *, invoice_on: date | None, posting_on: date | None) -> bool:
    """Give what the run has not issued yet other dates, None: as before; whether they are. Then it is approved again.

    Raises `StageOutOfOrder` if its documents are issued.
    """
    run = hold(conn, run_id)
    dates = {"invoice_on": invoice_on or run.invoice_on, "posting_on": posting_on or run.posting_on}
    if dates == {"invoice_on": run.invoice_on, "posting_on": run.posting_on}:
        return False
    if STAGES.index(run.stage) >= STAGES.index("approved"):
        raise StageOutOfOrder(f"run {run_id} is {run.stage}: its documents have their dates", run=run_id)
    conn.execute(_REDATED, {**dates, "id": run_id})
    conn.execute(_REDATED_DRAFTS, {**dates, "id": run_id})
    return True


def override(conn: Connection, run_id: int, code: str, *, person: str, reason: str) -> Override:
    """Let a blocker of the run pass, as often as it was seen. Raises `OverrideInvalid`."""
    run = hold(conn, run_id)
    found = [each for each in blockers_of(conn, run.id) if each.code == code]
    if not found:
        raise OverrideInvalid(f"{code} does not block run {run_id}", run=run_id, code=code)
    now = conn.execute(text("select now()")).scalar_one()
    let_pass = overridden(found[0], person=person, reason=reason, overridden_at=now)
    conn.execute(
        text("""insert into billing_overrides (billing_run_id, code, person, reason, exceptions)
             values (:run, :code, :person, :reason, :count) on conflict do nothing"""),
        {"run": run_id, "code": code, "person": let_pass.person, "reason": let_pass.reason, "count": let_pass.count},
    )
    return let_pass


def overrides(conn: Connection, run_id: int) -> list[Override]:
    """What was let pass so far, the largest count of a code last."""
    found = conn.execute(
        text("""select code, person, reason, exceptions, overridden_at from billing_overrides
             where billing_run_id = :id order by code, exceptions"""),
        {"id": run_id},
    )
    return [Override(*row) for row in found]


def blockers_of(conn: Connection, run_id: int) -> list[Blocker]:
    """What was in the way of the run when it was last tried."""
    listed: list[dict[str, Any]] = conn.execute(
        text("select blockers from billing_runs where id = :id"), {"id": run_id}
    ).scalar_one()
    return [Blocker(**each) for each in listed]


def block(conn: Connection, run_id: int, found: Sequence[Blocker]) -> None:
    """Keep what is in the way."""
    conn.execute(
        text("update billing_runs set blockers = cast(:found as jsonb), tried_at = now() where id = :id"),
        {"id": run_id, "found": _encode(found).decode()},
    )


def enter(conn: Connection, run_id: int, stage: Stage) -> None:
    """The run has reached the stage; nothing is in its way."""
    conn.execute(
        text("""update billing_runs set stage = :stage, blockers = '[]', tried_at = now(),
             closed_at = case when :stage = 'closed' then now() end where id = :id"""),
        {"id": run_id, "stage": stage},
    )


def seal(conn: Connection, run: Run) -> None:
    """End the period's current lot with what is aggregated now; the caller holds the fence alone."""
    conn.execute(
        text("""insert into lots (billing_period_id, lot, sealed_no)
             select :period, :lot, coalesce(max(aggregated_no), 0) from batches"""),
        {"period": run.billing_period_id, "lot": run.lot},
    )
    conn.execute(
        text("update billing_periods set lot = :next where id = :period and lot = :lot"),
        {"period": run.billing_period_id, "lot": run.lot, "next": run.lot + 1},
    )


_IS_BUSY = """exists (select from work w where w.close_id = r.id and w.state = 'ready'
    and w.step in ('rate', 'tax', 'post'{}))"""
_BUSY = text(f"select {_IS_BUSY.format('')} from billing_runs r where r.id = :id")
_IDLE = text(f"""
select r.id from billing_runs r
where (r.stage in ('frozen', 'approved', 'posted', 'reconciled') or (r.stage = 'drafted' and r.approved_by is not null))
  and (r.blockers = '[]' or r.tried_at < now() - make_interval(secs => :again_s))
  and not {_IS_BUSY.format(", 'close'")}
order by r.id for update of r skip locked
""")


def is_busy(conn: Connection, run_id: int) -> bool:
    """Whether a step still owes the run something; then there is nothing to decide yet."""
    return bool(conn.execute(_BUSY, {"id": run_id}).scalar_one())


def idle(conn: Connection) -> list[int]:
    """Runs that nobody works on and that may go on: no step owes them anything, and nothing new is known to block."""
    return list(conn.execute(_IDLE, {"again_s": TRY_AGAIN_S}).scalars())
