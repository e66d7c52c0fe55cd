"""How a repair goes on: act after act, each in a transaction of its own, taken up where the last worker stopped."""

from collections.abc import Callable, Mapping
from typing import Final

from domain.errors import Snooze
from domain.repairs import Act
from queues import work
from workers import tax_committing
from workers.erp import registry
from workers.erp.protocol import Found
from workers.posting_call import START_S, TURN_S, passage_to, work_lease_s
from workers.store import erp_postings, repair_acts, repairs, tax_commitments
from workers.store.repairs import Repair
from workers.unit import Errand

_PREFIX: Final = "repair/"


def is_repair(subject: str) -> bool:
    """Whether a row of `post` is about the repair of a document."""
    return subject.startswith(_PREFIX)


def go_on(errand: Errand) -> None:
    """Do what is left of the repair; a `Snooze` or `Rejection` of one act leaves the rest for later."""
    while True:
        with errand.transaction() as unit:
            repair = repairs.load(unit.conn, errand.ready.subject_id)
        if repair.state != "planned" or repair.next_act is None:
            break
        _ACTS[repair.next_act[1]](errand, repair)
    with errand.finish() as unit:
        repairs.finish(unit.conn, repair.id, state="done")


def _send_again(errand: Errand, repair: Repair) -> None:
    with errand.transaction() as unit:
        hints = repair_acts.send_again(unit.conn, repair)
        repairs.record(unit.conn, repair, "done", {})
    errand.hints += hints


def _withdraw(errand: Errand, repair: Repair) -> None:
    """Keep others from sending, look once more, and only if the ERP holds nothing withdraw the posting for good."""
    with errand.transaction() as unit:
        posting = erp_postings.load(unit.conn, repair.posting_id)
        erp = registry.connect(posting.connection)
        limits = erp.limits()
        lease_s = START_S + TURN_S + limits.call_s
        lease_no = erp_postings.seize(unit.conn, repair.posting_id, lease_s=lease_s)
        work.relet(unit.conn, errand.ready.id, lease_no=errand.lease_no, lease_s=work_lease_s(limits))
    if lease_no is None:
        _not_seized(errand, repair, posting.standing.state)
        return
    with passage_to(posting.connection, limits):
        found = erp.find(posting.asked.key)
    with errand.transaction() as unit:
        if not erp_postings.leave(unit.conn, repair.posting_id, lease_no=lease_no, is_withdrawn=found is None):
            raise Snooze("another worker took the posting over", delay_s=lease_s)
        if found is None:
            repair_acts.withdraw(unit.conn, repair)
            repairs.record(unit.conn, repair, "done", {"found": None})
    if found is not None:
        _fail(errand, repair, _held(posting.asked.number, found), ref=found.ref)


def _not_seized(errand: Errand, repair: Repair, state: str) -> None:
    if state in ("planned", "rejected"):
        raise Snooze("another worker is posting the document", delay_s=START_S)
    _fail(errand, repair, f"the posting is {state} by now: what the ERP holds has to be known first")


def _held(number: str, found: Found) -> str:
    if found.is_posted:
        return f"the ERP holds {number} as {found.number or found.ref}: send it again, which compares both"
    return f"the ERP holds a draft of {number}, {found.ref}: delete it there first"


def _fail(errand: Errand, repair: Repair, sentence: str, **facts: str) -> None:
    """The repair is not safe: it ends here, before anything was undone."""
    with errand.transaction() as unit:
        repairs.record(unit.conn, repair, "failed", {"sentence": sentence, **facts})
        repairs.finish(unit.conn, repair.id, state="failed")


def _void_tax(errand: Errand, repair: Repair) -> None:
    with errand.transaction() as unit:
        asked = erp_postings.load(unit.conn, repair.posting_id).asked
        engines = tax_commitments.to_void(unit.conn, repair.invoice_id)
    tax_committing.void(asked, engines)
    with errand.transaction() as unit:
        tax_commitments.voided(unit.conn, repair.invoice_id)
        repairs.record(unit.conn, repair, "done", {"engines": engines})


def _reverse_entry(errand: Errand, repair: Repair) -> None:
    with errand.transaction() as unit:
        repair_acts.reverse_entry(unit.conn, repair)
        repairs.record(unit.conn, repair, "done", {})


def _void_document(errand: Errand, repair: Repair) -> None:
    with errand.transaction() as unit:
        repair_acts.void_document(unit.conn, repair)
        repairs.record(unit.conn, repair, "done", {})


_ACTS: Final[Mapping[Act, Callable[[Errand, Repair], None]]] = {
    "send_again": _send_again,
    "withdraw": _withdraw,
    "void_tax": _void_tax,
    "reverse_entry": _reverse_entry,
    "void_document": _void_document,
}
