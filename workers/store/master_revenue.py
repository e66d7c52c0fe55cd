"""How revenue accounts of a legal entity are earned and where its credits are booked: for what comes from then on."""

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


def put_credit_accounts(loading: Loading) -> None:
    """Put where prepaid credits are booked; the liability has an account to itself. Raises `MasterInvalid`."""
    accounts = loading.master.credit_accounts
    entities = [(("credit_accounts", entity), entity) for entity in accounts]
    ids(loading, kinds.LEGAL_ENTITIES, entities, name="id", what="legal entity")
    for entity, each in accounts.items():
        if each.liability_account in (each.received_account, each.breakage_account, each.given_account):
            place = ("credit_accounts", entity, "liability_account")
            loading.refuse(place, "is booked with something else", fix="name an account that nothing else here has")
    loading.check()
    put(loading, kinds.CREDIT_ACCOUNTS, {
        ("credit_accounts", entity): {"legal_entity_id": entity, **each.model_dump()}
        for entity, each in accounts.items()
    })  # fmt: skip
