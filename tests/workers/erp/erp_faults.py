"""Faults around a real adapter: answers that are lost, refusals, crashes; each is armed for a number of calls."""

from collections import deque
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from workers.erp.protocol import (
    PERIOD_CLOSED,
    Busy,
    Erp,
    ErpAway,
    ErpDocument,
    Found,
    Limits,
    Outcome,
    PeriodStatus,
    ReadBack,
    Rejected,
    Resume,
    Unknown,
)


class Crash(BaseException):
    """The process dies here: nothing of ours catches it."""


Fault = Literal[
    "lost answer",  # booked, but the connection breaks before the answer
    "unknown",  # booked, and the adapter itself says that it does not know
    "lost request",  # not booked, and the connection breaks
    "busy",  # not booked, asked to wait
    "refused",  # not booked, for good
    "closed",  # not booked, the period was closed a moment ago
    "crash before",  # the process dies before the call
    "crash at draft",  # the process dies when a draft's id was stored, before it is posted
    "crash after",  # the process dies after the ERP has booked
    "none",
]


@dataclass
class Faulty:
    """The adapter `erp` with the faults of `plan` in turn, one for each `post`; when it is empty all is well."""

    erp: Erp
    plan: deque[Fault] = field(default_factory=deque)
    away: int = 0
    away_s: float = 0.0
    calls: list[str] = field(default_factory=list)

    def limits(self) -> Limits:
        return self.erp.limits()

    def ping(self) -> None:
        self._ask("ping")
        self.erp.ping()

    def period_status(self, on: date) -> PeriodStatus:
        self._ask("period_status")
        return self.erp.period_status(on)

    def find(self, key: str) -> Found | None:
        self._ask("find")
        return self.erp.find(key)

    def read_back(self, ref: str) -> ReadBack:
        self._ask("read_back")
        return self.erp.read_back(ref)

    def post(self, document: ErpDocument, resume: Resume) -> Outcome:
        self.calls.append("post")
        fault = self.plan.popleft() if self.plan else "none"
        match fault:
            case "lost request":
                raise ConnectionResetError("connection reset by peer")
            case "busy":
                return Busy(retry_after_s=0.0, sentence="429 Too Many Requests")
            case "refused":
                return Rejected("customer_unknown", "no such customer")
            case "closed":
                return Rejected(PERIOD_CLOSED, "the period has been closed")
            case "crash before":
                raise Crash
        if fault == "crash at draft":
            resume = Resume(keep_draft=_then_crash(resume), draft_ref=resume.draft_ref)
        outcome = self.erp.post(document, resume)
        match fault:
            case "lost answer":
                raise TimeoutError("the read operation timed out")
            case "unknown":
                return Unknown("504 Gateway Timeout")
            case "crash after":
                raise Crash
        return outcome

    def _ask(self, call: str) -> None:
        self.calls.append(call)
        if self.away:
            self.away -= 1
            raise ErpAway("503 Service Unavailable", delay_s=self.away_s)


def _then_crash(resume: Resume):
    def keep_draft(ref: str) -> None:
        resume.keep_draft(ref)
        raise Crash

    return keep_draft
