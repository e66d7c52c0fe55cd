"""Looks: limits that are judged by themselves, since not usage has changed but terms, or usage must be measured."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from workers.store import periods
from workers.store.entitlement_alerts import WORDS, Near, near_of
from workers.store.entitlements import SUMMED

_DUE = text(f"""
with found as (
  select subscription_id, feature_id from entitlement_looks where due_at <= now()
  order by due_at, id limit :limit for update skip locked)
select distinct t.subscription_id, t.feature_id, {SUMMED} as is_summed, m.is_recurring or m.aggregation = 'subscribed'
  as goes_on, m.aggregation = 'weighted_sum' as is_moved_by_time
from found t join features f on f.id = t.feature_id join metrics m on m.id = f.metric_id order by 1, 2
""")
_PAIRS = "unnest(cast(:subscriptions as integer[]), cast(:features as integer[])) as t (subscription_id, feature_id)"
#: A look without a period is at all of them.
_SETTLE = text(f"""
with gone as (
  delete from entitlement_looks l using {_PAIRS}
  where l.subscription_id = t.subscription_id and l.feature_id = t.feature_id and l.due_at <= now()
  returning l.id, l.subscription_id, l.feature_id, l.billing_period_id),
since as materialized (
  select g.subscription_id, g.feature_id, min(coalesce(p.starts_at, '-infinity')) as starts_at
  from gone g left join billing_periods p on p.id = g.billing_period_id group by 1, 2),
forgotten as (
  delete from entitlement_measures k using since s, billing_periods p
  where k.subscription_id = s.subscription_id and k.feature_id = s.feature_id and p.id = k.billing_period_id
    and p.starts_at >= s.starts_at)
select subscription_id, feature_id, billing_period_id, id from gone
""")
_GOING_ON = text("""
select distinct s.cycle_id from subscriptions s where s.id = any(cast(:subscriptions as integer[]))
  and not exists (select from billing_periods b
    where b.cycle_id = s.cycle_id and b.starts_at <= :at and b.ends_at > :at)
""")
_AT = text(f"""
with asked as (
  select t.subscription_id, t.feature_id, b.id as billing_period_id from {_PAIRS}
  join subscriptions s on s.id = t.subscription_id
  join billing_periods b on b.cycle_id = s.cycle_id and b.starts_at <= :at and b.ends_at > :at
  union
  select t.subscription_id, t.feature_id, t.billing_period_id
  from unnest(cast(:moved_subscriptions as integer[]), cast(:moved_features as integer[]), cast(:moved as integer[]))
    as t (subscription_id, feature_id, billing_period_id))
{WORDS.format("asked")}
""")
#: One look at an instant is enough; nobody else schedules looks of these, the caller holds them.
_SCHEDULE = text("""
insert into entitlement_looks (subscription_id, feature_id, billing_period_id, due_at)
select distinct t.*
from unnest(cast(:subscriptions as integer[]), cast(:features as integer[]), cast(:periods as integer[]),
  cast(:dues as timestamptz[])) as t (subscription_id, feature_id, billing_period_id, due_at)
where not exists (select from entitlement_looks l where l.subscription_id = t.subscription_id
  and l.feature_id = t.feature_id and l.due_at = t.due_at)
order by 1, 2, 4
""")


@dataclass(frozen=True, slots=True)
class Due:
    """A limit to look at; `goes_on`: there is usage in a period without any event of it."""

    subscription_id: int
    feature_id: int
    is_summed: bool
    goes_on: bool
    is_moved_by_time: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """A look that is taken: of which limit, and the period whose usage moved, if one was named."""

    subscription_id: int
    feature_id: int
    billing_period_id: int | None
    look_id: int


@dataclass(frozen=True, slots=True)
class Next:
    """When a limit is to be looked at again, and the first period that may hold something else then."""

    near: Near
    due_at: datetime


def due(conn: Connection, *, limit: int) -> list[Due]:
    """The limits of so many looks that are due, those that are due longest first; others who ask now pass them over."""
    return [Due(*row) for row in conn.execute(_DUE, {"limit": limit})]


def settle(conn: Connection, found: Collection[Due]) -> list[Settled]:
    """Take all looks at these limits that are due, and forget what was measured of periods that have moved."""
    return [Settled(*row) for row in conn.execute(_SETTLE, _pairs(found))]


def near(conn: Connection, found: Collection[Due], settled: Collection[Settled], *, at: datetime) -> list[Near]:
    """Each limit in the period of the instant, and in those whose usage moved."""
    going_on = [each.subscription_id for each in found if each.goes_on]
    for cycle_id in conn.execute(_GOING_ON, {"subscriptions": going_on, "at": at}).scalars().all():
        periods.ensure(conn, cycle_id, at, at)
    moved = [each for each in settled if each.billing_period_id is not None]
    values = {
        **_pairs(found),
        "at": at,
        "moved_subscriptions": [each.subscription_id for each in moved],
        "moved_features": [each.feature_id for each in moved],
        "moved": [each.billing_period_id for each in moved],
    }
    return [near_of(row) for row in conn.execute(_AT, values)]


def schedule(conn: Connection, wanted: Sequence[Next]) -> None:
    """Owe looks at these instants."""
    conn.execute(
        _SCHEDULE,
        {
            "subscriptions": [each.near.key.subscription_id for each in wanted],
            "features": [each.near.key.feature_id for each in wanted],
            "periods": [each.near.key.billing_period_id for each in wanted],
            "dues": [each.due_at for each in wanted],
        },
    )


def _pairs(found: Collection[Due]) -> dict[str, list[int]]:
    return {
        "subscriptions": [each.subscription_id for each in found],
        "features": [each.feature_id for each in found],
    }
