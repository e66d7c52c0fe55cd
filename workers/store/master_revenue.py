"""How each revenue account of a legal entity is earned: for documents that are issued from then on."""

from typing import Final

from workers.store import master_kinds as kinds
from workers.store.master_rows import Loading, ids, put

#: The rule of all revenue accounts that have none of their own.
ALL_OTHERS: Final = "*"


def put_revenue_rules(loading: Loading) -> None:
    """Put revenue rules; accounts that are not three are refused. Raises `MasterInvalid`."""
    rules = loading.master.revenue_rules
    entities = [(("revenue_rules", entity), entity) for entity in rules]
    ids(loading, kinds.LEGAL_ENTITIES, entities, name="id", what="legal entity")
    for entity, accounts in rules.items():
        for account, each in accounts.items():
            if len({account, each.deferred_account, each.asset_account}) < len(("revenue", "deferred", "asset")):
                fix = "name three different accounts"
                loading.refuse(("revenue_rules", entity, account), "books two of its balances on one account", fix=fix)
    loading.check()
    put(loading, kinds.REVENUE_RULES, {
        ("revenue_rules", entity, account): {
            "legal_entity_id": entity, "revenue_account": account, "method": each.method,
            "deferred_account": each.deferred_account, "asset_account": each.asset_account,
        } for entity, accounts in rules.items() for account, each in accounts.items()
    })  # fmt: skip
