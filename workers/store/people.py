"""People: who is registered, which roles they hold, and the tokens by which their programs speak for them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, text

from domain.authority import ROLES, Acting, PersonDisabled, PersonUnknown, Role, TokenInvalid

#: People and tokens that a list shows.
ROWS_MAX = 1_000
#: What a token begins with, so that a scanner for secrets finds one that leaked.
TOKEN_PREFIX = "tally_"  # noqa: S105 -- the part of a token that is no secret


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is registered, with the roles held now."""

    id: str
    name: str
    roles: tuple[Role, ...]
    created_at: datetime
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token: never the token."""

    id: int
    person: str
    label: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    is_revoked: bool


_PEOPLE = """
select p.id, p.name, coalesce(array_agg(r.role) filter (where r.role is not null), '{}') as roles, p.created_at,
  p.disabled_at is not null as is_disabled
from people p left join person_roles r on r.person_id = p.id and r.revoked_at is null
"""


def people(conn: Connection) -> Sequence[Person]:
    """Everybody who was ever registered."""
    found = conn.execute(text(f"{_PEOPLE} group by p.id order by p.id limit :rows"), {"rows": ROWS_MAX})
    return [Person(row.id, row.name, _sorted(row.roles), row.created_at, row.is_disabled) for row in found]


def is_anybody(conn: Connection) -> bool:
    """Whether anybody is registered."""
    return bool(conn.execute(text("select exists (select from people)")).scalar_one())


def is_bootstrapped(conn: Connection) -> bool:
    """Whether this is the database of a deployment in which everybody proves who they are: its first token says so."""
    return bool(
        conn.execute(text("select exists (select from api_tokens where created_by = 'tallyline')")).scalar_one()
    )


def is_known(conn: Connection, person: str) -> bool:
    """Whether that person was ever registered."""
    return bool(conn.execute(text("select exists (select from people where id = :id)"), {"id": person}).scalar_one())


def acting_as(conn: Connection, person: str) -> Acting:
    """That person with the roles held now. Raises `PersonUnknown`."""
    found = conn.execute(text(f"{_PEOPLE} where p.id = :id group by p.id"), {"id": person}).one_or_none()
    if found is None:
        raise PersonUnknown(f"{person!r} is not registered")
    if found.is_disabled:
        raise PersonDisabled(f"{person} is disabled")
    return Acting(found.id, frozenset(found.roles))


def acting_with(conn: Connection, token: str) -> Acting:
    """The person whose token this is, narrowed to its scopes. Raises `TokenInvalid`."""
    found = conn.execute(
        text("""update api_tokens t set used_at = now() from people p
             where t.hash = :hash and t.revoked_at is null and t.expires_at > now() and p.id = t.person_id
               and p.disabled_at is null returning t.id, t.person_id, t.scopes"""),
        {"hash": token_hash(token)},
    ).one_or_none()
    if found is None:
        raise TokenInvalid("the token is unknown, revoked or expired")
    return Acting(found.person_id, acting_as(conn, found.person_id).roles, frozenset(found.scopes), found.id)


def as_of_now(conn: Connection, acting: Acting) -> Acting:
    """Whoever acts, by what is true by now: a while may have passed since, at a prompt or behind a lock.

    Raises `PersonUnknown` or `TokenInvalid`.
    """
    if acting.token_id is not None:
        found = conn.execute(
            text("select 1 from api_tokens where id = :id and revoked_at is null and expires_at > now()"),
            {"id": acting.token_id},
        )
        if found.one_or_none() is None:
            raise TokenInvalid("the token is revoked or expired by now")
    return replace(acting, roles=acting_as(conn, acting.person).roles)


def token_hash(token: str) -> bytes:
    """What is kept of a token: it has 256 random bits, so one round of SHA-256 cannot be guessed back."""
    return hashlib.sha256(token.encode()).digest()


def register(conn: Connection, person: str, *, name: str, roles: Sequence[Role], by: str) -> bool:
    """Register a person and give roles; whether anything changed. One who was disabled is so no longer."""
    before = conn.execute(text("select name, disabled_at from people where id = :id"), {"id": person}).one_or_none()
    if before is None:
        conn.execute(
            text("insert into people (id, name, created_by) values (:id, :name, :by)"),
            {"id": person, "name": name, "by": by},
        )
    elif before.disabled_at is not None or before.name != name:
        conn.execute(
            text("update people set name = :name, disabled_at = null, disabled_by = null where id = :id"),
            {"id": person, "name": name},
        )
    given = conn.execute(
        text("""insert into person_roles (person_id, role, granted_by)
             select :id, role, :by from unnest(cast(:roles as text[])) as t (role) order by role
             on conflict (person_id, role) where revoked_at is null do nothing returning id"""),
        {"id": person, "roles": list(roles), "by": by},
    ).all()
    return before is None or before.disabled_at is not None or before.name != name or bool(given)


def revoke_roles(conn: Connection, person: str, roles: Sequence[Role], *, by: str) -> int:
    """Take roles away; how many were held."""
    gone = conn.execute(
        text("""update person_roles set revoked_at = now(), revoked_by = :by
             where person_id = :id and role = any(cast(:roles as text[])) and revoked_at is null returning id"""),
        {"id": person, "roles": list(roles), "by": by},
    ).all()
    return len(gone)


def disable(conn: Connection, person: str, *, by: str) -> bool:
    """Let a person act no more, and revoke all tokens; whether that changed anything."""
    conn.execute(
        text("""update api_tokens set revoked_at = now(), revoked_by = :by
             where person_id = :id and revoked_at is null"""),
        {"id": person, "by": by},
    )
    gone = conn.execute(
        text("""update people set disabled_at = now(), disabled_by = :by where id = :id and disabled_at is null
             returning id"""),
        {"id": person, "by": by},
    )
    return gone.one_or_none() is not None


def active_admins(conn: Connection) -> int:
    """How many people can say who is who."""
    return conn.execute(  # type: ignore[no-any-return]
        text("""select count(*) from people p join person_roles r on r.person_id = p.id
             where p.disabled_at is null and r.role = 'admin' and r.revoked_at is null""")
    ).scalar_one()


@dataclass(frozen=True, slots=True)
class KeptToken:
    """What is kept of a token: of the secret itself, which whoever makes it shows once, only the hash."""

    person: str
    hash: bytes
    scopes: Sequence[str]
    days: int
    label: str = ""


def add_token(conn: Connection, made: KeptToken, *, by: str) -> int:
    """Keep a token; its number."""
    return conn.execute(  # type: ignore[no-any-return]
        text("""insert into api_tokens (person_id, hash, scopes, label, created_by, expires_at)
             values (:person, :hash, cast(:scopes as text[]), :label, :by, now() + make_interval(days => :days))
             returning id"""),
        {
            "person": made.person,
            "hash": made.hash,
            "scopes": list(made.scopes),
            "label": made.label,
            "by": by,
            "days": made.days,
        },
    ).scalar_one()


def revoke_token(conn: Connection, token_id: int, *, by: str) -> bool:
    """Let a token open nothing any more; whether it did until now."""
    gone = conn.execute(
        text("""update api_tokens set revoked_at = now(), revoked_by = :by where id = :id and revoked_at is null
             returning id"""),
        {"id": token_id, "by": by},
    )
    return gone.one_or_none() is not None


def tokens(conn: Connection, person: str | None = None) -> Sequence[Token]:
    """The tokens of a person, or of all, the newest first."""
    found = conn.execute(
        text("""select id, person_id, label, scopes, created_at, expires_at, used_at, revoked_at is not null
             from api_tokens where cast(:person as text) is null or person_id = :person
             order by id desc limit :rows"""),
        {"person": person, "rows": ROWS_MAX},
    )
    return [Token(row[0], row[1], row[2], tuple(row[3]), *row[4:]) for row in found]


def _sorted(roles: Sequence[str]) -> tuple[Role, ...]:
    return tuple(role for role in ROLES if role in roles)
