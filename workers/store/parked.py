"""Parked usage: open exceptions that wait for a key, and the work that looks at them again when the key arrives."""

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection, text

from queues.work import Hintable, NewWork, insert

#: As long as a work subject may carry; `attributions` spells a longer one by its md5.
SUBJECT_LENGTH_MAX = 120


def mapping_key(source_id: int, subject: str) -> str:
    """The key that usage of this source and subject waits for when no mapping leads on."""
    if len(subject) > SUBJECT_LENGTH_MAX:
        subject = "md5-" + hashlib.md5(subject.encode(), usedforsecurity=False).hexdigest()
    return f"{source_id}/{subject}"


def wake(conn: Connection, waits: Sequence[tuple[str, str]], *, correlation_id: str) -> list[Hintable]:
    """Owe `enrich` to whatever waits for these (kind, key), in a transaction after the one that held the fence."""
    found = conn.execute(
        text("""select kind, key, coalesce((select max(w.revision) from work w where w.step = 'enrich'
               and w.subject = 'parked/' || kind || '/' || key), 0) + 1 as revision,
               (select count(*) from exceptions x where x.state = 'open' and x.waits_kind = kind
                 and x.waits_key = key) as n
             from unnest(cast(:kinds as text[]), cast(:keys as text[])) as t (kind, key)"""),
        {"kinds": [kind for kind, _ in waits], "keys": [key for _, key in waits]},
    ).all()
    rows = [
        NewWork(
            "enrich", f"parked/{row.kind}/{row.key}", correlation_id, revision=row.revision, weight=min(row.n, 5_000)
        )
        for row in found
        if row.n
    ]
    return insert(conn, rows)


def move(conn: Connection, kind: str, keys: Sequence[str], *, correlation_id: str) -> list[Hintable]:
    """Owe `enrich` to usage attributed under a contract or mapping that has changed; after the fence, as `wake`."""
    found = conn.execute(
        text("""select key, coalesce((select max(w.revision) from work w where w.step = 'enrich'
               and w.subject = 'moved/' || :kind || '/' || key), 0) + 1 as revision
             from unnest(cast(:keys as text[])) as t (key)"""),
        {"kind": kind, "keys": list(keys)},
    )
    subjects = [NewWork("enrich", f"moved/{kind}/{row.key}", correlation_id, revision=row.revision) for row in found]
    return insert(conn, subjects)


def wake_all(conn: Connection, *, correlation_id: str) -> list[Hintable]:
    """Owe `enrich` to every key that anything waits for: the daily look that should find nothing to heal."""
    waits = conn.execute(
        text("""select distinct waits_kind, waits_key from exceptions where state = 'open' and step = 'enrich'
             and waits_kind is not null order by 1, 2 limit 10000""")
    ).all()
    return wake(conn, [(row.waits_kind, row.waits_key) for row in waits], correlation_id=correlation_id)
