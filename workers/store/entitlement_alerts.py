"""Alerts about limits: which entitled usage a batch moved, and that each threshold is told once in a period."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from domain.entitlements import Allowance
from domain.periods import Days, Window
from workers.store.entitlements import USED

#: The class of the advisory locks that whoever judges a limit holds, and how many there are.
LOCKS = 7202
STRIPES = 64

#: All entitlements to a metered feature that may count for usage of the subscription; which one does, `domain` says.
_LIMITS = """(
  select e.limit_quantity, x.threshold from entitlements e, unnest(e.thresholds) as x (threshold)
  where e.subscription_id = {0}.subscription_id and e.feature_id = {0}.feature_id
    and e.superseded_at = '9999-12-31 00:00:00+00'
  union all
  select e.limit_quantity, x.threshold from subscriptions s join contract_versions v on v.contract_id = s.contract_id
  join entitlements e on e.contract_version_id = v.id and e.feature_id = {0}.feature_id
  cross join unnest(e.thresholds) as x (threshold)
  where s.id = {0}.subscription_id and v.superseded_at = '9999-12-31 00:00:00+00')"""
#: Usage of metrics that no feature limits, and of subscriptions that have no limit, falls out by look-ups of indexes.
_TOUCHED = text(f"""
with touched as materialized (
  select distinct a.subscription_id, f.id as feature_id, a.billing_period_id
  from attributions a join features f on f.metric_id = a.metric_id
  where a.batch_no = any(cast(:batches as bigint[])))
select t.subscription_id, t.feature_id, t.billing_period_id from touched t
where exists (select from {_LIMITS.format("t")} l where not exists (
  select from entitlement_alerts o where o.subscription_id = t.subscription_id and o.feature_id = t.feature_id
    and o.billing_period_id = t.billing_period_id and o.threshold = l.threshold))
order by 1, 2, 3
""")
_LOCK = text("""
select pg_advisory_xact_lock(:class, stripe) from (
  select distinct id % :stripes as stripe from unnest(cast(:ids as integer[])) as t (id) order by 1) s
""")
#: The allowance of a period is never below the limit itself, so usage below that share of it has reached nothing.
_NEAR = text(f"""
with touched as (
  select t.*, f.metric_id, f.name as feature
  from unnest(cast(:subscriptions as integer[]), cast(:features as integer[]), cast(:periods as integer[]))
    as t (subscription_id, feature_id, billing_period_id)
  join features f on f.id = t.feature_id)
select t.subscription_id, t.feature_id, t.billing_period_id, s.ref as subscription, c.account_id as account, t.feature,
  m.name as metric, m.unit, p.starts_on, p.ends_on, p.starts_at, p.ends_at
from touched t join subscriptions s on s.id = t.subscription_id join contracts c on c.id = s.contract_id
join metrics m on m.id = t.metric_id join billing_periods p on p.id = t.billing_period_id
where 100 * {USED.format("t", "t.billing_period_id")} >= (
  select min(l.limit_quantity * l.threshold) from {_LIMITS.format("t")} l)
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
class Watched:
    """Usage under a limit that is not told in full yet: a subscription, a feature and a billing period."""

    subscription_id: int
    feature_id: int
    billing_period_id: int


@dataclass(frozen=True, slots=True)
class Near:
    """Watched usage that may have reached a threshold, with the words for it."""

    watched: Watched
    subscription: str
    account: str
    feature: str
    metric: str
    unit: str
    period: Days
    window: Window


def touched(conn: Connection, batches: Sequence[int]) -> list[Watched]:
    """The usage under limits that these batches moved and of which a threshold is not told yet."""
    return [Watched(*row) for row in conn.execute(_TOUCHED, {"batches": list(batches)})]


def lock(conn: Connection, watched: Collection[Watched]) -> None:
    """Let nobody else judge these limits until the transaction ends.

    Two batches that add to different windows do not see each other's usage: the one that waits here sees that of the
    other, which has committed, in its next statement.
    """
    ids = sorted({each.subscription_id for each in watched})
    conn.execute(_LOCK, {"class": LOCKS, "stripes": STRIPES, "ids": ids})


def near(conn: Connection, watched: Sequence[Watched]) -> list[Near]:
    """Those of which usage has come to a threshold of the smallest limit that may count."""
    values = {
        "subscriptions": [each.subscription_id for each in watched],
        "features": [each.feature_id for each in watched],
        "periods": [each.billing_period_id for each in watched],
    }
    return [
        Near(
            Watched(*row[:3]), row.subscription, row.account, row.feature, row.metric, row.unit,
            Days(row.starts_on, row.ends_on), Window(row.starts_at, row.ends_at),
        )
        for row in conn.execute(_NEAR, values)
    ]  # fmt: skip


def insert(conn: Connection, alerts: Sequence[tuple[Watched, int, Allowance]]) -> set[tuple[Watched, int]]:
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
    return {(Watched(*row[:3]), row.threshold) for row in found}
