"""Schedules of master data, such as the seats of a subscription: where a file says nothing, what held still holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import text

from domain.canonical import canonical_json
from domain.schedules import Said, ScheduleInvalid, Spell, revised
from workers.store import master_kinds as kinds
from workers.store.master_file import Place
from workers.store.master_rows import Loading, ids

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A table of schedules: columns and types of what a schedule is of, and of what it says."""

    table: str
    key: Mapping[str, str]
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a place of the file says of a schedule; `values` are in the order of the table's."""

    place: Place
    key: Key
    starts_on: date
    ends_on: date | None
    values: tuple[Any, ...]


QUANTITIES: Final = Scheduled(
    "subscription_quantities", {"subscription_id": "integer", "item": "text"}, {"quantity": "numeric"}
)


def put_quantities(loading: Loading) -> None:
    """Put the quantities of subscriptions, such as seats. Raises `MasterInvalid`."""
    subscriptions = {ref: each for ref, each in loading.master.subscriptions.items() if each.quantities}
    named = [(("subscriptions", ref), ref) for ref in subscriptions]
    known = ids(loading, kinds.SUBSCRIPTIONS, named, name="ref", what="subscription")
    entries = [
        Entry(
            ("subscriptions", ref, "quantities", n), (known[ref], each.item), each.starts, each.ends, (each.quantity,)
        )
        for ref, subscription in subscriptions.items()
        for n, each in enumerate(subscription.quantities)
    ]
    put_schedules(loading, QUANTITIES, entries)


def put_schedules(loading: Loading, kind: Scheduled, entries: Sequence[Entry]) -> None:
    """Supersede what is in force where something else is said, and say that. Raises `MasterInvalid`."""
    if not entries:
        return
    said: dict[Key, list[Entry]] = {}
    for entry in entries:
        said.setdefault(entry.key, []).append(entry)
    kept = _in_force(loading, kind, list(said))
    superseded: list[int] = []
    same = 0
    made: list[tuple[Key, Spell[tuple[Any, ...]]]] = []
    for key, of_key in said.items():
        spells = kept.get(key, {})
        try:
            revision = revised(list(spells), [Said(each.starts_on, each.ends_on, each.values) for each in of_key])
        except ScheduleInvalid as error:
            _refuse(loading, of_key, error)
            continue
        superseded += [spells[spell] for spell in revision.superseded]
        made += [(key, spell) for spell in revision.made]
        same += revision.same
    loading.check()
    _revise(loading, kind, sorted(superseded), made)
    loading.tally.add(kind.table, new=len(made), changed=len(superseded), same=same)


def _refuse(loading: Loading, entries: Sequence[Entry], error: ScheduleInvalid) -> None:
    """Note what is wrong at the entry that is named, such as `[1].from`; without one, at the first."""
    number, _, field = error.field.removeprefix("[").partition("].")
    entry = entries[int(number)] if number else entries[0]
    place = (*entry.place, field) if field else entry.place
    loading.refuse(place, error.sentence.removeprefix(f"{error.field}: "), fix=error.fix)


def _record(columns: Mapping[str, str]) -> str:
    return "jsonb_to_recordset(cast(:rows as jsonb)) as n (" + ", ".join(f"{c} {t}" for c, t in columns.items()) + ")"


def _in_force(loading: Loading, kind: Scheduled, keys: Sequence[Key]) -> dict[Key, dict[Spell[tuple[Any, ...]], int]]:
    columns = ", ".join([*kind.key, *kind.values])
    found = loading.conn.execute(
        text(f"""select {columns}, t.id, t.starts_on, t.ends_on from {kind.table} t
             join {_record(kind.key)} using ({", ".join(kind.key)})
             where t.superseded_at = '9999-12-31 00:00:00+00' order by t.id"""),
        {"rows": canonical_json([dict(zip(kind.key, key, strict=True)) for key in keys])},
    )
    kept: dict[Key, dict[Spell[tuple[Any, ...]], int]] = {}
    for row in found:
        key, values = tuple(row[: len(kind.key)]), tuple(row[len(kind.key) : -3])
        kept.setdefault(key, {})[Spell(row.starts_on, row.ends_on, values)] = row.id
    return kept


def _revise(
    loading: Loading, kind: Scheduled, superseded: list[int], made: list[tuple[Key, Spell[tuple[Any, ...]]]]
) -> None:
    loading.conn.execute(
        text(f"update {kind.table} set superseded_at = now() where id = any(cast(:ids as integer[]))"),
        {"ids": superseded},
    )
    columns = {**kind.key, "starts_on": "date", "ends_on": "date", **kind.values}
    names, key = ", ".join(columns), ", ".join(kind.key)
    loading.conn.execute(
        text(f"""insert into {kind.table} ({names}, recorded_by) select {names}, :person
             from {_record(columns)} order by {key}, starts_on"""),
        {
            "person": loading.person,
            "rows": canonical_json(
                [
                    {
                        **dict(zip(kind.key, of, strict=True)),
                        "starts_on": spell.starts_on.isoformat(),
                        "ends_on": spell.ends_on.isoformat(),
                        **dict(zip(kind.values, spell.value, strict=True)),
                    }
                    for of, spell in made
                ]
            ),
        },
    )
