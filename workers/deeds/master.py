"""The deed `master.publish`: a file of master data, whose parts are each an action of its own."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from domain.approvals import NO_MONEY
from queues.work import Hintable
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.store import master
from workers.store.master_rows import Tally

#: Which action it is to change a table; what is not named here is a matter of parties.
_ACTIONS: Final = {
    "prices": "prices.publish",
    "contract_versions": "prices.publish",
    "revenue_rules": "prices.publish",
    "credit_accounts": "prices.publish",
    "coupons": "prices.publish",
    "contract_coupons": "prices.publish",
    "contract_limits": "prices.publish",
    "mappings": "mappings.publish",
    "meters": "meters.publish",
    "meter_versions": "meters.publish",
    "metrics": "meters.publish",
    "dimensions": "meters.publish",
    "features": "entitlements.publish",
    "entitlements": "entitlements.publish",
    "entitlement_grants": "entitlements.publish",
    "tax_rates": "taxes.publish",
    "tax_registrations": "taxes.publish",
    "account_tax_registrations": "taxes.publish",
    "account_tax_exemptions": "taxes.publish",
    "exclusion_rules": "rules.publish",
    "sources": "sources.publish",
    "source_users": "sources.publish",
    # What a system owns it changes without anybody's approval, so this changes what takes one.
    "systems": "policies.change",
    "field_owners": "policies.change",
}
#: Tables that a summary names.
_NAMED_MAX: Final = 8


def _plan(conn: Connection, order: Order) -> Plan:
    tally, _ = _publish(conn, order)
    changed = sorted({*tally.new, *tally.changed})
    actions = tuple(sorted({_ACTIONS.get(table, "parties.publish") for table in changed}))
    parts = ", ".join(f"{_count(tally, table)} {table}" for table in changed[:_NAMED_MAX]) or "nothing new"
    digest = str(order.payload["sha256"])
    # What a publication moves depends on usage that is still to come, so no amount of money stands for it.
    return Plan(actions, f"master/{digest[:16]}", f"publish {order.payload['file']}: {parts}", NO_MONEY)


def _count(tally: Tally, table: str) -> int:
    return tally.new.get(table, 0) + tally.changed.get(table, 0)


def _carry_out(conn: Connection, order: Order) -> Carried:
    tally, hints = _publish(conn, order)
    return Carried({"new": tally.new, "changed": tally.changed, "same": tally.same, "woken": len(hints)}, hints)


def _publish(conn: Connection, order: Order) -> tuple[Tally, list[Hintable]]:
    document, data = master.read(Path(str(order.payload["file"])), order.attachment or b"")
    return master.publish(conn, document, data, person=order.person)


DEEDS: Final = (Deed("master.publish", _plan, _carry_out),)
