"""How a billing run goes from open to closed: what is counted before each stage, and what entering it does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from domain.closing import CloseBlocked, Facts, Override, Stage, blockers, entered, next_stage
from domain.errors import Snooze
from domain.notices import accounts_parked, run_blocked, run_stage_entered
from queues import work
from queues.work import Hintable, Ready
from workers import doubts, gaps
from workers.issuing import issue
from workers.step import publish
from workers.store import billing_runs, breakers, erp_postings, fence, notices, run_drafts, run_facts, sequences
from workers.store.billing_runs import Run
from workers.store.database import engine, snapshot
from workers.unit import Unit

#: Usage on its way to its window takes moments; until it is there nothing is frozen.
WAIT_S: Final = 1.0
#: The reason kept with what leaves a draft when nobody gave one.
LEFT_OUT: Final = "drafts_blocked was overridden"


def advance(unit: Unit, ready: Ready) -> None:
    """Bring the run one stage further, or record what is in its way."""
    run = billing_runs.hold(unit.conn, ready.subject_id)
    stage = next_stage(run.stage)
    if stage is None:
        return
    if stage != "frozen" and billing_runs.is_busy(unit.conn, run.id):
        return  # the tick presses again when all is done
    if run.stage == "frozen" and not run_drafts.are_made(unit.conn, run) and _spread(unit, ready, run):
        return
    overrides = billing_runs.overrides(unit.conn, run.id)
    try:
        entered(run.stage, stage, facts=_facts(unit, run, stage, overrides), overrides=overrides)
    except CloseBlocked as blocked:
        _block(unit, ready, run, blocked)
        return
    billing_runs.block(unit.conn, run.id, ())
    if _ENTERING.get(stage, _nothing)(unit, ready, run):
        _enter(unit, ready, run, stage)


def _facts(unit: Unit, run: Run, stage: Stage, overrides: Sequence[Override]) -> Facts:
    """What was counted; before freezing and closing also whether all usage is accounted for, in a snapshot."""
    if stage == "frozen":
        _require_aggregated(unit, run)
        gaps.look_now()
        doubts.look_now(run.billing_period_id)
    off: Mapping[str, int] = {}
    if stage in ("frozen", "closed") and not blockers(stage, run_facts.of_stage(unit.conn, run, stage), overrides):
        with snapshot() as other:
            off = run_facts.differences(other, run)
    if stage == "frozen":
        sequences.lock(unit.conn)
        # From here on nothing is attributed or aggregated until the commit, which must come soon.
        fence.take(unit.conn)
        _require_aggregated(unit, run)
        gaps.look_within(unit.conn)  # whatever is in the lot may have shown a gap since
    counted = run_facts.of_stage(unit.conn, run, stage)
    return replace(counted, events_do_not_add_up=off.get("events", 0), usage_does_not_add_up=off.get("usage", 0))


def _require_aggregated(unit: Unit, run: Run) -> None:
    waiting = run_facts.unaggregated(unit.conn, run)
    if waiting:
        raise Snooze(f"{waiting} receipts or batches are not yet in their windows", delay_s=WAIT_S)


def _seal(unit: Unit, _ready: Ready, run: Run) -> bool:
    billing_runs.seal(unit.conn, run)
    return True


def _spread(unit: Unit, ready: Ready, run: Run) -> bool:
    """Owe `rate` to every subscription that is billed; whether there is any."""
    children = run_drafts.spread(unit.conn, run, correlation_id=ready.correlation_id)
    for subscription_id in children:
        unit.then(ready, "rate", f"run/{run.id}/subscription/{subscription_id}", lane="close")
    return bool(children)


def _leave_out(unit: Unit, ready: Ready, run: Run) -> bool:
    """Let what cannot be drafted leave, which was overridden; whether no draft waits to be taxed because of it."""
    overrides = [each for each in billing_runs.overrides(unit.conn, run.id) if each.code == "drafts_blocked"]
    person, reason = (overrides[-1].person, overrides[-1].reason) if overrides else (ready.step, LEFT_OUT)
    drafts = run_drafts.leave_out(unit.conn, run, person=person, reason=reason)
    for invoice_id in drafts:
        unit.then(ready, "tax", f"invoice/{invoice_id}", lane="close")
    if not drafts:
        _park(unit, ready, run)
    return not drafts


def _park(unit: Unit, ready: Ready, run: Run) -> None:
    holds = breakers.park(unit.conn, run)
    if holds:
        notice = accounts_parked(str(run.id), legal_entity=run.legal_entity_id, period=run.period, holds=holds)
        notices.owe(unit, ready, notice, key=f"billing_run/{run.id}/parked")


def _issue(unit: Unit, ready: Ready, run: Run) -> bool:
    """Issue what no breaker holds; the next run of the period bills the others."""
    breakers.leave(unit.conn, run)
    is_all = issue(unit, ready, run)
    if not is_all:
        _again(unit, ready)
    return is_all


def _look_again(unit: Unit, ready: Ready, run: Run) -> bool:
    """Owe each document one more look into the ERP, whose outcome is counted before the run is reconciled."""
    for posting in erp_postings.of_run(unit.conn, run.id):
        subject = f"erp_posting/{posting.id}"
        revision = work.next_revision(unit.conn, "post", subject)
        unit.then(ready, "post", subject, revision=revision, lane="close", connection_id=posting.connection_id)
    return True


def _nothing(_unit: Unit, _ready: Ready, _run: Run) -> bool:
    return True


#: Stages after which the next is tried at once; after the others work is owed, and the tick goes on when it is done.
_GOES_ON: Final[frozenset[Stage]] = frozenset({"frozen", "drafted", "reconciled"})
#: What entering a stage does; it is entered now only if that is done with.
_ENTERING: Final[Mapping[Stage, Callable[[Unit, Ready, Run], bool]]] = {
    "frozen": _seal,
    "drafted": _leave_out,
    "approved": _issue,
    "posted": _look_again,
}


def _enter(unit: Unit, ready: Ready, run: Run, stage: Stage) -> None:
    billing_runs.enter(unit.conn, run.id, stage)
    notice = run_stage_entered(str(run.id), legal_entity=run.legal_entity_id, period=run.period, stage=stage)
    notices.owe(unit, ready, notice, key=f"billing_run/{run.id}/{stage}")
    if stage in _GOES_ON:
        _again(unit, ready)


def _block(unit: Unit, ready: Ready, run: Run, blocked: CloseBlocked) -> None:
    """Keep what is in the way with the run and tell it, once for each set of blockers."""
    found = blocked.blockers
    billing_runs.block(unit.conn, run.id, found)
    digest = blake2b(repr([(each.code, each.count) for each in found]).encode(), digest_size=8).hexdigest()
    notice = run_blocked(str(run.id), legal_entity=run.legal_entity_id, period=run.period, blockers=found)
    notices.owe(unit, ready, notice, key=f"billing_run/{run.id}/{found[0].stage}/blocked/{digest}")


def _again(unit: Unit, ready: Ready) -> None:
    """Owe `close` to the run once more."""
    unit.then(ready, "close", ready.subject, revision=billing_runs.next_revision(unit.conn, ready.subject_id))


def tick() -> int:
    """Press on every run that nobody works on and that may go on; how many there were."""
    with engine().begin() as conn:
        hints: list[Hintable] = [
            hint for run_id in billing_runs.idle(conn) for hint in billing_runs.press(conn, run_id)
        ]
    publish(hints)
    return len(hints)
