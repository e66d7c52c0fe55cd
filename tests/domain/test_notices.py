import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from domain.audit import Head
from domain.closing import Facts, blockers
from domain.deadlines import Behind
from domain.degradation import Outage
from domain.documents import Document, Line
from domain.entitlements import Alert, Allowance
from domain.money import Currency, Money
from domain.notices import (
    TYPES,
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

pytestmark = pytest.mark.fast

DAY = date(2026, 6, 30)
JPY = Currency("JPY")
NOTE = Document(
    kind="credit_note",
    legal_entity_id="tokyo",
    account_id="acme",
    currency=JPY,
    invoice_on=DAY,
    posting_on=date(2026, 7, 1),
    lines=(
        Line(
            "",
            Decimal(1),
            "",
            Money.of("-500", JPY),
            "4000",
            Days(DAY, date(2026, 7, 1)),
            TaxEvidence("t", "JP", "S", Decimal(0), DAY, ""),
        ),
    ),
    taxes=(),
)
REFUSED = Refused("field_missing", "data.miles", "miles is missing")
NOTICES = [
    document_posted(NOTE, number="TY-000001", external_key="tl-x", erp_number=None),
    document_held(NOTE, number="TY-000001", external_key="tl-x"),
    run_stage_entered("run-1", legal_entity="tokyo", period="2026-06", stage="posted"),
    run_blocked(
        "run-1", legal_entity="tokyo", period="2026-06", blockers=blockers("frozen", Facts(period_not_ended=1))
    ),
    usage_refused(REFUSED, source="/airport", event_id="e-1"),
    audit_head(Head(7, bytes(32))),
    contract_ending(Ending("C-1", "acme", "berlin", date(2027, 1, 1), 30, 2)),
    threshold_reached(
        Alert(
            subscription="s-1",
            account="acme",
            feature="api-calls",
            metric="calls",
            unit="call",
            period=Days(date(2026, 6, 1), date(2026, 7, 1)),
            enforcement="hard",
            threshold=80,
            allowance=Allowance(Decimal("100.0"), Decimal("80.50"), Decimal("19.50")),
        )
    ),
    contract_ending(Ending("C-1", "acme", "tokyo", date(2027, 1, 1), 30, 2)),
    master_refused(Refused("field_not_owned", "name", "owned by crm"), source="shop", event_id="1", version=2),
    accounts_parked("run-1", legal_entity="tokyo", period="2026-06", holds=2),
    close_behind(
        "tokyo/month/2026-06-01",
        Behind("at_risk", "drafted", datetime(2026, 7, 5, tzinfo=UTC), None, ("approval_missing",), "finance"),
    ),
    dependency_away(Outage("redis", datetime(2026, 6, 30, tzinfo=UTC))),
    dependency_back(Outage("redis", datetime(2026, 6, 30, tzinfo=UTC)), until=datetime(2026, 7, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: notice.type)
def test_a_notice_is_a_cloud_event_that_json_can_hold(notice):
    event = notice.to_event(id="n-1", source="/tallyline", at=datetime(2026, 7, 1, 12, tzinfo=UTC))

    assert json.loads(json.dumps(event)) == event
    assert set(event) == {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}
    assert (event["specversion"], event["time"]) == ("1.0", "2026-07-01T12:00:00Z")
    assert notice.type in TYPES
    assert notice.subject


def test_every_type_that_is_listed_is_sent():
    assert {notice.type for notice in NOTICES} == set(TYPES)


def test_a_credit_note_is_told_as_the_account_sees_it():
    particulars = NOTICES[0].particulars

    assert (particulars["kind"], particulars["gross"], particulars["currency"]) == ("credit_note", "500", "JPY")


def test_a_refusal_tells_the_producer_what_to_do():
    assert NOTICES[4].particulars == {
        "code": "field_missing",
        "field": "data.miles",
        "sentence": "miles is missing",
        "fix": "Send the field.",
        "source": "/airport",
        "event_id": "e-1",
    }
    assert usage_refused(REFUSED, source=None, event_id=None).subject == "unknown"


def test_an_alert_tells_the_figures_as_they_were():
    (alert,) = (notice for notice in NOTICES if notice.type == "tallyline.entitlement.threshold_reached")

    assert alert.subject == "s-1/api-calls"
    assert {name: alert.particulars[name] for name in ("threshold", "limit", "used", "remaining")} == {
        "threshold": 80, "limit": "100", "used": "80.5", "remaining": "19.5",
    }  # fmt: skip
