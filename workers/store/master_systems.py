"""Systems that keep master data of their own, and which fields each of them may write."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from domain.ownership import FIELDS
from workers.store import master_kinds as kinds
from workers.store.master_rows import Loading, put


def put_systems(loading: Loading) -> None:
    """Put systems with the fields they own; a field that is no longer named is nobody's. Raises `MasterInvalid`."""
    systems = loading.master.systems
    if not systems:
        return
    _check_people(loading)
    pairs = [
        (kind, field, name)
        for name, each in systems.items()
        for kind, fields in each.fields.items()
        for field in fields
    ]
    _check_fields(loading, pairs)
    loading.check()
    put(loading, kinds.SYSTEMS, {
        ("systems", name): {
            "id": name, "owner": each.owner, "users": sorted(set(each.users)), "person_id": each.person,
        } for name, each in systems.items()
    })  # fmt: skip
    values = {
        "systems": sorted(systems),
        "kinds": [kind for kind, _, _ in pairs],
        "fields": [field for _, field, _ in pairs],
        "owners": [owner for _, _, owner in pairs],
    }
    gone = loading.conn.execute(
        text("""delete from field_owners where system_id = any(cast(:systems as text[]))
             and (kind, field, system_id) not in (select * from unnest(cast(:kinds as text[]), cast(:fields as text[]),
               cast(:owners as text[]))) returning kind"""),
        values,
    ).all()
    new = loading.conn.execute(
        text("""insert into field_owners (kind, field, system_id)
             select * from unnest(cast(:kinds as text[]), cast(:fields as text[]), cast(:owners as text[]))
             order by 1, 2 on conflict do nothing returning kind"""),
        values,
    ).all()
    loading.tally.add("field_owners", new=len(new), changed=len(gone), same=len(pairs) - len(new))


def _check_people(loading: Loading) -> None:
    named = {each.person for each in loading.master.systems.values() if each.person}
    found = loading.conn.execute(
        text("select id from people where id = any(cast(:ids as text[]))"), {"ids": sorted(named)}
    )
    known = set(found.scalars())
    for name, each in loading.master.systems.items():
        if each.person and each.person not in known:
            loading.refuse_missing(("systems", name, "person"), "person", each.person)


def _check_fields(loading: Loading, pairs: list[tuple[str, str, str]]) -> None:
    """Refuse fields that are none, and those that would have two owners."""
    kept = {
        (row.kind, row.field): row.system_id
        for row in loading.conn.execute(text("select kind, field, system_id from field_owners"))
        if row.system_id not in loading.master.systems
    }
    for kind, field, name in pairs:
        place = ("systems", name, "fields", kind)
        if field not in FIELDS.get(kind, ()):
            known = ", ".join(FIELDS.get(kind, FIELDS))
            loading.refuse(place, f"has no field {field!r}" if kind in FIELDS else "is no kind", fix=f"use: {known}")
        elif (owner := kept.setdefault((kind, field), name)) != name:
            loading.refuse(place, f"{field} is owned by {owner}", fix="take it from there first, or leave it out here")


def owners(conn: Connection, kind: str) -> Mapping[str, str]:
    """The system that owns each field of a kind."""
    found = conn.execute(text("select field, system_id from field_owners where kind = :kind"), {"kind": kind})
    return {row.field: row.system_id for row in found}


def person_of(conn: Connection, system: str, user: str | None) -> tuple[bool, str | None]:
    """Whether the broker user may speak for the system, and in whose name it asks for approvals."""
    row = conn.execute(
        text("select person_id, :user = any(users) as may from systems where id = :id"), {"id": system, "user": user}
    ).one_or_none()
    return (False, None) if row is None else (bool(row.may), row.person_id)


def kept(conn: Connection) -> dict[str, dict[str, Any]]:
    """The systems as a file would say them, by name: owner, users, the person they ask as, and fields by kind."""
    found = conn.execute(
        text("""select s.id, s.owner, s.users, s.person_id, coalesce((
               select jsonb_object_agg(kind, fields) from (
                 select kind, jsonb_agg(field order by field) as fields from field_owners
                 where system_id = s.id group by kind) f), '{}') as fields
             from systems s order by s.id limit 1000""")
    )
    return {
        row.id: {"owner": row.owner, "users": list(row.users), "person": row.person_id, "fields": row.fields}
        for row in found
    }


def sends_usage(conn: Connection, user: str) -> bool:
    """Whether a broker user may claim a source of usage."""
    found = conn.execute(text("select 1 from source_users where user_name = :user limit 1"), {"user": user})
    return found.one_or_none() is not None
