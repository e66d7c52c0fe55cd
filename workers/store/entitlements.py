"""What subscriptions may use now: terms, grants and usage of each, found together in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from domain import entitlements
from domain.entitlement_terms import Limit, Setting, Switch, Terms
from domain.entitlements import LOOK_BACK_PERIODS, Decision, Entitlement, FeatureUnknown, Grant, Holding, Used
from domain.money import ZERO
from domain.periods import EVER, MonthlyCycle, Window
from workers.store.database import planned_once

#: Features that are listed of one subscription.
FEATURES_MAX = 1_000
#: Questions that are answered together: the planner takes each for the only one, so many would cost their square.
PORTION = 100
#: No billing period that we know of is longer than this.
_MONTH_DAYS_MAX = 31

#: The quantity of a metric in a period, over all windows of it. A distinct value counts once in all of them.
USED = """case (select aggregation from metrics where id = {0}.metric_id) when 'unique_count' then (
    select count(*) from (select v.value from aggregates g join aggregate_values v on v.aggregate_id = g.id
      where g.subscription_id = {0}.subscription_id and g.billing_period_id = {1} and g.metric_id = {0}.metric_id
      group by v.value having sum(v.n) > 0) d)
  else (select coalesce(sum(g.quantity), 0) from aggregates g
    where g.subscription_id = {0}.subscription_id and g.billing_period_id = {1} and g.metric_id = {0}.metric_id) end"""
#: Terms of a contract version last as long as it does, and no terms longer than their subscription. Only what may leave
#: something over takes a look at periods before the present one.
_HOLDINGS = text(f"""
with asked as (
  select t.n, t.at, s.id as subscription_id, s.contract_id, s.cycle_id, s.starts_at, s.ends_at, f.id as feature_id,
    f.kind, f.metric_id
  from unnest(cast(:subscriptions as text[]), cast(:features as text[]), cast(:ats as timestamptz[]))
    with ordinality as t (subscription, feature, at, n)
  join subscriptions s on s.ref = t.subscription join features f on f.name = t.feature),
terms as (
  select a.n, true as is_own, greatest(e.starts_at, a.starts_at) as starts_at, least(e.ends_at, a.ends_at) as ends_at,
    e.is_on, e.text_value, e.number_value, e.limit_quantity, e.enforcement, e.rollover_max, e.thresholds
  from asked a join entitlements e on e.subscription_id = a.subscription_id and e.feature_id = a.feature_id
  where e.superseded_at = '9999-12-31 00:00:00+00'
  union all
  select a.n, false, greatest(v.starts_at, a.starts_at), least(v.ends_at, a.ends_at),
    e.is_on, e.text_value, e.number_value, e.limit_quantity, e.enforcement, e.rollover_max, e.thresholds
  from asked a join contract_versions v on v.contract_id = a.contract_id
    and v.superseded_at = '9999-12-31 00:00:00+00'
  join entitlements e on e.contract_version_id = v.id and e.feature_id = a.feature_id),
granted as (
  select a.n, g.name, g.quantity, g.priority, g.starts_at, g.ends_at, g.rollover_max
  from asked a join entitlement_grants g on g.subscription_id = a.subscription_id and g.feature_id = a.feature_id
  where g.superseded_at = '9999-12-31 00:00:00+00' and g.starts_at <= a.at),
since as (
  select n, min(starts_at) as starts_at from (
    select n, starts_at from terms where rollover_max > 0
    union all select n, starts_at from granted where rollover_max is distinct from 0) s group by n)
select a.n, 'asked' as what, a.kind as name, s.starts_at, a.at as ends_at, null::numeric as quantity,
  null::numeric as rollover_max, 0 as priority, false as is_own, null::boolean as is_on, c.zone as text_value,
  null::numeric as number_value, array[c.anchor_day, c.months, c.anchor_month]::integer[] as thresholds
from asked a join billing_cycles c on c.id = a.cycle_id left join since s on s.n = a.n
union all
select n, 'terms', enforcement, starts_at, ends_at, limit_quantity, rollover_max, 0, is_own, is_on, text_value,
  number_value, thresholds
from terms where starts_at < ends_at
union all
select n, 'grant', name, starts_at, ends_at, quantity, rollover_max, priority, false, null, null, null, null
from granted
union all
select a.n, 'period', p.starts_on::text, p.starts_at, p.ends_at, {USED.format("a", "p.id")}, null, 0, false, null, null,
  null, null
from asked a left join since s on s.n = a.n cross join lateral (
  select * from billing_periods b where b.cycle_id = a.cycle_id and b.starts_at <= a.at
    and b.ends_at > least(s.starts_at, a.at) order by b.starts_on desc limit {LOOK_BACK_PERIODS + 1}) p
where a.kind = 'metered'
""")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: what the subscription may use of the feature at the instant."""

    subscription: str
    feature: str
    at: datetime


def check(
    conn: Connection, subscription: str, feature: str, at: datetime, *, amount: Decimal | None = None
) -> Decision:
    """Whether the subscription may use the feature at the instant, as far as usage has been aggregated.

    Quick on a connection that is kept and whose transactions commit: a rollback makes psycopg forget the statement.
    Raises `FeatureUnknown` if there is no such subscription or feature, and `AmountInvalid`.
    """
    with planned_once(conn):
        (holding,) = holdings(conn, [Asked(subscription, feature, at)])
    if holding is None:
        raise FeatureUnknown(
            f"there is no subscription {subscription!r}, or no feature {feature!r}",
            subscription=subscription,
            feature=feature,
        )
    return entitlements.check(holding, at=at, amount=amount)


def holdings(conn: Connection, asked: Sequence[Asked]) -> list[Holding | None]:
    """All that is known of each, in order; None where there is no such subscription or feature."""
    return [each for start in range(0, len(asked), PORTION) for each in _portion(conn, asked[start : start + PORTION])]


def _portion(conn: Connection, asked: Sequence[Asked]) -> list[Holding | None]:
    found: list[list[Row[Any]]] = [[] for _ in asked]
    values = {
        "subscriptions": [each.subscription for each in asked],
        "features": [each.feature for each in asked],
        "ats": [each.at for each in asked],
    }
    for row in conn.execute(_HOLDINGS, values):
        found[row.n - 1].append(row)
    return [_holding(rows) for rows in found]


def _holding(rows: Sequence[Row[Any]]) -> Holding | None:
    asked = next((row for row in rows if row.what == "asked"), None)
    if asked is None:
        return None
    return Holding(
        [
            Entitlement(_terms(row), Window(row.starts_at, row.ends_at), row.is_own)
            for row in rows
            if row.what == "terms"
        ],
        [
            Grant(row.name, row.quantity, row.priority, Window(row.starts_at, row.ends_at), row.rollover_max)
            for row in rows
            if row.what == "grant"
        ],
        _periods(asked, rows) if asked.name == "metered" else (),
    )


def _terms(row: Row[Any]) -> Terms:
    if row.quantity is not None:
        return Limit(row.quantity, row.name, row.rollover_max, tuple(row.thresholds))
    if row.is_on is not None:
        return Switch(row.is_on)
    return Setting(row.number_value if row.text_value is None else row.text_value)


def _periods(asked: Row[Any], rows: Sequence[Row[Any]]) -> list[Used]:
    """Every period from the one in which something may first have been left over: without a row there was no usage."""
    kept: Mapping[date, Used] = {
        date.fromisoformat(row.name): Used(Window(row.starts_at, row.ends_at), row.quantity)
        for row in rows
        if row.what == "period"
    }
    at, zone, since = asked.ends_at, asked.text_value, asked.starts_at
    if since is None and kept:
        return list(kept.values())
    if since is None or since <= EVER:
        since = min((each.window.starts_at for each in kept.values()), default=at)
    cycle, periods = MonthlyCycle(zone, *asked.thresholds), list[Used]()
    first = max(min(since, at), at - timedelta(days=_MONTH_DAYS_MAX * cycle.months * LOOK_BACK_PERIODS))
    for period in cycle.periods_from(cycle.period_at(first).days.first_on):
        if period.starts_at > at:
            break
        periods.append(kept.get(period.days.first_on, Used(period.window, ZERO)))
    return periods


_ENTITLED = text("""
select f.name, f.kind, k.unit, f.meaning from subscriptions s join features f on exists (
    select from entitlements e where e.subscription_id = s.id and e.feature_id = f.id)
  or exists (select from entitlements e join contract_versions v on v.id = e.contract_version_id
    where v.contract_id = s.contract_id and e.feature_id = f.id)
left join metrics k on k.id = f.metric_id
where s.ref = :subscription order by f.name limit :limit
""")


@dataclass(frozen=True, slots=True)
class Listed:
    """A feature that a subscription has, or once had, terms for, and what they come to."""

    feature: str
    kind: str
    unit: str | None
    meaning: str
    decision: Decision


def is_subscription(conn: Connection, ref: str) -> bool:
    """Whether there is a subscription of that name."""
    return bool(conn.execute(text("select exists (select from subscriptions where ref = :ref)"), {"ref": ref}).scalar())


def listed(conn: Connection, subscription: str, at: datetime) -> list[Listed]:
    """The features of a subscription by name, at most `FEATURES_MAX`; none if there is no such subscription."""
    found = conn.execute(_ENTITLED, {"subscription": subscription, "limit": FEATURES_MAX}).all()
    held = holdings(conn, [Asked(subscription, row.name, at) for row in found])
    return [
        Listed(row.name, row.kind, row.unit, row.meaning, entitlements.check(holding, at=at))
        for row, holding in zip(found, held, strict=True)
        if holding is not None
    ]
