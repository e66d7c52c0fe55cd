"""One notice of each type, made as the programs make them."""

from datetime import UTC, date, datetime
from decimal import Decimal

from domain.audit import Head
from domain.closing import Facts, blockers
from domain.deadlines import Behind
from domain.degradation import Outage
from domain.documents import Document, Line
from domain.entitlements import Alert, Allowance
from domain.money import Money
from domain.notices import (
    Ending,
    accounts_parked,
    audit_head,
    close_behind,
    contract_ending,
    dependency_away,
    dependency_back,
    document_held,
    document_posted,
    master_refused,
    run_blocked,
    run_stage_entered,
    threshold_reached,
    usage_refused,
)
from domain.periods import Days
from domain.refused import Refused
from domain.taxation import TaxEvidence

DAY = date(2026, 6, 30)
EUR = Money.of("12.50", "EUR")
EVIDENCE = TaxEvidence("table", "DE", "standard", Decimal(0), DAY, "test")
DOCUMENT = Document(
    kind="invoice",
    legal_entity_id="berlin",
    account_id="acme",
    currency=EUR.currency,
    invoice_on=DAY,
    posting_on=DAY,
    lines=(Line("calls", Decimal(5), "call", EUR, "revenue", Days(DAY, date(2026, 7, 1)), EVIDENCE),),
    taxes=(),
)
OUTAGE = Outage("erp", datetime(2026, 6, 30, 12, tzinfo=UTC), "books")
NOTICES = [
    document_posted(DOCUMENT, number="B-1", external_key="tl-x", erp_number=None),
    document_held(DOCUMENT, number="B-1", external_key="tl-x"),
    run_stage_entered("1", legal_entity="berlin", period="2026-06", stage="frozen"),
    run_blocked("1", legal_entity="berlin", period="2026-06", blockers=blockers("frozen", Facts(period_not_ended=1))),
    accounts_parked("run-1", legal_entity="tokyo", period="2026-06", holds=2),
    close_behind(
        "tokyo/month/2026-06-01",
        Behind("at_risk", "drafted", datetime(2026, 7, 5, tzinfo=UTC), None, ("approval_missing",), "finance"),
    ),
    dependency_away(OUTAGE),
    dependency_back(OUTAGE, until=datetime(2026, 6, 30, 13, tzinfo=UTC)),
    master_refused(Refused("field_not_owned", "name", "owned by crm"), source="shop", event_id="1", version=2),
    usage_refused(Refused("field_missing", "data.calls", "missing"), source="/crm", event_id="1"),
    audit_head(Head(7, bytes(32))),
    contract_ending(Ending("C-1", "acme", "berlin", date(2027, 1, 1), 30, 2)),
    threshold_reached(
        Alert(
            subscription="s",
            account="acme",
            feature="api-calls",
            metric="calls",
            unit="call",
            period=Days(date(2026, 6, 1), date(2026, 7, 1)),
            enforcement="hard",
            threshold=80,
            allowance=Allowance(Decimal(100), Decimal("80.5"), Decimal("19.5")),
        )
    ),
]
