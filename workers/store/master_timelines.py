"""What is published over a stretch of time: a new contract version or mapping ends or replaces what it covers.

Nothing is edited: the former row keeps what was known, ends where the new one starts, or is superseded as a whole.
The caller holds the fence, so no usage is attributed meanwhile. Usage that is attributed already by what is no longer
in force moves: `enrich` takes it back and attributes it anew, and what is billed becomes a correction.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

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
    """Which rows end earlier, which are superseded, and the keys of those that were in the database."""

    ends: dict[int, datetime]
    superseded: set[int]
    keys: set[Any]


def in_turn(wanted: Sequence[Wanted]) -> list[Wanted]:
    """The rows of a file, in its order, each ending where the next one of its key starts.

    Else one that is changed would cover the next one, which is known already and so is not published again.
    """
    starts: dict[Hashable, list[datetime]] = {}
    for each in sorted(wanted, key=lambda each: each.starts_at):
        starts.setdefault(each.key, []).append(each.starts_at)
    turns: list[Wanted] = []
    for each in wanted:
        later = starts[each.key][bisect_right(starts[each.key], each.starts_at) :]
        turns.append(replace(each, ends_at=min([each.ends_at, *later[:1]])))
    return turns


def plan(loading: Loading, kept: Iterable[Kept], wanted: Sequence[Wanted]) -> Plan:
    """Publish the wanted rows in order, each over what is in force then; notes a problem where one would be split."""
    in_force: dict[Hashable, dict[int, Kept]] = {}
    for row in kept:
        in_force.setdefault(row.key, {})[row.id] = row
    result = Plan({}, set(), set())
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
    if row.id > 0:
        result.keys.add(row.key)


def carry_out(loading: Loading, table: str, planned: Plan) -> None:
    """End and supersede the kept rows of the plan."""
    ends = {row_id: at for row_id, at in planned.ends.items() if row_id > 0}
    loading.conn.execute(
        text(f"""update {table} t set ends_at = n.ends_at
             from unnest(cast(:ids as integer[]), cast(:ends as timestamptz[])) as n (id, ends_at)
             where t.id = n.id"""),
        {"ids": sorted(ends), "ends": [ends[row_id] for row_id in sorted(ends)]},
    )
    superseded = sorted(row_id for row_id in planned.superseded if row_id > 0)
    loading.conn.execute(
        text(f"update {table} set superseded_at = now() where id = any(cast(:ids as integer[]))"),
        {"ids": superseded},
    )
    loading.tally.add(table, changed=len(ends.keys() | set(superseded)))
