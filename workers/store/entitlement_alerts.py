"""Alerts about limits: which entitled usage a batch moved, and that each threshold is told once in a period."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from domain.entitlements import Allowance
from domain.periods import Days, Window
from workers.store.aggregates import Moved
from workers.store.entitlements import SUMMED, USED

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
from moved t join features f on f.id = t.feature_id join metrics m on m.id = f.metric_id and {SUMMED}
cross join lateral (
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
#: What of moved usage is judged by the tick: all that is measured, and usage of a period that is over, which may have
#: left less for the present one.
_LOOK = text(f"""
insert into entitlement_looks (subscription_id, feature_id, billing_period_id)
select distinct t.subscription_id, t.feature_id, t.billing_period_id
from unnest(cast(:subscriptions as integer[]), cast(:periods as integer[]), cast(:features as integer[]))
  as t (subscription_id, billing_period_id, feature_id)
join features f on f.id = t.feature_id join metrics m on m.id = f.metric_id
join billing_periods p on p.id = t.billing_period_id
where (not {SUMMED} or p.ends_at <= now()) and (
  exists (select from entitlements e where e.subscription_id = t.subscription_id and e.feature_id = t.feature_id)
  or exists (select from subscriptions s join contract_versions v on v.contract_id = s.contract_id
    join entitlements e on e.contract_version_id = v.id and e.feature_id = t.feature_id where s.id = t.subscription_id))
order by 1, 2, 3
""")
_LOCK = text("""
select pg_advisory_xact_lock(:class, stripe) from (
  select distinct id % :stripes as stripe from unnest(cast(:ids as integer[])) as t (id) order by 1) s
""")
#: The words for keys of a table.
WORDS = """select t.subscription_id, t.feature_id, t.billing_period_id, s.ref as subscription, c.account_id as account,
  f.name as feature, m.name as metric, m.unit, p.starts_on, p.ends_on, p.starts_at, p.ends_at
from {0} t join subscriptions s on s.id = t.subscription_id join contracts c on c.id = s.contract_id
join features f on f.id = t.feature_id join metrics m on m.id = f.metric_id
join billing_periods p on p.id = t.billing_period_id order by 1, 2, 3"""
#: The allowance of a period is never below the limit itself, so usage below that share of it has reached nothing.
_NEAR = text(f"""
with watched as materialized (
  select t.*, f.metric_id
  from unnest(cast(:subscriptions as integer[]), cast(:features as integer[]), cast(:periods as integer[]),
    cast(:least as numeric[])) as t (subscription_id, feature_id, billing_period_id, least)
  join features f on f.id = t.feature_id),
near as materialized (
  select * from watched t where 100 * {USED.format("t", "t.billing_period_id")} >= t.least)
{WORDS.format("near")}
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
    return [Watched(Key(*row[:3]), row.least) for row in conn.execute(_WATCHED, _values(moved))]


def look_later(conn: Connection, moved: Sequence[Moved]) -> None:
    """Owe a look at what of the usage is under a limit and is not judged at once."""
    conn.execute(_LOOK, _values(moved))


def _values(moved: Sequence[Moved]) -> dict[str, list[int]]:
    return {
        "subscriptions": [each.subscription_id for each in moved],
        "periods": [each.billing_period_id for each in moved],
        "versions": [each.contract_version_id for each in moved],
        "features": [each.feature_id for each in moved],
    }


def lock(conn: Connection, subscriptions: Collection[int]) -> datetime:
    """Let nobody else judge limits of these until the transaction ends; returns the instant to judge by.

    Two batches that add to different windows do not see each other's usage: the one that waits here sees that of the
    other, which has committed, in its next statement. Whoever comes later judges by a later instant, so that of usage
    and of the end of a grant the later one tells.
    """
    conn.execute(_LOCK, {"class": LOCKS, "stripes": STRIPES, "ids": sorted(set(subscriptions))})
    return conn.execute(text("select clock_timestamp()")).scalar_one()  # type: ignore[no-any-return]


def near(conn: Connection, watched: Sequence[Watched]) -> list[Near]:
    """Those of which usage has come to a threshold of the smallest limit that may count."""
    values = {
        "subscriptions": [each.key.subscription_id for each in watched],
        "features": [each.key.feature_id for each in watched],
        "periods": [each.key.billing_period_id for each in watched],
        "least": [each.least for each in watched],
    }
    return [near_of(row) for row in conn.execute(_NEAR, values)]


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


def near_of(row: Row[Any]) -> Near:
    """The usage of a row of `WORDS`."""
    return Near(
        Key(row.subscription_id, row.feature_id, row.billing_period_id), row.subscription, row.account, row.feature,
        row.metric, row.unit, Days(row.starts_on, row.ends_on), Window(row.starts_at, row.ends_at),
    )  # fmt: skip
