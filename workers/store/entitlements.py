"""What subscriptions may use now: terms, grants and usage of each, found together in one statement."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from domain import entitlements
from domain.entitlement_terms import Limit, Setting, Switch, Terms
from domain.entitlements import LOOK_BACK_PERIODS, Decision, Entitlement, FeatureUnknown, Grant, Holding, Used
from domain.money import ZERO
from domain.periods import EVER, BillingPeriod, Days, MonthlyCycle, Window
from workers.store import entitlement_usage as usage
from workers.store.database import planned_once
from workers.store.entitlement_usage import Unmeasured

#: Features that are listed of one subscription.
FEATURES_MAX = 1_000
#: Questions that are answered together: the planner takes each for the only one, so many would cost their square.
PORTION = 100
#: No billing period that we know of is longer than this.
_MONTH_DAYS_MAX = 31

#: Whether the database reads what metric `m` comes to itself, as a sum over its windows; all else is measured.
SUMMED = "(m.is_plain and m.aggregation <> 'unique_count')"
#: The sum of a metric in a period, over all windows of it.
USED = """(select coalesce(sum(g.quantity), 0) from aggregates g
    where g.subscription_id = {0}.subscription_id and g.billing_period_id = {1} and g.metric_id = {0}.metric_id)"""
#: Terms of a contract version last as long as it does, and no terms longer than their subscription. Only what may leave
#: something over takes a look at periods before the present one. What was measured counts until something has moved,
#: which is until a look is due; of a level, time moves the present period all the while.
_HOLDINGS = text(f"""
with asked as (
  select t.n, t.at, s.id as subscription_id, s.contract_id, s.cycle_id, s.starts_at, s.ends_at, f.id as feature_id,
    f.kind, f.metric_id, case when not {SUMMED} then m.aggregation end as measured,
    m.is_recurring or m.aggregation = 'subscribed' as is_carried, not {SUMMED} and exists (
      select from entitlement_looks l
      where l.subscription_id = s.id and l.feature_id = f.id and l.due_at <= now()) as is_moved
  from unnest(cast(:subscriptions as text[]), cast(:features as text[]), cast(:ats as timestamptz[]))
    with ordinality as t (subscription, feature, at, n)
  join subscriptions s on s.ref = t.subscription join features f on f.name = t.feature
  left join metrics m on m.id = f.metric_id),
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
  null::numeric as number_value, array[c.anchor_day, c.months, c.anchor_month]::integer[] as thresholds, a.measured,
  null::timestamptz as measured_at, case when a.is_carried then array[a.subscription_id, a.feature_id, a.metric_id, 1]
    else array[a.subscription_id, a.feature_id, a.metric_id, 0] end as ids
from asked a join billing_cycles c on c.id = a.cycle_id left join since s on s.n = a.n
union all
select n, 'terms', enforcement, starts_at, ends_at, limit_quantity, rollover_max, 0, is_own, is_on, text_value,
  number_value, thresholds, null, null, null
from terms where starts_at < ends_at
union all
select n, 'grant', name, starts_at, ends_at, quantity, rollover_max, priority, false, null, null, null, null, null,
  null, null
from granted
union all
select a.n, 'period', p.starts_on::text, p.starts_at, p.ends_at, case when a.measured is null
    then {USED.format("a", "p.id")}
    when not a.is_moved and (a.measured <> 'weighted_sum' or p.ends_at <= k.measured_at) then k.quantity end,
  null, 0, false, null, p.ends_on::text, k.quantity, null, null, k.measured_at, null
from asked a left join since s on s.n = a.n cross join lateral (
  select * from billing_periods b where b.cycle_id = a.cycle_id and b.starts_at <= a.at
    and b.ends_at > least(s.starts_at, a.at) order by b.starts_on desc limit {LOOK_BACK_PERIODS + 1}) p
left join entitlement_measures k on a.measured is not null and k.subscription_id = a.subscription_id
  and k.feature_id = a.feature_id and k.billing_period_id = p.id
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
    Raises `FeatureUnknown` if there is no such subscription or feature, `AmountInvalid`, what `usage.measured` raises.
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
    """All that is known of each, in order; None where there is no such subscription or feature.

    Raises what `usage.measured` raises.
    """
    return [
        None if each is None else each.holding(usage.measured(conn, each.unmeasured)) for each in drafts(conn, asked)
    ]


@dataclass(frozen=True, slots=True)
class Draft:
    """A holding of which the usage of some periods is still to be measured."""

    entitlements: Sequence[Entitlement]
    grants: Sequence[Grant]
    periods: Sequence[Used | Unmeasured]

    @property
    def unmeasured(self) -> list[Unmeasured]:
        """The periods that are to be measured, in order."""
        return [each for each in self.periods if isinstance(each, Unmeasured)]

    def holding(self, measured: Iterable[Used]) -> Holding:
        """The holding, with what was measured of those periods."""
        found = iter(measured)
        periods = [next(found) if isinstance(each, Unmeasured) else each for each in self.periods]
        return Holding(self.entitlements, self.grants, periods)


def drafts(conn: Connection, asked: Sequence[Asked]) -> list[Draft | None]:
    """As `holdings`, before anything is measured."""
    return [each for start in range(0, len(asked), PORTION) for each in _portion(conn, asked[start : start + PORTION])]


def _portion(conn: Connection, asked: Sequence[Asked]) -> list[Draft | None]:
    found: list[list[Row[Any]]] = [[] for _ in asked]
    values = {
        "subscriptions": [each.subscription for each in asked],
        "features": [each.feature for each in asked],
        "ats": [each.at for each in asked],
    }
    for row in conn.execute(_HOLDINGS, values):
        found[row.n - 1].append(row)
    return [_draft(rows) for rows in found]


def _draft(rows: Sequence[Row[Any]]) -> Draft | None:
    asked = next((row for row in rows if row.what == "asked"), None)
    if asked is None:
        return None
    return Draft(
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


def _periods(asked: Row[Any], rows: Sequence[Row[Any]]) -> list[Used | Unmeasured]:
    """Every period from the one in which something may first have been left over: without a row there was no usage."""
    kept = {date.fromisoformat(row.name): _part(asked, row) for row in rows if row.what == "period"}
    at, zone, since = asked.ends_at, asked.text_value, asked.starts_at
    if since is None and kept:
        return list(kept.values())
    if since is None or since <= EVER:
        since = min((each.window.starts_at for each in kept.values()), default=at)
    cycle, periods = MonthlyCycle(zone, *asked.thresholds), list[Used | Unmeasured]()
    first = max(min(since, at), at - timedelta(days=_MONTH_DAYS_MAX * cycle.months * LOOK_BACK_PERIODS))
    for period in cycle.periods_from(cycle.period_at(first).days.first_on):
        if period.starts_at > at:
            break
        periods.append(kept.get(period.days.first_on) or _idle(asked, period))
    return periods


def _part(asked: Row[Any], row: Row[Any]) -> Used | Unmeasured:
    """A period as it was found: with its sum, or with what it came to when it was last measured."""
    window = Window(row.starts_at, row.ends_at)
    if row.quantity is not None:
        return Used(window, row.quantity)
    last = None if row.number_value is None else Used(window, row.number_value, row.measured_at)
    days = Days(date.fromisoformat(row.name), date.fromisoformat(row.text_value))
    return _unmeasured(asked, BillingPeriod(asked.text_value, days, window), last)


def _idle(asked: Row[Any], period: BillingPeriod) -> Used | Unmeasured:
    """A period that no usage was ever aggregated in: there is only what carries over."""
    if asked.measured is None or not asked.ids[3]:
        return Used(period.window, ZERO)
    return _unmeasured(asked, period, None)


def _unmeasured(asked: Row[Any], period: BillingPeriod, last: Used | None) -> Unmeasured:
    subscription_id, feature_id, metric_id, _ = asked.ids
    until = min(asked.ends_at, period.ends_at)
    return Unmeasured(subscription_id, feature_id, metric_id, asked.measured, period, until, last)


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
