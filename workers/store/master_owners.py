"""Who answers for what: the owners that a file names, and those that what it leaves out has by default.

An owner that is left out is kept as it is; what is new is owned like what it belongs to: a version or metric like its
meter, a mapping like its source, the prices of a contract version by the legal entity that sells at them.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import text

from workers.store import master_kinds as kinds
from workers.store.master_rows import Loading, put


def put_dimensions(loading: Loading) -> None:
    """Put the dimensions that the file names; the database makes the others that metrics use, owned like the metric."""
    put(loading, kinds.DIMENSIONS, {
        ("dimensions", name): {"name": name, "owner": each.owner, "meaning": each.meaning}
        for name, each in loading.master.dimensions.items()
    })  # fmt: skip


def by_name(loading: Loading, table: str, names: Collection[str]) -> Mapping[str, str]:
    """The owners of the rows of these names that are there."""
    found = loading.conn.execute(
        text(f"select name, owner from {table} where name = any(cast(:names as text[]))"), {"names": sorted(set(names))}
    )
    return {row.name: row.owner for row in found}


def of_meter_versions(loading: Loading, meters: Collection[int]) -> Mapping[tuple[int, int], str]:
    """The owners of the versions of these meters, by meter and version."""
    found = loading.conn.execute(
        text("select meter_id, version, owner from meter_versions where meter_id = any(cast(:ids as integer[]))"),
        {"ids": sorted(meters)},
    )
    return {(row.meter_id, row.version): row.owner for row in found}


def change(loading: Loading, table: str, owners: Mapping[int, str]) -> None:
    """Give rows that are published already the owners which the file names; nothing else of them changes."""
    changed = loading.conn.execute(
        text(f"""update {table} t set owner = n.owner
             from unnest(cast(:ids as integer[]), cast(:owners as text[])) as n (id, owner)
             where t.id = n.id and t.owner <> n.owner returning t.id"""),
        {"ids": sorted(owners), "owners": [owners[row_id] for row_id in sorted(owners)]},
    ).all()
    loading.tally.add(table, changed=len(changed), same=-len(changed))
