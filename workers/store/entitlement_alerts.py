"""Alerts about limits: which entitled usage a batch moved, and that each threshold is told once in a period."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, text

from domain.entitlements import Allowance
from domain.periods import Days, Window
from workers.store.aggregates import Moved
from workers.store.entitlements import USED

#: The class of the advisory locks that whoever judges a limit holds, and how many there are.
LOCKS = 7202
STRIPES = 64

_OPEN = "superseded_at = '9999-12-31 00:00:00+00'"
#: The entitlements that may count for usage: the subscription's own, and those of the version that it is attributed to,
#: or, if that one ends, of another version of the contract. Usage that has none of them falls out by look-ups of
#: indexes; so does usage of which every threshold has been told. The lowest share of a limit that is not told yet is
#: what usage has to reach to be near.
_WATCHED = text(f"""
with moved as materialized (
  select * from unnest(cast(:subscriptions as integer[]), cast(:periods as integer[]), cast(:versions as integer[]),
    cast(:features as integer[])) as t (subscription_id, billing_period_id, contract_version_id, feature_id))
select t.subscription_id, t.feature_id, t.billing_period_id, min(l.limit_quantity * x.threshold) as least
from moved t cross join lateral (
  select e.limit_quantity, e.thresholds from entitlements e
  where e.subscription_id = t.subscription_id and e.feature_id = t.feature_id and e.{_OPEN}
  union all
  select e.limit_quantity, e.thresholds from entitlements e
  where e.feature_id = t.feature_id and e.contract_version_id = coalesce(
    (select v.copy_of from contract_versions v where v.id = t.contract_version_id), t.contract_version_id)
  union all
  select e.limit_quantity, e.thresholds from contract_versions v
  join contract_versions o on o.contract_id = v.contract_id and o.id <> v.id and o.{_OPEN}
  join entitlements e on e.contract_version_id = o.id and e.feature_id = t.feature_id
  where v.id = t.contract_version_id and v.ends_at < '9999-12-31 00:00:00+00'
) l cross join unnest(l.thresholds) as x (threshold)
where not exists (
  select from entitlement_alerts o where o.subscription_id = t.subscription_id and o.feature_id = t.feature_id
    and o.billing_period_id = t.billing_period_id and o.threshold = x.threshold)
group by 1, 2, 3 order by 1, 2, 3
""")
_LOCK = text("""
select pg_advisory_xact_lock(:class, stripe) from (
  select distinct id % :stripes as stripe from unnest(cast(:ids as integer[])) as t (id) order by 1) s
""")
#: The allowance of a period is never below the limit itself, so usage below that share of it has reached nothing.
_NEAR = text(f"""
with watched as materialized (
  select t.*, f.metric_id, f.name as feature
  from unnest(cast(:subscriptions as integer[]), cast(:features as integer[]), cast(:periods as integer[]),
    cast(:least as numeric[])) as t (subscription_id, feature_id, billing_period_id, least)
  join features f on f.id = t.feature_id),
near as materialized (
  select * from watched t where 100 * {USED.format("t", "t.billing_period_id")} >= t.least)
select t.subscription_id, t.feature_id, t.billing_period_id, s.ref as subscription, c.account_id as account,
  t.feature, m.name as metric, m.unit, p.starts_on, p.ends_on, p.starts_at, p.ends_at
from near t join subscriptions s on s.id = t.subscription_id join contracts c on c.id = s.contract_id
join metrics m on m.id = t.metric_id join billing_periods p on p.id = t.billing_period_id
order by 1, 2, 3
""")
_INSERT = text("""
insert into entitlement_alerts (subscription_id, feature_id, billing_period_id, threshold, used, limit_quantity)
select * from unnest(cast(:subscriptions as integer[]), cast(:features as integer[]), cast(:periods as integer[]),
  cast(:thresholds as integer[]), cast(:used as numeric[]), cast(:limits as numeric[])) order by 1, 2, 3, 4
on conflict (subscription_id, feature_id, billing_period_id, threshold) do nothing
returning subscription_id, feature_id, billing_period_id, threshold
""")


@dataclass(frozen=True, slots=True)
class Key:
    """What has alerts of its own: a subscription, a feature and a billing period."""

    subscription_id: int
    feature_id: int
    billing_period_id: int


@dataclass(frozen=True, slots=True)
class Watched:
    """Usage under a limit that is not told in full yet, and a hundred times the least that may have to be told."""

    key: Key
    least: Decimal


@dataclass(frozen=True, slots=True)
class Near:
    """Watched usage that may have reached a threshold, with the words for it."""

    key: Key
    subscription: str
    account: str
    feature: str
    metric: str
    unit: str
    period: Days
    window: Window


def watched(conn: Connection, moved: Sequence[Moved]) -> list[Watched]:
    """The usage of these that is under a limit and of which a threshold is not told yet."""
    values = {
        "subscriptions": [each.subscription_id for each in moved],
        "periods": [each.billing_period_id for each in moved],
        "versions": [each.contract_version_id for each in moved],
        "features": [each.feature_id for each in moved],
    }
    return [Watched(Key(*row[:3]), row.least) for row in conn.execute(_WATCHED, values)]


def lock(conn: Connection, watched: Collection[Watched]) -> None:
    """Let nobody else judge these limits until the transaction ends.

    Two batches that add to different windows do not see each other's usage: the one that waits here sees that of the
    other, which has committed, in its next statement.
    """
    ids = sorted({each.key.subscription_id for each in watched})
    conn.execute(_LOCK, {"class": LOCKS, "stripes": STRIPES, "ids": ids})


def near(conn: Connection, watched: Sequence[Watched]) -> list[Near]:
    """Those of which usage has come to a threshold of the smallest limit that may count."""
    values = {
        "subscriptions": [each.key.subscription_id for each in watched],
        "features": [each.key.feature_id for each in watched],
        "periods": [each.key.billing_period_id for each in watched],
        "least": [each.least for each in watched],
    }
    return [
        Near(
            Key(*row[:3]), row.subscription, row.account, row.feature, row.metric, row.unit,
            Days(row.starts_on, row.ends_on), Window(row.starts_at, row.ends_at),
        )
        for row in conn.execute(_NEAR, values)
    ]  # fmt: skip


def insert(conn: Connection, alerts: Sequence[tuple[Key, int, Allowance]]) -> set[tuple[Key, int]]:
    """Keep that the thresholds were reached; returns those that were not known before."""
    found = conn.execute(
        _INSERT,
        {
            "subscriptions": [each.subscription_id for each, _, _ in alerts],
            "features": [each.feature_id for each, _, _ in alerts],
            "periods": [each.billing_period_id for each, _, _ in alerts],
            "thresholds": [threshold for _, threshold, _ in alerts],
            "used": [left.used for _, _, left in alerts],
            "limits": [left.limit for _, _, left in alerts],
        },
    )
    return {(Key(*row[:3]), row.threshold) for row in found}
