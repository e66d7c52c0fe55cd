"""Usage under limits that is no plain sum: measured by `domain` of what its windows hold, within bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, text

from domain.entitlements import Used
from domain.metrics import Kept, Metric, Span
from domain.metrics.subscribed import NAME as SUBSCRIBED
from domain.metrics.whole import whole
from domain.money import EXACT, ZERO
from domain.periods import BillingPeriod, Window
from workers.store.measures import VALUES_MAX, ValuesTooMany, metrics

#: Values that a check reads of one period; of more it tells what they came to when they were last looked at.
CHECKED_MAX: Final = 500
_decode = msgspec.json.Decoder(float_hook=Decimal).decode

_ASKED = """unnest(cast(:subscriptions as integer[]), cast(:metrics as integer[]), cast(:starts as timestamptz[]),
  cast(:ends as timestamptz[]), cast(:untils as timestamptz[])) with ordinality
  as t (subscription_id, metric_id, starts_at, ends_at, until, n)"""
#: All windows of the period, whatever their version, lot and dimensions; of earlier ones too, where that carries over.
#: What a level comes to grows with time; all else is what it is if nothing more happens in the period.
_HELD = text(f"""
select t.n, greatest(least(case m.aggregation when 'weighted_sum' then t.until else t.ends_at end, s.ends_at),
  t.starts_at) as until, h.size, h.held::text as held
from {_ASKED} join subscriptions s on s.id = t.subscription_id join metrics m on m.id = t.metric_id
cross join lateral (
  select count(*) as size, json_agg(json_build_array(dimensions, grain_start, value, number::text)) as held from (
    select g.dimensions, case when m.bucket is not null then g.grain_start end as grain_start, v.value,
      coalesce(v.n, g.quantity) as number
    from billing_periods q join aggregates g on g.billing_period_id = q.id and g.subscription_id = s.id
      and g.metric_id = m.id left join aggregate_values v on v.aggregate_id = g.id
    where q.cycle_id = s.cycle_id and q.starts_at <= t.starts_at and (m.is_recurring or q.starts_at = t.starts_at)
    limit :limit) w) h
""")
#: What a subscription has, of which no event tells: what stands at the instant, by the days of its cycle.
_STANDS = text(f"""
select t.n, coalesce((select sum(case when m.property is null then 1 else u.quantity end) from (select 1) one
  left join subscription_quantities u on u.subscription_id = s.id and u.item = m.property
    and u.superseded_at = '9999-12-31 00:00:00+00' and (i.at at time zone y.zone)::date >= u.starts_on
    and (i.at at time zone y.zone)::date < u.ends_on
  where s.starts_at <= i.at and i.at < s.ends_at), 0) as quantity
from {_ASKED} join subscriptions s on s.id = t.subscription_id join billing_cycles y on y.id = s.cycle_id
join metrics m on m.id = t.metric_id
cross join lateral (select least(t.until, t.ends_at - interval '1 microsecond') as at) i
""")
_KEEP = text("""
insert into entitlement_measures (subscription_id, feature_id, billing_period_id, quantity, measured_at)
select t.subscription_id, t.feature_id, b.id, t.quantity, :at
from unnest(cast(:subscriptions as integer[]), cast(:features as integer[]), cast(:starts as timestamptz[]),
  cast(:quantities as numeric[])) as t (subscription_id, feature_id, starts_at, quantity)
join subscriptions s on s.id = t.subscription_id
join billing_periods b on b.cycle_id = s.cycle_id and b.starts_at = t.starts_at order by 1, 2, 3
on conflict (subscription_id, feature_id, billing_period_id) do update
  set quantity = excluded.quantity, measured_at = excluded.measured_at
  where entitlement_measures.measured_at < excluded.measured_at
""")


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A period of which no sum is at hand, up to an instant of it; `last`: what was found when it was last measured."""

    subscription_id: int
    feature_id: int
    metric_id: int
    aggregation: str
    period: BillingPeriod
    until: datetime
    last: Used | None = None

    @property
    def window(self) -> Window:
        """The instants of the period."""
        return self.period.window


def measured(conn: Connection, wanted: Sequence[Unmeasured]) -> list[Used]:
    """What was used in each of these periods of one metric.

    Of more than `CHECKED_MAX` values it is what they came to when they were last looked at, if they were.
    Raises `AggregateNegative`, `ValuesTooMany`.
    """
    if not wanted:
        return []
    if wanted[0].aggregation == SUBSCRIBED:
        rows = conn.execute(_STANDS, _values(wanted)).all()
        quantities = {row.n: row.quantity for row in rows}
        return [Used(each.window, quantities[n]) for n, each in enumerate(wanted, start=1)]
    held = {row.n: row for row in conn.execute(_HELD, {**_values(wanted), "limit": CHECKED_MAX + 1})}
    metric = metrics(conn, [wanted[0].metric_id])[wanted[0].metric_id]
    found = []
    for n, each in enumerate(wanted, start=1):
        if held[n].size <= CHECKED_MAX:
            found.append(Used(each.window, _quantity(metric, each, held[n])))
        else:
            found.append(each.last or Used(each.window, anew(conn, each)))
    return found


def anew(conn: Connection, wanted: Unmeasured) -> Decimal:
    """What was used in the period, of however many values. Raises `AggregateNegative`, `ValuesTooMany`."""
    if wanted.aggregation == SUBSCRIBED:
        return measured(conn, [wanted])[0].quantity
    row = conn.execute(_HELD, {**_values([wanted]), "limit": VALUES_MAX + 1}).one()
    if row.size > VALUES_MAX:
        raise ValuesTooMany(f"more than {VALUES_MAX} values are to be read", windows=1)
    return _quantity(metrics(conn, [wanted.metric_id])[wanted.metric_id], wanted, row)


def keep(conn: Connection, measured: Sequence[tuple[Unmeasured, Decimal]], *, at: datetime) -> None:
    """Keep what was measured at an instant, of periods that are there; nothing measured before replaces it."""
    conn.execute(
        _KEEP,
        {
            "subscriptions": [each.subscription_id for each, _ in measured],
            "features": [each.feature_id for each, _ in measured],
            "starts": [each.window.starts_at for each, _ in measured],
            "quantities": [quantity for _, quantity in measured],
            "at": at,
        },
    )


def _values(wanted: Sequence[Unmeasured]) -> Mapping[str, object]:
    return {
        "subscriptions": [each.subscription_id for each in wanted],
        "metrics": [each.metric_id for each in wanted],
        "starts": [each.window.starts_at for each in wanted],
        "ends": [each.window.ends_at for each in wanted],
        "untils": [each.until for each in wanted],
    }


def _quantity(metric: Metric, wanted: Unmeasured, row: Row[Any]) -> Decimal:
    """What the rows come to: [dimensions, bucket, value or null, how often or how much] each."""
    totals: dict[tuple[str, str | None], Decimal] = {}
    values: dict[tuple[str, str | None], dict[str, int]] = {}
    for dimensions, grain, value, number in _decode(row.held or "[]"):
        key = dimensions, grain
        seen = values.setdefault(key, {})
        if value is None:
            totals[key] = EXACT.add(totals.get(key, ZERO), Decimal(number))
        else:
            seen[value] = seen.get(value, 0) + int(number)
    kept: dict[str, dict[str | None, Kept]] = {}
    for key, seen in values.items():
        kept.setdefault(key[0], {})[key[1]] = Kept() + Kept(totals.get(key, ZERO), seen)
    return whole(metric, kept, Span(wanted.period, row.until))
