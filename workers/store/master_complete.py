"""Fills in what a file leaves out of contracts and subscriptions that are there: it stays as it is."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import text

from workers.store.master_models import Contract, Subscription
from workers.store.master_rows import Loading

_CONTRACTS: Final = text("""
select ref, account_id as account, legal_entity_id as legal_entity, currency from contracts
where ref = any(cast(:refs as text[]))
""")
_SUBSCRIPTIONS: Final = text("""
select s.ref, c.ref as contract, y.legal_entity_id || '/' || y.name as cycle, s.starts_at as starts,
  coalesce(s.own_ends_at, s.ends_at) as ends, s.activated_on as activated
from subscriptions s join contracts c on c.id = s.contract_id join billing_cycles y on y.id = s.cycle_id
where s.ref = any(cast(:refs as text[]))
""")


def complete(loading: Loading) -> None:
    """Let the file say all of its contracts and subscriptions. Raises `MasterInvalid` for what is new and lacks some.

    A subscription of which nothing but its days or quantities is said keeps its contract, its cycle and its own days.
    """
    master = loading.master
    contracts = _kept(loading, _CONTRACTS, master.contracts)
    subscriptions = _kept(loading, _SUBSCRIPTIONS, master.subscriptions)
    loading.master = master.model_copy(
        update={
            "contracts": {ref: _completed(each, contracts.get(ref, {})) for ref, each in master.contracts.items()},
            "subscriptions": {
                ref: _completed(_ended(loading, ref, each), subscriptions.get(ref, {}))
                for ref, each in master.subscriptions.items()
            },
        }
    )
    for ref, contract in loading.master.contracts.items():
        _require(loading, "contract", ref, contract, "account", "legal_entity", "currency")
    for ref, subscription in loading.master.subscriptions.items():
        _require(loading, "subscription", ref, subscription, "contract", "cycle")
    loading.check()


def _kept(loading: Loading, statement: Any, named: Mapping[str, object]) -> dict[str, dict[str, Any]]:  # noqa: ANN401
    found = loading.conn.execute(statement, {"refs": sorted(named)})
    return {row.pop("ref"): row for row in (dict(each) for each in found.mappings())}


def _ended(loading: Loading, ref: str, entry: Subscription) -> Subscription:
    """The subscription with the end that its cancellation gives it; one that is taken back opens the end."""
    if "cancellation" not in entry.model_fields_set:
        return entry
    ends = None if entry.cancellation is None else entry.cancellation.on
    if "ends" in entry.model_fields_set and entry.ends != ends:
        fix = "leave `to` out: the day of the cancellation is the first one without the subscription"
        loading.refuse(("subscriptions", ref, "to"), "is another end than that of the cancellation", fix=fix)
    return entry.model_copy(update={"ends": ends})


def _completed(entry: Contract | Subscription, kept: Mapping[str, Any]) -> Contract | Subscription:
    """The entry with what it does not say as it is kept."""
    return entry.model_copy(update={name: value for name, value in kept.items() if name not in entry.model_fields_set})


def _require(loading: Loading, what: str, ref: str, entry: Contract | Subscription, *fields: str) -> None:
    for field in fields:
        if getattr(entry, field) is None:
            loading.refuse((f"{what}s", ref, field), f"is missing of a {what} that is new", fix="add it")
