"""An ERP in memory that books in two calls, as Business Central, Odoo and Tryton do: create a draft, then post it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from threading import Lock

from workers.erp.protocol import (
    KEY_TAKEN,
    PERIOD_CLOSED,
    Busy,
    ErpDocument,
    ErpUnreadable,
    Found,
    Limits,
    Outcome,
    PeriodStatus,
    Posted,
    ReadBack,
    Rejected,
    Resume,
)


@dataclass
class Held:
    """A document as this ERP holds it."""

    document: ErpDocument
    number: str | None = None


@dataclass
class TwoStepErp:
    """Its number is its own; a draft that was posted keeps its id; posting what is posted changes nothing."""

    key_is_unique: bool = True
    quiet_s: float = 0.0
    held: dict[str, Held] = field(default_factory=dict)
    closed_months: set[str] = field(default_factory=set)
    accounts_refused: set[str] = field(default_factory=set)
    is_busy: bool = False
    #: What comes over the wire may be changed here: a tax engine of its own that computes otherwise.
    alters: Callable[[ErpDocument], ErpDocument] = lambda document: document
    _lock: Lock = field(default_factory=Lock)

    def limits(self) -> Limits:
        return Limits(
            key_is_unique=self.key_is_unique, call_s=5.0, quiet_s=self.quiet_s, lines_max=1_000, amount_decimals_max=5
        )

    def ping(self) -> None:
        return None

    def period_status(self, on: date) -> PeriodStatus:
        return "closed" if f"{on:%Y-%m}" in self.closed_months else "open"

    def find(self, key: str) -> Found | None:
        for ref, held in self.held.items():
            if held.document.key == key:
                return Found(ref=ref, is_posted=held.number is not None, number=held.number)
        return None

    def post(self, document: ErpDocument, resume: Resume) -> Outcome:
        if self.is_busy:
            return Busy(retry_after_s=2.0, sentence="429 Too Many Requests")
        if document.document.account_id in self.accounts_refused:
            return Rejected("customer_unknown", f"customer {document.document.account_id} does not exist")
        if self.period_status(document.entry.posting_on) == "closed":
            return Rejected(PERIOD_CLOSED, "Posting Date is not within your range of allowed posting dates")
        with self._lock:
            ref = resume.draft_ref or self._draft(document)
        if ref is None:
            return Rejected(KEY_TAKEN, f"a document with the reference {document.key} exists")
        if resume.draft_ref is None:
            resume.keep_draft(ref)
        with self._lock:
            held = self.held[ref]
            held.number = held.number or f"INV-{sum(each.number is not None for each in self.held.values()) + 1:04}"
        return Posted(ref=ref, number=held.number)

    def read_back(self, ref: str) -> ReadBack:
        held = self.held.get(ref)
        if held is None or held.number is None:
            raise ErpUnreadable(f"no posted document {ref}", ref=ref)
        document = held.document
        return ReadBack(
            ref=ref,
            key=document.key,
            number=held.number,
            document_number=None,
            totals=document.totals,
            entry=None,
            debtor=document.debtor or "",
        )

    def _draft(self, document: ErpDocument) -> str | None:
        found = self.find(document.key)
        if found is not None and self.key_is_unique:
            return None
        ref = f"draft-{len(self.held) + 1}"
        self.held[ref] = Held(self.alters(document))
        return ref
