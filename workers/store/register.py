"""The register: which sources and meters exist, as validate needs them for one batch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from domain.validation import Field, MeterVersion, fields_of


@dataclass(frozen=True, slots=True)
class Source:
    """An upstream's source: who may claim it, and how many events an hour it may send."""

    id: int
    name: str
    users: frozenset[str]
    quota_per_hour: int | None


@dataclass(frozen=True, slots=True)
class Register:
    """The sources and meter versions that a batch names, by name."""

    sources: Mapping[str, Source]
    meters: Mapping[str, tuple[MeterVersion, ...]]


def load(conn: Connection, *, sources: Collection[str], meters: Collection[str]) -> Register:
    """The register for these names; a name that is not in it is unknown."""
    return Register(_sources(conn, sources), _meters(conn, meters))


def _sources(conn: Connection, names: Collection[str]) -> dict[str, Source]:
    found = conn.execute(
        text("""select s.id, s.name, s.quota_per_hour,
               coalesce(array_agg(u.user_name) filter (where u.user_name is not null), '{}') as users
             from sources s left join source_users u on u.source_id = s.id
             where s.name = any(cast(:names as text[])) group by s.id"""),
        {"names": list(names)},
    )
    return {row.name: Source(row.id, row.name, frozenset(row.users), row.quota_per_hour) for row in found}


def _meters(conn: Connection, names: Collection[str]) -> dict[str, tuple[MeterVersion, ...]]:
    found = conn.execute(
        text("""select m.id as meter_id, m.name, v.id, v.version, v.dataschema, v.fields, v.max_age_days, v.starts_at
             from meters m join meter_versions v on v.meter_id = m.id where m.name = any(cast(:names as text[]))
             order by m.id, v.starts_at, v.version"""),
        {"names": list(names)},
    )
    meters: dict[str, tuple[MeterVersion, ...]] = {}
    for row in found:
        version = MeterVersion(
            id=row.id, meter_id=row.meter_id, version=row.version, dataschema=row.dataschema,
              fields=fields_of(row.fields),
            max_age_days=row.max_age_days, starts_at=row.starts_at,
        )  # fmt: skip
        meters[row.name] = (*meters.get(row.name, ()), version)
    return meters


def meter_ids(conn: Connection, names: Collection[str]) -> dict[str, int]:
    """The meters that are called so."""
    found = conn.execute(
        text("select name, id from meters where name = any(cast(:names as text[]))"), {"names": sorted(names)}
    )
    return {row.name: row.id for row in found}


__all__ = ["Field", "Register", "Source", "load", "meter_ids"]
