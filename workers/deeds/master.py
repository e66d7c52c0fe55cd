"""The deed `master.publish`: a file of master data, whose parts are each an action of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from domain.approvals import NO_MONEY
from queues.work import Hintable
from workers.deeds.deed import Carried, Deed, Order, Plan
from workers.deeds.nouns import counted
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
#: Characters of a summary: a request keeps 2,000. There are fewer tables than fill it.
_SUMMARY_MAX: Final = 2_000


def _plan(conn: Connection, order: Order) -> Plan:
    tally, _ = _publish(conn, order)
    changed = sorted({*tally.new, *tally.changed})
    actions = tuple(sorted({_ACTIONS.get(table, "parties.publish") for table in changed}))
    digest = str(order.payload["sha256"])
    # What a publication moves depends on usage that is still to come, so no amount of money stands for it.
    return Plan(actions, f"master/{digest[:16]}", _summary(tally, changed, str(order.payload["file"])), NO_MONEY)


def _summary(tally: Tally, changed: Sequence[str], file: str) -> str:
    """Everything that is in the file, what takes a second person first: who grants it must see that a tax is in it."""
    ordered = sorted(changed, key=lambda table: (table not in _ACTIONS, table))
    parts = ", ".join(counted(_count(tally, table), table) for table in ordered) or "nothing new"
    return f"publish {file}: {parts}"[:_SUMMARY_MAX]


def _count(tally: Tally, table: str) -> int:
    return tally.new.get(table, 0) + tally.changed.get(table, 0)


def _carry_out(conn: Connection, order: Order) -> Carried:
    tally, hints = _publish(conn, order)
    return Carried({"new": tally.new, "changed": tally.changed, "same": tally.same, "woken": len(hints)}, hints)


def _publish(conn: Connection, order: Order) -> tuple[Tally, list[Hintable]]:
    document, data = master.read(Path(str(order.payload["file"])), order.attachment or b"")
    return master.publish(conn, document, data, person=order.person)


DEEDS: Final = (Deed("master.publish", _plan, _carry_out),)
