"""How a document gets into an ERP exactly once: planned -> sending -> (unknown ->) confirmed | rejected | superseded.

Whatever was begun and is not known to have ended is looked up, never repeated: only when the ERP has been quiet for
long enough, has twice found nothing, and refuses a second document with our key by itself.
"""

from typing import Final, assert_never

from domain.errors import Rejection, Snooze
from domain.notices import document_held, document_posted
from queues import work
from queues.gate import gate
from workers import tax_committing
from workers.erp import protocol, registry
from workers.erp.moves import LOOK_AGAIN_S, Confirm, GiveUp, Send, Wait, differences, next_move
from workers.erp.protocol import Busy, ErpAway, ErpDocument, Limits, Outcome, Posted, ReadBack, Rejected, Unknown
from workers.posting_call import Delivery, send, work_lease_s
from workers.posting_debtor import addressed
from workers.store import erp_postings, holds, notices
from workers.store.erp_postings import amounts
from workers.store.holds import Hold
from workers.unit import Errand

#: When a document that waits for an accounting period looks for itself, should the look at the period be lost.
HOLD_S: Final = 3_600.0


class PostingRejected(Rejection):
    """The ERP refused the document, or could not take it as it is; its own code is among the facts."""

    code = "posting_rejected"


class PostingUnknown(Rejection):
    """The document may be in the ERP, which neither finds it nor would refuse it a second time."""

    code = "posting_unknown"


class PostingDiffers(Rejection):
    """The ERP holds something else under our key than the document."""

    code = "posting_differs"


class ControlTotalsDiffer(Rejection):
    """The lines and taxes of a document do not add up to the totals that were approved, so it is not sent."""

    code = "control_totals_differ"


def deliver(errand: Errand) -> None:
    """Bring one posting as far as it goes now; a `Snooze` or `Rejection` says why it goes no further."""
    with errand.transaction() as unit:
        posting = erp_postings.load(unit.conn, errand.ready.subject_id)
        erp = registry.connect(posting.connection)
        limits = erp.limits()
        work.relet(unit.conn, errand.ready.id, lease_no=errand.lease_no, lease_s=work_lease_s(limits))
    delivery = Delivery(errand, posting, erp, limits)
    try:
        _go_on(delivery)
    except ErpAway as away:
        if away.delay_s > 0:  # the other postings of the connection need not find out one by one
            gate().pause(delivery.gate_key, away.delay_s)
        raise


def _go_on(delivery: Delivery) -> None:
    match delivery.posting.standing.state:
        case "superseded":
            with delivery.errand.finish() as unit:
                delivery.log(unit, "none", "superseded")
                holds.heal(unit.conn, delivery.errand.ready, reason="the document was withdrawn")
        case "confirmed":
            _verify(delivery)
        case _:
            _advance(delivery)


def _advance(delivery: Delivery) -> None:
    """Look the document up, then confirm it, send it, wait or give up."""
    with delivery.passage():
        found = delivery.erp.find(delivery.asked.key)
    match next_move(delivery.posting.standing, found, limits=delivery.limits):
        case Confirm(ref):
            _confirm(delivery, ref)
        case Send(draft_ref):
            _send(delivery, draft_ref)
        case Wait(delay_s, is_conclusive):
            with delivery.errand.transaction() as unit:
                delivery.log(unit, "find", "not_found" if found is None else "draft", is_conclusive=is_conclusive)
                if is_conclusive:
                    erp_postings.count_not_found(unit.conn, delivery.posting.id)
            raise Snooze("a call about the document may still have an effect; it is looked up again", delay_s=delay_s)
        case GiveUp():
            with delivery.errand.transaction() as unit:
                delivery.log(unit, "find", "not_found")
            sentence = f"{delivery.asked.number} may be in the ERP, which does not find it and would take it twice"
            raise PostingUnknown(sentence, **delivery.facts)
        case move:
            assert_never(move)


def _send(delivery: Delivery, draft_ref: str | None) -> None:
    totals = delivery.asked.totals
    if delivery.posting.billed != (totals.net.amount, totals.tax.amount, totals.gross.amount):
        raise ControlTotalsDiffer(f"the lines of {delivery.asked.number} are not what was approved", **delivery.facts)
    require_fit(delivery.asked, delivery.limits)
    if draft_ref is None:  # a draft that the ERP holds names its debtor already
        delivery = addressed(delivery)
    tax_committing.commit(delivery.errand, delivery.posting.invoice_id, delivery.asked)
    posting_on = delivery.asked.entry.posting_on
    outcome: Outcome
    with delivery.passage():
        if delivery.erp.period_status(posting_on) == "closed":
            outcome = Rejected(protocol.PERIOD_CLOSED, f"{posting_on:%Y-%m} is closed")
        else:
            outcome = send(delivery, draft_ref)
    _follow(delivery, outcome)


def require_fit(asked: ErpDocument, limits: Limits) -> None:
    """Raise `PostingRejected` if the ERP could not take the document as it is."""
    lines, currency = len(asked.document.lines), asked.document.currency
    if lines > limits.lines_max:
        raise PostingRejected(f"{asked.number} has {lines} lines, the ERP takes {limits.lines_max}", key=asked.key)
    if currency.minor_units > limits.amount_decimals_max:
        sentence = f"{currency.code} has more decimals than the {limits.amount_decimals_max} that the ERP keeps"
        raise PostingRejected(sentence, key=asked.key)


def _follow(delivery: Delivery, outcome: Outcome) -> None:
    """What the outcome of a call means for the work row."""
    match outcome:
        case Posted(ref, _):
            _confirm(delivery, ref)
        case Busy(retry_after_s, sentence):
            if retry_after_s > 0:
                gate().pause(delivery.gate_key, retry_after_s)
            raise Snooze(f"the ERP is busy: {sentence}", delay_s=retry_after_s)
        case Rejected(code=protocol.PERIOD_CLOSED):
            _hold(delivery)
        case Unknown(sentence) | Rejected(code=protocol.KEY_TAKEN, sentence=sentence):
            raise Snooze(f"it is not known whether the ERP booked it: {sentence}", delay_s=LOOK_AGAIN_S)
        case Rejected(code, sentence):
            raise PostingRejected(
                f"the ERP refused {delivery.asked.number}: {sentence}", **delivery.facts, erp_code=code
            )
        case _:
            assert_never(outcome)


def _hold(delivery: Delivery) -> None:
    """Wait under an exception until the ERP's accounting period is opened, and tell people once that it waits."""
    asked, errand = delivery.asked, delivery.errand
    posting_on = asked.entry.posting_on
    sentence = f"{posting_on:%Y-%m} is closed in {delivery.posting.connection.id}; {asked.number} waits until it opens"
    facts = {**delivery.facts, "account": asked.document.account_id, "posting_on": posting_on.isoformat()}
    hold = Hold(delivery.posting.connection.id, posting_on, sentence, facts)
    with errand.rest(delay_s=HOLD_S, sentence=sentence) as unit:
        delivery.log(unit, "period_status", "closed", posting_on=posting_on.isoformat())
        notice = document_held(asked.document, number=asked.number, external_key=asked.key)
        key = f"erp_posting/{delivery.posting.id}/held/{posting_on:%Y-%m}"
        notices.owe(unit, errand.ready, notice, key=key)
        holds.keep(unit, errand.ready, hold)


def _confirm(delivery: Delivery, ref: str) -> None:
    """Read the document back and compare; if it is equal it is confirmed, and told."""
    back, asked = _compared(delivery, ref), delivery.asked
    with delivery.errand.finish() as unit:
        delivery.log(unit, "read_back", "equal", ref=back.ref, number=back.number, **amounts(back.totals))
        holds.heal(unit.conn, delivery.errand.ready, reason="healed: the ERP has confirmed the document")
        if erp_postings.confirm(unit.conn, delivery.posting.id, back):
            notice = document_posted(
                asked.document, number=asked.number, external_key=asked.key, erp_number=back.number
            )
            key = f"erp_posting/{delivery.posting.id}/posted"
            notices.owe(unit, delivery.errand.ready, notice, key=key)


def _verify(delivery: Delivery) -> None:
    """Look a confirmed document up once more: still there, still the same one, still equal."""
    with delivery.passage():
        found = delivery.erp.find(delivery.asked.key)
    confirmed = delivery.posting.erp_ref
    if found is None or found.ref != confirmed:
        now = "nothing" if found is None else found.ref
        sentence = f"{delivery.asked.number} was confirmed as {confirmed}, now the ERP finds {now} under its key"
        raise PostingDiffers(sentence, **delivery.facts)
    back = _compared(delivery, found.ref)
    with delivery.errand.finish() as unit:
        delivery.log(unit, "read_back", "equal", ref=back.ref, number=back.number, **amounts(back.totals))
        erp_postings.reconcile(unit.conn, delivery.posting.id)


def _compared(delivery: Delivery, ref: str) -> ReadBack:
    """What the ERP holds, if it equals the document. Raises `PostingDiffers`."""
    with delivery.passage():
        back = delivery.erp.read_back(ref)
    names = differences(delivery.asked, back)
    if not names:
        return back
    with delivery.errand.transaction() as unit:
        delivery.log(unit, "read_back", "differs", ref=ref, names=names, **amounts(back.totals))
        erp_postings.differs(unit.conn, delivery.posting.id, back)
    theirs = {name: str(value) for name, value in amounts(back.totals).items()}
    raise PostingDiffers(
        f"{ref} differs from {delivery.asked.number} in {', '.join(names)}", **delivery.facts, theirs=theirs
    )
