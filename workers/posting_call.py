"""The one call that has an effect: intent and lease before it, the outcome after it, no transaction during it."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Final, assert_never

from domain.errors import Snooze
from queues import work
from queues.gate import Pace, gate, passage
from queues.work import NewWork
from workers.erp import protocol
from workers.erp.protocol import Busy, Erp, ErpDocument, Limits, Outcome, Posted, Rejected, Resume, Unknown
from workers.erp.registry import ErpConnection
from workers.store import erp_postings, holds
from workers.store.erp_postings import Attempt, Posting, amounts
from workers.unit import Errand, LeaseLost, Unit

#: A call begins at most this long after its lease was taken, or not at all.
START_S: Final = 2.0
#: How long a call waits for its turn before the posting is due again later.
TURN_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One errand for one posting, and the ERP it goes to."""

    errand: Errand
    posting: Posting
    erp: Erp
    limits: Limits

    @property
    def asked(self) -> ErpDocument:
        """What is delivered."""
        return self.posting.asked

    @property
    def facts(self) -> dict[str, str]:
        """What an exception about this delivery names."""
        return {"key": self.asked.key, "number": self.asked.number, "connection": self.posting.connection.id}

    @property
    def gate_key(self) -> str:
        """The gate that all calls to this ERP go through."""
        return gate_key(self.posting.connection)

    def passage(self) -> AbstractContextManager[None]:
        """The right to make one call; raises `Throttled` or `GateClosed`, which are no failures."""
        return passage_to(self.posting.connection, self.limits)

    def log(self, unit: Unit, call: str, outcome: str, **answer: object) -> None:
        """Append a call that needs no lease to the attempt log."""
        erp_postings.log_attempt(unit.conn, self.posting.id, Attempt(call, outcome, {"key": self.asked.key}, answer))


def gate_key(connection: ErpConnection) -> str:
    """The gate that all calls to the ERP of a connection go through."""
    return f"erp:{connection.id}"


def passage_to(connection: ErpConnection, limits: Limits) -> AbstractContextManager[None]:
    """The right to make one call; raises `Throttled` or `GateClosed`, which are no failures."""
    pace = Pace(float(connection.per_second), connection.concurrency, lease_s=START_S + 2 * limits.call_s)
    return passage(gate(), gate_key(connection), pace, max_wait_s=TURN_S)


def work_lease_s(limits: Limits) -> float:
    """How long a worker may hold the row until it has taken the posting's own lease: two questions, and their turns."""
    return 2 * (TURN_S + limits.call_s)


def send(delivery: Delivery, draft_ref: str | None) -> Outcome:
    """Take the lease, ask the ERP to book the document, write what came back.

    Raises `Snooze` if another worker holds the posting, `LeaseLost` if one took it over meanwhile.
    """
    started = monotonic()
    lease_no = _begin(delivery, draft_ref)
    if monotonic() - started > START_S:
        outcome: Outcome = Busy(0.0, "the call was not begun: too much of the lease had passed")
    else:
        outcome = _call(delivery, lease_no, draft_ref)
    _record(delivery, lease_no, outcome)
    return outcome


def _begin(delivery: Delivery, draft_ref: str | None) -> int:
    errand, asked, limits = delivery.errand, delivery.asked, delivery.limits
    lease_s = START_S + limits.call_s + limits.quiet_s
    with errand.transaction() as unit:
        lease_no = erp_postings.begin(unit.conn, delivery.posting.id, lease_s=lease_s, debtor=asked.debtor)
        if lease_no is None:
            raise Snooze("another worker is posting the document", delay_s=lease_s)
        holds.heal(unit.conn, errand.ready, reason="healed: the period is open in the ERP")
        held_s = lease_s + TURN_S + limits.call_s  # until it was read back
        work.relet(unit.conn, errand.ready.id, lease_no=errand.lease_no, lease_s=held_s)
        names = {"key": asked.key, "number": asked.number, "debtor": asked.debtor, "draft_ref": draft_ref}
        request = {**names, **amounts(asked.totals)}
        erp_postings.log_attempt(unit.conn, delivery.posting.id, Attempt("post", "sending", request, {}, lease_no))
    return lease_no


def _call(delivery: Delivery, lease_no: int, draft_ref: str | None) -> Outcome:
    def keep_draft(ref: str) -> None:
        with delivery.errand.transaction() as unit:
            is_kept = erp_postings.keep_draft(unit.conn, delivery.posting.id, lease_no=lease_no, draft_ref=ref)
            _require(is_kept, delivery, lease_no)

    try:
        return delivery.erp.post(delivery.asked, Resume(keep_draft=keep_draft, draft_ref=draft_ref))
    except Exception as error:  # noqa: BLE001 - an ERP may fail in any way, and each leaves the same doubt
        return Unknown(f"{type(error).__name__}: {error}")


def _record(delivery: Delivery, lease_no: int, outcome: Outcome) -> None:
    """Write the outcome where the lease is still ours; else keep it as stale and see to it that somebody looks."""
    attempt = _attempt(outcome, lease_no)
    try:
        with delivery.errand.transaction() as unit:
            _require(_settle(unit, delivery.posting.id, lease_no, outcome), delivery, lease_no)
            erp_postings.log_attempt(unit.conn, delivery.posting.id, attempt)
    except LeaseLost:
        _keep_stale(delivery, attempt)
        raise


def _require(is_held: bool, delivery: Delivery, lease_no: int) -> None:  # noqa: FBT001 - reads as a condition
    if not is_held:
        raise LeaseLost(f"lease {lease_no} of posting {delivery.posting.id} is no longer in force")


def _attempt(outcome: Outcome, lease_no: int) -> Attempt:
    made = partial(Attempt, "post", request={}, lease_no=lease_no)
    match outcome:
        case Posted(ref, number):
            return made(outcome="posted", answer={"ref": ref, "number": number})
        case Rejected(code, sentence):
            return made(outcome="rejected", answer={"code": code, "sentence": sentence})
        case Busy(retry_after_s, sentence):
            return made(outcome="busy", answer={"retry_after_s": str(retry_after_s), "sentence": sentence})
        case Unknown(sentence):
            return made(outcome="unknown", answer={"sentence": sentence})
        case _:
            assert_never(outcome)


def _settle(unit: Unit, posting_id: int, lease_no: int, outcome: Outcome) -> bool:
    settle = partial(erp_postings.settle, unit.conn, posting_id, lease_no=lease_no)
    match outcome:
        case Posted(ref, _):
            return settle(state="unknown", erp_ref=ref)  # until it was read back
        case Busy() | Rejected(code=protocol.PERIOD_CLOSED):
            return settle(state="planned")
        case Unknown() | Rejected(code=protocol.KEY_TAKEN):
            return settle(state="unknown")
        case Rejected(code, _):
            return settle(state="rejected", code=code)
        case _:
            assert_never(outcome)


def _keep_stale(delivery: Delivery, attempt: Attempt) -> None:
    """Append an outcome that came too late, and owe a look-up: a later holder may have sent the document again."""
    errand = delivery.errand
    with errand.engine.begin() as conn:
        erp_postings.log_attempt(conn, delivery.posting.id, replace(attempt, is_stale=True))
        look_up = NewWork(
            step=errand.ready.step,
            subject=errand.ready.subject,
            correlation_id=errand.ready.correlation_id,
            revision=work.next_revision(conn, errand.ready.step, errand.ready.subject),
            lane=errand.ready.lane,
            connection_id=errand.ready.connection_id,
            close_id=errand.ready.close_id,
        )
        errand.hints += work.insert(conn, [look_up])
