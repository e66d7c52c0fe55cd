"""Meters with their versions and owners, as people and producers look at them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from domain.validation import MeterVersion
from workers.store import register

#: Meters of one list.
METERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class MeterRow:
    """A meter in a list: who answers for it, its newest version, and the metrics that read it."""

    name: str
    owner: str
    versions: int
    newest: int | None
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of a meter with who answers for it."""

    version: MeterVersion
    owner: str


def meters(conn: Connection, names: Collection[str] | None = None) -> list[MeterRow]:
    """The meters by name, or those that are called so."""
    found = conn.execute(
        text("""select m.name, m.owner, (select count(*) from meter_versions v where v.meter_id = m.id) as versions,
               (select max(v.version) from meter_versions v where v.meter_id = m.id) as newest,
               array(select x.name from metrics x where x.meter_id = m.id order by x.name) as metrics
             from meters m where :is_all or m.name = any(cast(:names as text[])) order by m.name limit :limit"""),
        {"is_all": names is None, "names": sorted(names or ()), "limit": METERS_MAX},
    )
    return [MeterRow(row.name, row.owner, row.versions, row.newest, tuple(row.metrics)) for row in found]


def versions(conn: Connection, name: str) -> Sequence[VersionRow]:
    """The versions of a meter, the newest first."""
    owners = {
        row.id: row.owner
        for row in conn.execute(
            text("select v.id, v.owner from meter_versions v join meters m on m.id = v.meter_id where m.name = :name"),
            {"name": name},
        )
    }
    found = register.load(conn, sources=(), meters={name}).meters.get(name, ())
    rows = [VersionRow(each, owners[each.id]) for each in found]
    return sorted(rows, key=lambda row: row.version.version, reverse=True)


def now(conn: Connection) -> datetime:
    """What the clock of the database shows."""
    return conn.execute(text("select now()")).scalar_one()  # type: ignore[no-any-return]
