"""Sources: upstream systems, and which broker users may claim them."""

from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source as it should be; what is None stays as it is, or takes its default."""

    name: str
    user: str
    owner: str | None = None
    quota_per_hour: int | None = None


def is_there(conn: Connection, wanted: Wanted) -> bool:
    """Whether the source is as it should be already, and claimed by the user."""
    found = conn.execute(
        text("""select exists (select from sources s join source_users u on u.source_id = s.id
             where s.name = :name and u.user_name = :user and s.owner = coalesce(:owner, s.owner)
               and s.quota_per_hour is not distinct from coalesce(:quota, s.quota_per_hour))"""),
        {"name": wanted.name, "user": wanted.user, "owner": wanted.owner, "quota": wanted.quota_per_hour},
    )
    return bool(found.scalar_one())


def put(conn: Connection, wanted: Wanted) -> bool:
    """Put a source and let the user claim it; whether the source is new."""
    row = conn.execute(
        text("""insert into sources (name, owner, quota_per_hour)
             values (:name, coalesce(:owner, 'operations'), :quota)
             on conflict (name) do update set owner = coalesce(:owner, sources.owner),
               quota_per_hour = coalesce(:quota, sources.quota_per_hour)
             returning id, (xmax = 0) as is_new"""),
        {"name": wanted.name, "owner": wanted.owner, "quota": wanted.quota_per_hour},
    ).one()
    conn.execute(
        text("insert into source_users (source_id, user_name) values (:source, :user) on conflict do nothing"),
        {"source": row.id, "user": wanted.user},
    )
    return bool(row.is_new)
