"""Notices: the CloudEvents we send. Facts about documents, runs, limits and outages; refusals go back to producers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from domain.audit import Head
from domain.canonical import Json, decimal_text
from domain.closing import Blocker, Stage
from domain.deadlines import Behind
from domain.degradation import BY_DEPENDENCY, Outage
from domain.documents import Document, as_shown
from domain.entitlements import Alert
from domain.refused import Refused

DOCUMENT_POSTED: Final = "tallyline.document.posted"
DOCUMENT_HELD: Final = "tallyline.document.held"
RUN_STAGE_ENTERED: Final = "tallyline.run.stage_entered"
RUN_BLOCKED: Final = "tallyline.run.blocked"
ACCOUNTS_PARKED: Final = "tallyline.run.accounts_parked"
CLOSE_BEHIND: Final = "tallyline.close.behind"
DEPENDENCY_AWAY: Final = "tallyline.dependency.away"
DEPENDENCY_BACK: Final = "tallyline.dependency.back"
USAGE_REFUSED: Final = "tallyline.usage.refused"
MASTER_REFUSED: Final = "tallyline.master.refused"
AUDIT_HEAD: Final = "tallyline.audit.head"
CONTRACT_ENDING: Final = "tallyline.contract.ending"
THRESHOLD_REACHED: Final = "tallyline.entitlement.threshold_reached"
#: All types that we send, as the AsyncAPI document lists them.
TYPES: Final = (
    DOCUMENT_POSTED,
    DOCUMENT_HELD,
    RUN_STAGE_ENTERED,
    RUN_BLOCKED,
    ACCOUNTS_PARKED,
    CLOSE_BEHIND,
    DEPENDENCY_AWAY,
    DEPENDENCY_BACK,
    USAGE_REFUSED,
    MASTER_REFUSED,
    AUDIT_HEAD,
    CONTRACT_ENDING,
    THRESHOLD_REACHED,
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A fact to tell: its type, what it is about, and its particulars as JSON values (amounts as decimal texts)."""

    type: str
    subject: str
    particulars: Mapping[str, Json]

    def to_event(self, *, id: str, source: str, at: datetime) -> dict[str, Json]:  # noqa: A002  # CloudEvents' name
        """The CloudEvent 1.0; the same `id` and `source` are given again when it is sent again."""
        return {
            "specversion": "1.0",
            "id": id,
            "source": source,
            "type": self.type,
            "subject": self.subject,
            "time": at.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": self.particulars,
        }


def document_posted(document: Document, *, number: str, external_key: str, erp_number: str | None) -> Notice:
    """That the ERP has confirmed a document; amounts as the account sees them."""
    net, tax, gross = (
        as_shown(amount, document.kind).to_text() for amount in (document.net, document.tax, document.gross)
    )
    particulars: dict[str, Json] = {
        "kind": document.kind,
        "number": number,
        "legal_entity": document.legal_entity_id,
        "account": document.account_id,
        "currency": document.currency.code,
        "net": net,
        "tax": tax,
        "gross": gross,
        "invoice_on": document.invoice_on.isoformat(),
        "posting_on": document.posting_on.isoformat(),
        "external_key": external_key,
        "erp_number": erp_number,
    }
    return Notice(DOCUMENT_POSTED, number, particulars)


def document_held(document: Document, *, number: str, external_key: str) -> Notice:
    """That a document waits because the ERP's accounting period of its posting date is closed."""
    particulars: dict[str, Json] = {
        "number": number,
        "legal_entity": document.legal_entity_id,
        "account": document.account_id,
        "posting_on": document.posting_on.isoformat(),
        "external_key": external_key,
    }
    return Notice(DOCUMENT_HELD, number, particulars)


def run_stage_entered(run: str, *, legal_entity: str, period: str, stage: Stage) -> Notice:
    """That a billing run reached a stage."""
    return Notice(RUN_STAGE_ENTERED, run, {"legal_entity": legal_entity, "period": period, "stage": stage})


def run_blocked(run: str, *, legal_entity: str, period: str, blockers: tuple[Blocker, ...]) -> Notice:
    """That a billing run cannot go on, and what is in its way."""
    listed: list[Json] = [
        {"code": b.code, "count": b.count, "money_at_risk": b.money_at_risk, "fix": b.fix} for b in blockers
    ]
    return Notice(RUN_BLOCKED, run, {"legal_entity": legal_entity, "period": period, "blockers": listed})


def accounts_parked(run: str, *, legal_entity: str, period: str, holds: int) -> Notice:
    """That breakers hold drafts of a billing run until somebody has looked at them; the others go out."""
    return Notice(ACCOUNTS_PARKED, run, {"legal_entity": legal_entity, "period": period, "holds": holds})


def close_behind(period: str, behind: Behind) -> Notice:
    """That a billing period may not be closed by its deadline, or is not, and who brings it further."""
    particulars: dict[str, Json] = {
        "pace": behind.pace,
        "stage": behind.stage,
        "closed_by": behind.closed_by.isoformat(),
        "forecast": None if behind.forecast is None else behind.forecast.isoformat(),
        "blockers": list(behind.blockers),
        "acts": behind.acts,
    }
    return Notice(CLOSE_BEHIND, period, particulars)


def dependency_away(outage: Outage) -> Notice:
    """That something we depend on is away: what goes on and what waits, for operations."""
    row = BY_DEPENDENCY[outage.dependency]
    particulars: dict[str, Json] = {
        "dependency": outage.dependency,
        "name": outage.name,
        "since": outage.since.isoformat(),
        "goes_on": list(row.goes_on),
        "waits": list(row.waits),
        "sentence": f"{row.title} is away. {row.waits_where}",
    }
    return Notice(DEPENDENCY_AWAY, outage.label, particulars)


def dependency_back(outage: Outage, *, until: datetime) -> Notice:
    """That it is back: how long it was away, and how what waited drains."""
    row = BY_DEPENDENCY[outage.dependency]
    particulars: dict[str, Json] = {
        "dependency": outage.dependency,
        "name": outage.name,
        "since": outage.since.isoformat(),
        "until": until.isoformat(),
        "sentence": f"{row.title} is back. {row.drains}",
    }
    return Notice(DEPENDENCY_BACK, outage.label, particulars)


def usage_refused(refused: Refused, *, source: str | None, event_id: str | None) -> Notice:
    """That an event, or a body in which none could be read, was not taken; for its producer."""
    particulars: dict[str, Json] = {
        "code": refused.code,
        "field": refused.field,
        "sentence": refused.sentence,
        "fix": refused.fix,
        "source": source,
        "event_id": event_id,
    }
    return Notice(USAGE_REFUSED, event_id or "unknown", particulars)


def master_refused(refused: Refused, *, source: str | None, event_id: str | None, version: int | None) -> Notice:
    """That a message of master data was not applied; for the system that sent it."""
    particulars: dict[str, Json] = {
        "code": refused.code,
        "field": refused.field,
        "sentence": refused.sentence,
        "fix": refused.fix,
        "source": source,
        "event_id": event_id,
        "version": version,
    }
    return Notice(MASTER_REFUSED, event_id or "unknown", particulars)


def audit_head(head: Head) -> Notice:
    """Where the audit log ends now; kept outside, it shows whether the log up to there was rewritten later."""
    return Notice(AUDIT_HEAD, "audit", {"number": head.no, "hash": head.hash.hex()})


def threshold_reached(alert: Alert) -> Notice:
    """That usage of a subscription has reached a share of its limit: for whoever looks after the account."""
    left = alert.allowance
    particulars: dict[str, Json] = {
        "subscription": alert.subscription,
        "account": alert.account,
        "feature": alert.feature,
        "metric": alert.metric,
        "unit": alert.unit,
        "period_starts_on": alert.period.first_on.isoformat(),
        "period_ends_on": alert.period.end_on.isoformat(),
        "threshold": alert.threshold,
        "enforcement": alert.enforcement,
        "limit": decimal_text(left.limit),
        "used": decimal_text(left.used),
        "remaining": decimal_text(left.remaining),
    }
    return Notice(THRESHOLD_REACHED, f"{alert.subscription}/{alert.feature}", particulars)


@dataclass(frozen=True, slots=True)
class Ending:
    """A contract whose term ends and does not renew: from which day on it is gone, and what goes with it."""

    contract: str
    account: str
    legal_entity: str
    ends_on: date
    notice_days: int
    subscriptions: int


def contract_ending(ending: Ending) -> Notice:
    """That a contract ends with its term unless somebody agrees on another one."""
    particulars: dict[str, Json] = {
        "contract": ending.contract,
        "account": ending.account,
        "legal_entity": ending.legal_entity,
        "ends_on": ending.ends_on.isoformat(),
        "notice_days": ending.notice_days,
        "subscriptions": ending.subscriptions,
    }
    return Notice(CONTRACT_ENDING, ending.contract, particulars)
