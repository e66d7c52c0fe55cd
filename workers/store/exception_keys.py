"""Whose a work row is: the business keys of the exception that it opens when it dies, its money, what it waits for."""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from queues.work import Ready
from workers.store import debtors

_SUBJECT = re.compile(r"(?P<kind>erp_posting|invoice|billing_run)/(?P<id>\d{1,18})")
_CHILD = re.compile(r"run/(?P<billing_run>\d{1,18})/subscription/(?P<subscription>\d{1,9})")

#: What a document `i` is worth: its gross, or what was rated for it while it has no lines yet; a credit counts alike.
DOCUMENT_WORTH = """(select case when i.gross is not null then abs(i.gross) when i.pending = 0 then (
    select abs(sum(u.amount)) from rated_usages u join subscriptions z on z.id = u.subscription_id
    where u.billing_run_id = i.billing_run_id and z.contract_id = i.contract_id) end)"""
DOCUMENT_BASIS = "case when i.gross is not null then 'document' else 'rated' end"

#: `waits_kind` and `waits_key` name the master data that would let the row run: `parked.heal_dead` looks for it.
_OF_WORK = text(f"""
select i.id as invoice_id, p.id as erp_posting_id, coalesce(:connection, p.connection_id) as connection_id,
  s.id as subscription_id, c.id as contract_id, c.ref as contract_ref, c.account_id,
  coalesce(c.legal_entity_id, y.legal_entity_id)
    as legal_entity_id, r.billing_period_id, {DOCUMENT_WORTH} as money_at_risk, i.currency, {DOCUMENT_BASIS} as basis
from (values (1)) one
left join erp_postings p on p.id = cast(:erp_posting as bigint)
left join subscriptions s on s.id = cast(:subscription as integer)
left join invoices i on i.id = coalesce(cast(:invoice as bigint), p.invoice_id, (select d.id from invoices d
  where d.billing_run_id = cast(:billing_run as bigint) and d.contract_id = s.contract_id))
left join contracts c on c.id = coalesce(i.contract_id, s.contract_id)
left join billing_runs r on r.id = coalesce(i.billing_run_id, cast(:billing_run as bigint))
left join billing_periods b on b.id = r.billing_period_id
left join billing_cycles y on y.id = b.cycle_id
""")


def of_work(conn: Connection, ready: Ready, *, code: str, facts: Mapping[str, object]) -> Mapping[str, Any]:
    """The fields of `NewException` that follow from a work row: parties, document, money, and what it waits for.

    Money comes only together with its currency and basis.
    """
    asked = dict.fromkeys(("erp_posting", "invoice", "billing_run", "subscription"))
    found = _SUBJECT.fullmatch(ready.subject) or _CHILD.fullmatch(ready.subject)
    named = found.groupdict() if found else {}
    if "kind" in named:
        named = {named["kind"]: named["id"]}
    values = {**asked, **{name: int(value) for name, value in named.items()}}
    keys = dict(conn.execute(_OF_WORK, {**values, "connection": ready.connection_id}).one()._mapping)  # noqa: SLF001 -- how SQLAlchemy names it
    if keys["money_at_risk"] is None:
        keys |= {"currency": None, "basis": None}
    contract = keys.pop("contract_ref")
    if code == "price_not_found" and contract is not None:
        keys |= {"waits_kind": "price", "waits_key": f"{contract}/{facts.get('metric')}"}
    if code in {"tax_rate_not_found", "tax_rate_ambiguous"}:
        keys |= {"waits_kind": "tax_rate", "waits_key": f"{facts.get('jurisdiction')}/{facts.get('category')}"}
    if code == "debtor_unknown":
        keys |= {"waits_kind": debtors.WAITS_KIND, "waits_key": f"{facts.get('system')}/{facts.get('account')}"}
    return keys
