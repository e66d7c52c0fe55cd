"""Prices that versions of contracts lack: of metrics that what is subscribed under them uses, or that others have."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from workers.store.master_models import MasterData

#: Usage of this many days before now tells what a subscription uses.
DAYS: Final = 31
#: Missing prices that are named.
LACKS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Lack:
    """A metric for which a version, or a phase over it, has no price, and why it will need one."""

    contract: str
    version: int
    phase: str | None
    metric: str
    why: str


_LACKING = text(f"""
with meant as materialized (
  select c.ref, v.contract_id, v.id, v.version, v.own_of, v.starts_at, v.ends_at, s.id as subscription_id,
    s.ref as subscription, p.phase
  from contracts c join contract_versions v on v.contract_id = c.id
    and v.superseded_at = '9999-12-31 00:00:00+00' and v.ends_at > now()
  left join subscription_phases p on p.id = v.phase_id
  left join subscriptions s on s.contract_id = c.id and v.own_of in (0, s.id)
    and s.ends_at > greatest(v.starts_at, now()) and s.starts_at < v.ends_at
    and (v.own_of > 0 or v.starts_at < s.terms_from)
  where c.ref = any(cast(:contracts as text[])) or c.id in (
    select contract_id from subscriptions where ref = any(cast(:subscriptions as text[])))),
needed as (
  select m.ref, m.version, m.phase, m.id, g.metric_id, 1 as rank, m.subscription || ' has used it lately' as why
  from meant m join subscriptions s on s.id = m.subscription_id
  join billing_periods b on b.cycle_id = s.cycle_id and b.ends_at > now() - interval '{DAYS} days'
    and b.starts_at <= now()
  join aggregates g on g.subscription_id = m.subscription_id and g.billing_period_id = b.id and g.events > 0
  union all
  select m.ref, m.version, m.phase, m.id, k.id, 2, m.subscription || ' has ' || q.item
  from meant m join subscription_quantities q on q.subscription_id = m.subscription_id and q.quantity > 0
    and q.superseded_at = '9999-12-31 00:00:00+00' and q.starts_on < m.ends_at and q.ends_on > m.starts_at
    and q.ends_on > current_date
  join metrics k on k.aggregation = 'subscribed' and k.property = q.item
  union all
  select m.ref, m.version, m.phase, m.id, p.metric_id, 3, 'version ' || o.version || ' has one'
  from meant m join contract_versions o on o.contract_id = m.contract_id and o.own_of = 0
    and o.superseded_at = '9999-12-31 00:00:00+00'
  join prices p on p.contract_version_id = o.id)
select distinct on (n.ref, n.version, n.phase, k.name) n.ref, n.version, n.phase, k.name, n.why
from needed n join metrics k on k.id = n.metric_id
where not exists (select from prices p where p.contract_version_id = n.id and p.metric_id = n.metric_id)
order by n.ref, n.version, n.phase, k.name, n.rank, n.why limit {LACKS_MAX}
""")


def lacking(conn: Connection, master: MasterData) -> list[Lack]:
    """The prices that are missing from now on under the contracts whose versions or phases the file says."""
    contracts = [ref for ref, each in master.contracts.items() if each.versions]
    subscriptions = [ref for ref, each in master.subscriptions.items() if each.phases or each.quantities]
    if not contracts and not subscriptions:
        return []
    found = conn.execute(_LACKING, {"contracts": contracts, "subscriptions": subscriptions})
    return [Lack(*row) for row in found]
