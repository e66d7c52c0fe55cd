"""What waits for master data: parked usage and the work that looks at it again, and dead work whose cause is gone."""

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection, text

from queues.topology import queue_name
from queues.work import Hintable, NewWork, insert
from workers.store.debtors import OF_CONNECTION

#: As long as a work subject may carry; `attributions` spells a longer one by its md5.
SUBJECT_LENGTH_MAX = 120
#: Dead rows that are woken at once; the next look finds the rest.
HEALED_MAX = 1_000

#: Dead rows whose exception waits for a price, a tax rate or a debtor that is there now. Asked of the data itself, so
#: that it does not matter who brought them, nor whether the row died while they were on their way.
_HEAL_DEAD = text(f"""
with cured as (
  select w.id, x.id as exception_id, x.waits_kind from exceptions x join work w on w.id = x.work_id and w.state = 'dead'
  where x.state = 'open' and (
    (x.waits_kind = 'price' and exists (select from prices p join metrics m on m.id = p.metric_id
      where p.contract_version_id = cast(x.facts ->> 'contract_version' as integer) and m.name = x.facts ->> 'metric'))
    or (x.waits_kind = 'tax_rate' and (select count(*) from tax_rates t
      where t.jurisdiction = x.facts ->> 'jurisdiction' and t.category = x.facts ->> 'category'
        and cast(x.facts ->> 'tax_point_on' as date) >= t.starts_on
        and cast(x.facts ->> 'tax_point_on' as date) < t.ends_on) = 1)
    or (x.waits_kind = 'debtor' and exists (select from erp_connections c where c.id = x.facts ->> 'connection'
      and (not c.needs_debtor or (select count(*) from account_identities d
        where d.account_id = x.facts ->> 'account' and {OF_CONNECTION}
          and cast(x.facts ->> 'on' as date) >= d.starts_on and cast(x.facts ->> 'on' as date) < d.ends_on) = 1))))
  order by w.id limit :rows for update of w, x skip locked),
healed as (
  update exceptions x set state = 'resolved', closed_at = now(), closed_by = 'tallyline',
    reason = 'healed: its ' || replace(c.waits_kind, '_', ' ') || ' is there now'
  from cured c where x.id = c.exception_id)
update work w set state = 'ready', lane = 'replay', attempts = 0, starts = 0, due_at = now(), hinted_at = now(),
  hints = 1, lease_until = null, done_at = null, outcome = 'healed', error = null
from cured c where w.id = c.id returning w.id, w.step, w.lane, w.connection_id, w.weight, w.correlation_id
""")


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


def heal_dead(conn: Connection) -> list[Hintable]:
    """Make dead rows ready again whose price, tax rate or debtor has come, in the lane `replay`.

    They are to be hinted after the commit. Their exceptions are resolved; one that dies again opens its own anew.
    """
    found = conn.execute(_HEAL_DEAD, {"rows": HEALED_MAX}).all()
    return [
        Hintable(row.id, row.step, queue_name(row.step, row.lane, row.connection_id), row.weight, row.correlation_id)
        for row in found
    ]
