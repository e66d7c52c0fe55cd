"""Accounts with their families, receivers and names elsewhere; products and what belongs to them."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from sqlalchemy import text

from workers.store import master_kinds as kinds
from workers.store.master_file import Place
from workers.store.master_party_models import Account
from workers.store.master_rows import Loading, Row, ids, put
from workers.store.master_schedules import Entry, Scheduled, put_schedules

IDENTITIES: Final = Scheduled(
    "account_identities", {"system": "text", "identifier": "text"}, {"kind": "text", "account_id": "text"}
)
#: Accounts above one another; the database holds it as well.
DEPTH_MAX: Final = 32


def put_accounts(loading: Loading) -> None:
    """Put accounts and their identities; what the file leaves out of one stays as it is. Raises `MasterInvalid`."""
    accounts = loading.master.accounts
    kept = _kept(loading)
    rows: dict[Place, Row] = {}
    for name, each in accounts.items():
        row = {"id": name, **_given(each, kept.get(name, {"name": None, "parent_id": None, "bill_to_id": None}))}
        if row["name"] is None:
            loading.refuse(("accounts", name, "name"), "is missing of an account that is new", fix="add it")
        rows["accounts", name] = row
        kept[name] = row
    _check_families(loading, kept)
    loading.check()
    put(loading, kinds.ACCOUNTS, rows)
    put_schedules(loading, IDENTITIES, [
        Entry(
            ("accounts", name, "identities", n), (each.system, each.identifier), each.starts or date.min, each.ends,
            (each.kind, name),
        ) for name, account in accounts.items() for n, each in enumerate(account.identities)
    ])  # fmt: skip


def _given(account: Account, kept: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an account: those that the file gives, else as they are."""
    given = account.model_dump(include={"name", "parent", "bill_to"}, exclude_unset=True)
    columns = {"name": "name", "parent_id": "parent", "bill_to_id": "bill_to"}
    return {column: given.get(field, kept[column]) for column, field in columns.items()}


def _kept(loading: Loading) -> dict[str, Mapping[str, Any]]:
    """The accounts that the file names, and those above and below them that its families are made of."""
    named = set(loading.master.accounts)
    for each in loading.master.accounts.values():
        named |= {other for other in (each.parent, each.bill_to) if other is not None}
    found = loading.conn.execute(
        text("""with recursive above (id, parent_id, depth) as (
               select id, parent_id, 0 from accounts where id = any(cast(:ids as text[]))
               union select a.id, a.parent_id, b.depth + 1 from accounts a join above b on a.id = b.parent_id
                 where b.depth < :depth)
             select a.id, a.name, a.parent_id, a.bill_to_id from accounts a where a.id in (select id from above)
               or a.id in (select bill_to_id from accounts where id in (select id from above))
               or a.bill_to_id = any(cast(:ids as text[]))"""),
        {"ids": sorted(named), "depth": DEPTH_MAX + 1},
    )
    return {row.id: dict(row._mapping) for row in found}  # noqa: SLF001 -- SQLAlchemy's own name for it


def _check_families(loading: Loading, accounts: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse parents and receivers that are not there, families that are no trees, and receivers that pass it on."""
    receivers = {row["bill_to_id"] for row in accounts.values()} - {None}
    for name in loading.master.accounts:
        row = accounts[name]
        for field in ("parent", "bill_to"):
            other = row[f"{field}_id"]
            if other is not None and other not in accounts:
                loading.refuse_missing(("accounts", name, field), "account", other)
        above = list(_above(accounts, name))
        if name in above or len(above) > DEPTH_MAX:
            sentence = "would be above itself" if name in above else f"has more than {DEPTH_MAX} accounts above it"
            loading.refuse(("accounts", name, "parent"), sentence, fix="let the top of the family have no parent")
        receiver = accounts.get(row["bill_to_id"] or "", {})
        if row["bill_to_id"] == name or (row["bill_to_id"] and (receiver.get("bill_to_id") or name in receivers)):
            fix = "name the account that really receives them; whoever receives those of others receives its own"
            loading.refuse(("accounts", name, "bill_to"), "its documents would go on from their receiver", fix=fix)


def _above(accounts: Mapping[str, Mapping[str, Any]], name: str) -> Iterator[str]:
    """The accounts above one, nearest first, as far as it takes to see that they are too many or no end."""
    above = accounts[name]["parent_id"]
    for _ in range(DEPTH_MAX + 1):
        if above is None:
            return
        yield above
        if above == name:
            return
        above = accounts.get(above, {}).get("parent_id")


def put_products(loading: Loading) -> None:
    """Put products."""
    put(loading, kinds.PRODUCTS, {
        ("products", name): {"id": name, "name": each.name} for name, each in loading.master.products.items()
    })  # fmt: skip


def products_of_metrics(loading: Loading) -> Mapping[str, str | None]:
    """The product of each metric of the file; of one that names none what it has. Raises `MasterInvalid`."""
    metrics = loading.master.metrics
    named = [(("metrics", name, "product"), each.product) for name, each in metrics.items() if each.product]
    ids(loading, kinds.PRODUCTS, [(place, name) for place, name in named if name], name="id", what="product")
    found = loading.conn.execute(
        text("select name, product_id from metrics where name = any(cast(:names as text[]))"),
        {"names": sorted(metrics)},
    )
    kept = {row.name: row.product_id for row in found}
    return {
        name: each.product if "product" in each.model_fields_set else kept.get(name) for name, each in metrics.items()
    }
