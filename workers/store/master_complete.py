"""Fills in what a file leaves out of legal entities, contracts and subscriptions that are there: it stays as it is."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from sqlalchemy import text

from workers.store.master_file import Place
from workers.store.master_models import Subscription
from workers.store.master_rows import Loading

_ENTITIES: Final = text("""
select id as ref, name, currency, zone, jurisdiction, connection_id as connection, receivable_account, tax_account,
  tax_accounts
from legal_entities where id = any(cast(:refs as text[]))
""")
_CONTRACTS: Final = text("""
select ref, account_id as account, legal_entity_id as legal_entity, currency, prices_include_tax, payment_days
from contracts where ref = any(cast(:refs as text[]))
""")
_SUBSCRIPTIONS: Final = text("""
select s.ref, c.ref as contract, y.legal_entity_id || '/' || y.name as cycle, s.starts_at as starts,
  coalesce(s.own_ends_at, s.ends_at) as ends, s.activated_on as activated
from subscriptions s join contracts c on c.id = s.contract_id join billing_cycles y on y.id = s.cycle_id
where s.ref = any(cast(:refs as text[]))
""")
_OF_ENTITY: Final = ("name", "currency", "zone", "jurisdiction", "connection")
_OF_CONTRACT: Final = ("account", "legal_entity", "currency")
Entry = TypeVar("Entry", bound=BaseModel)


def complete(loading: Loading) -> None:
    """Let the file say all of its legal entities, contracts and subscriptions.

    A subscription of which nothing but its days or quantities is said keeps its contract, its cycle and its own days.
    Raises `MasterInvalid` for what is new and lacks some.
    """
    master = loading.master
    entities = _kept(loading, _ENTITIES, master.legal_entities)
    contracts = _kept(loading, _CONTRACTS, master.contracts)
    subscriptions = _kept(loading, _SUBSCRIPTIONS, master.subscriptions)
    loading.master = master.model_copy(
        update={
            "legal_entities": {
                ref: _completed(each, entities.get(ref, {})) for ref, each in master.legal_entities.items()
            },
            "contracts": {ref: _completed(each, contracts.get(ref, {})) for ref, each in master.contracts.items()},
            "subscriptions": {
                ref: _completed(_ended(loading, ref, each), subscriptions.get(ref, {}))
                for ref, each in master.subscriptions.items()
            },
        }
    )
    for ref, entity in loading.master.legal_entities.items():
        _require(loading, "legal entity", ("legal_entities", ref), entity, *_OF_ENTITY)
    for ref, contract in loading.master.contracts.items():
        _require(loading, "contract", ("contracts", ref), contract, *_OF_CONTRACT)
    for ref, subscription in loading.master.subscriptions.items():
        _require(loading, "subscription", ("subscriptions", ref), subscription, "contract", "cycle")
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


def _completed(entry: Entry, kept: Mapping[str, Any]) -> Entry:
    """The entry with what it does not say as it is kept."""
    return entry.model_copy(update={name: value for name, value in kept.items() if name not in entry.model_fields_set})


def _require(loading: Loading, what: str, place: Place, entry: BaseModel, *fields: str) -> None:
    for field in fields:
        if getattr(entry, field) is None:
            loading.refuse((*place, field), f"is missing of a {what} that is new", fix="add it")
