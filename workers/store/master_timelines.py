"""What is published over a stretch of time: a new contract version or mapping ends or replaces what it covers.

Nothing is edited: the former row keeps what was known, ends where the new one starts, or is superseded as a whole.
The caller holds the fence, so no usage is attributed meanwhile. What would move usage that is attributed already is
refused by name.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text

from workers.store.master_file import Place
from workers.store.master_rows import Loading


@dataclass(frozen=True, slots=True)
class Kept:
    """A row in force: what it is keyed by, and over which stretch."""

    id: int
    key: Hashable
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row to publish, and where the file says so."""

    place: Place
    key: Hashable
    starts_at: datetime
    ends_at: datetime


@dataclass(slots=True)
class Plan:
    """Which rows end earlier or are superseded; `lost` says since when, and by which entry."""

    ends: dict[int, datetime]
    superseded: set[int]
    lost: dict[int, tuple[datetime, Place]]


@dataclass(frozen=True, slots=True)
class Table:
    """Where such rows lie, and the column by which attributions name them."""

    name: str
    attribution: str


CONTRACT_VERSIONS = Table("contract_versions", "contract_version_id")
MAPPINGS = Table("mappings", "mapping_id")


def plan(loading: Loading, kept: Iterable[Kept], wanted: Sequence[Wanted]) -> Plan:
    """Publish the wanted rows in order, each over what is in force then; notes a problem where one would be split."""
    in_force: dict[Hashable, dict[int, Kept]] = {}
    for row in kept:
        in_force.setdefault(row.key, {})[row.id] = row
    result = Plan({}, set(), {})
    for n, new in enumerate(wanted, start=1):
        rows = in_force.setdefault(new.key, {})
        for row in list(rows.values()):
            if row.ends_at <= new.starts_at or row.starts_at >= new.ends_at:
                continue
            if row.ends_at > new.ends_at:
                fix = f"leave `to` out, or let it reach {row.ends_at.isoformat()}"
                loading.refuse(new.place, "ends within what is in force after it", fix=fix)
                continue
            _cover(result, rows, row, new)
        rows[-n] = Kept(-n, new.key, new.starts_at, new.ends_at)
    return result


def _cover(result: Plan, rows: dict[int, Kept], row: Kept, new: Wanted) -> None:
    """End `row` where `new` starts, or supersede it if it starts no earlier; rows of this file are not kept yet."""
    if row.starts_at < new.starts_at:
        rows[row.id] = replace(row, ends_at=new.starts_at)
        result.ends[row.id] = new.starts_at
    else:
        del rows[row.id]
        result.ends.pop(row.id, None)
        result.superseded.add(row.id)
    lost_at = max(row.starts_at, new.starts_at)
    result.lost[row.id] = (min(lost_at, result.lost.get(row.id, (lost_at, ()))[0]), new.place)


def carry_out(loading: Loading, table: Table, planned: Plan) -> None:
    """End and supersede the kept rows of the plan. Raises `MasterInvalid` if usage is attributed to what they lose."""
    lost = {row_id: (at, place) for row_id, (at, place) in planned.lost.items() if row_id > 0}
    refuse_if_used(loading, table.attribution, lost)
    ends = {row_id: at for row_id, at in planned.ends.items() if row_id > 0}
    loading.conn.execute(
        text(f"""update {table.name} t set ends_at = n.ends_at
             from unnest(cast(:ids as integer[]), cast(:ends as timestamptz[])) as n (id, ends_at)
             where t.id = n.id"""),
        {"ids": sorted(ends), "ends": [ends[row_id] for row_id in sorted(ends)]},
    )
    superseded = sorted(row_id for row_id in planned.superseded if row_id > 0)
    loading.conn.execute(
        text(f"update {table.name} set superseded_at = now() where id = any(cast(:ids as integer[]))"),
        {"ids": superseded},
    )
    loading.tally.add(table.name, changed=len(ends.keys() | set(superseded)))


def refuse_if_used(loading: Loading, column: str, lost: Mapping[int, tuple[datetime, Place]]) -> None:
    """Raise `MasterInvalid` if usage at or after the instant is attributed by one of these rows.

    Counted by the hour, so usage earlier in the same hour refuses too.
    """
    if lost:
        rows = sorted(lost)
        used = loading.conn.execute(
            text(f"""select id, exists (select from attributions a where a.{column} = n.id
                   and a.hour >= date_trunc('hour', n.lost_at)) as is_used
                 from unnest(cast(:ids as integer[]), cast(:lost as timestamptz[])) as n (id, lost_at)"""),
            {"ids": rows, "lost": [lost[row_id][0] for row_id in rows]},
        )
        for row in used:
            if row.is_used:
                at, place = lost[row.id]
                sentence = f"changes what usage from {at.isoformat()} on is attributed by already"
                loading.refuse(place, sentence, fix="let it start after that usage")
    loading.check()
