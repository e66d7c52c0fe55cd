"""Estimated losses: what the events that open gaps miss would have been worth, kept with their exceptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from domain.completeness import ESTIMATED_LOSS, GAP
from domain.errors import Rejection
from domain.losses import Loss, Reported, Window, estimated_loss
from domain.money import ZERO, Currency
from domain.prices import Measured, Price, parse_price
from workers.store import measures
from workers.store.measures import of_quantity

#: Gaps that are estimated in one look, the newest first; windows that are read for those of one source and period.
GAPS_MAX = 20_000
WINDOWS_MAX = 50_000
_encode = msgspec.json.Encoder(decimal_format="string", order="sorted").encode

_GAPS = text(f"""
select x.id, x.source_id, cast(x.quantity as bigint) as missing,
  array(select b.id from billing_periods b where x.happened_at < b.ends_at
    and coalesce(x.happened_until, x.happened_at) >= b.starts_at order by b.id) as periods
from exceptions x where x.code = '{GAP}' and x.state = 'open' order by x.id desc limit :gaps
""")
#: The hours of the periods together; usage of a source within them is what its events come to.
_HULL = text("""
select min(starts_at) as starts_at, max(ends_at) as ends_at from billing_periods
where id = any(cast(:periods as integer[]))
""")
_REPORTED = text("""
select hop, metric_id, cast(sum(events) as bigint) as events from control_totals
where source_id = :source and hop in ('accepted', 'billable') and hour >= :starts_at and hour < :ends_at
group by hop, metric_id
""")
#: Quantities so far over all lots, by what is priced together, of the subscriptions that the source leads to.
_WINDOWS = text("""
with fed as (
  select distinct subscription_id from mappings
  where source_id = :source and superseded_at > now() and starts_at < :ends_at and ends_at > :starts_at),
held as (
  select g.metric_id, g.contract_version_id, g.subscription_id, g.billing_period_id, g.dimensions,
    sum(g.quantity) as quantity, sum(g.events) as events, array_agg(g.id) as ids, max(g.lot) as lot
  from aggregates g join fed using (subscription_id)
  where g.billing_period_id = any(cast(:periods as integer[])) group by 1, 2, 3, 4, 5)
select h.metric_id, c.account_id, c.legal_entity_id, c.currency, p.terms, h.events,
  h.subscription_id, h.billing_period_id, h.contract_version_id, h.dimensions, h.lot,
  case when not m.is_plain then null when m.aggregation = 'unique_count' then (select count(*) from (
      select v.value from aggregate_values v where v.aggregate_id = any(h.ids) group by v.value having sum(v.n) > 0) d)
    else h.quantity end as quantity
from held h join metrics m on m.id = h.metric_id
join contract_versions v on v.id = h.contract_version_id join contracts c on c.id = v.contract_id
left join prices p on p.contract_version_id = h.contract_version_id and p.metric_id = h.metric_id
order by h.metric_id, h.subscription_id, h.billing_period_id, h.contract_version_id, h.dimensions limit :windows
""")
_KEEP = text(f"""
update exceptions x set money_at_risk = t.money, currency = t.currency,
  basis = case when t.money is not null then '{ESTIMATED_LOSS}' end,
  account_id = t.account_id, legal_entity_id = t.legal_entity_id, facts = x.facts || t.facts
from (select * from unnest(cast(:ids as bigint[]), cast(:money as numeric[]), cast(:currencies as text[]),
    cast(:accounts as text[]), cast(:entities as text[]), cast(:facts as jsonb[]))
  as u (id, money, currency, account_id, legal_entity_id, facts)) t
where x.id = t.id and x.state = 'open' and (x.facts -> 'estimated_loss', x.account_id, x.legal_entity_id)
  is distinct from (t.facts -> 'estimated_loss', t.account_id, t.legal_entity_id)
""")


def estimate(conn: Connection) -> None:
    """Keep with every open gap what its missing events would cost at the prices in force; the caller holds the lock."""
    found = conn.execute(_GAPS, {"gaps": GAPS_MAX}).all()
    basis = {key: _basis(conn, *key) for key in sorted({(row.source_id, tuple(row.periods)) for row in found})}
    losses = [
        (row.id, estimated_loss(row.missing, *basis[row.source_id, tuple(row.periods)])) for row in reversed(found)
    ]
    if losses:
        conn.execute(_KEEP, _values(losses))


def _values(losses: Sequence[tuple[int, Loss]]) -> Mapping[str, list[object]]:
    """One amount fits into the columns; where the source is billed in several currencies they stand in the facts."""
    single = [next(iter(loss.money.items())) if len(loss.money) == 1 else (None, None) for _, loss in losses]
    return {
        "ids": [id_ for id_, _ in losses],
        "money": [amount for _, amount in single],
        "currencies": [currency for currency, _ in single],
        "accounts": [loss.account_id for _, loss in losses],
        "entities": [loss.legal_entity_id for _, loss in losses],
        "facts": [_encode({"estimated_loss": loss.money}).decode() for _, loss in losses],
    }


def _basis(conn: Connection, source_id: int, periods: Sequence[int]) -> tuple[Reported, list[Window]]:
    """What the source has reported in the periods, and the windows that it feeds there."""
    hull = conn.execute(_HULL, {"periods": list(periods)}).one()
    if hull.starts_at is None:
        return Reported(0, {}), []
    values: dict[str, Any] = {"source": source_id, "starts_at": hull.starts_at, "ends_at": hull.ends_at}
    counted = conn.execute(_REPORTED, values).all()
    reported = Reported(
        sum(row.events for row in counted if row.hop == "accepted"),
        {row.metric_id: row.events for row in counted if row.hop == "billable"},
    )
    found = conn.execute(_WINDOWS, {**values, "periods": list(periods), "windows": WINDOWS_MAX}).all()
    kept = iter(measures.estimated(conn, [_asked(row) for row in found if row.quantity is None]))
    return reported, [
        _window(row, next(kept) if row.quantity is None else of_quantity(Decimal(row.quantity), "")) for row in found
    ]


def _window(row: Row[Any], measured: Measured | None) -> Window:
    """A window with its price, or without one if nothing is known of its quantity."""
    price = None if measured is None else _price(row.terms)
    quantity = ZERO if measured is None else measured.quantity
    return Window(
        row.metric_id, row.account_id, row.legal_entity_id, Currency(row.currency), price, quantity, int(row.events)
    )


def _asked(row: Row[Any]) -> measures.Asked:
    return measures.Asked(
        row.subscription_id, row.billing_period_id, row.contract_version_id, row.metric_id, row.dimensions, row.lot
    )


def _price(terms: Mapping[str, Any] | None) -> Price | None:
    """The price of terms; None without any, or if this version of the program cannot read them."""
    if terms is None:
        return None
    try:
        return parse_price(terms)
    except Rejection:
        return None


@dataclass(frozen=True, slots=True)
class Losses:
    """What open gaps come to: how many, the events they miss, by currency what is lost, and how many are unknown."""

    gaps: int
    missing: int
    money: Mapping[str, Decimal]
    unknown: int
    since: datetime | None = None


_SUMS = text(f"""
with open_gaps as (select id, quantity, opened_at, coalesce(facts -> 'estimated_loss', '{{}}') as loss from exceptions
  where code = '{GAP}' and state = 'open' and (cast(:source as integer) is null or source_id = :source))
select count(*) as gaps, coalesce(sum(quantity), 0) as missing, min(opened_at) as since,
  count(*) filter (where loss = '{{}}') as unknown,
  (select coalesce(jsonb_object_agg(currency, amount), '{{}}') from (
    select m.key as currency, sum(cast(m.value as numeric))::text as amount
    from open_gaps g cross join jsonb_each_text(g.loss) m group by 1) s) as money
from open_gaps
""")


def losses(conn: Connection, source_id: int | None = None) -> Losses:
    """What the open gaps of a source, or of all, come to; estimates for people, never booked."""
    row = conn.execute(_SUMS, {"source": source_id}).one()
    money = {currency: Decimal(amount) for currency, amount in sorted(row.money.items())}
    return Losses(row.gaps, int(row.missing), money, row.unknown, row.since)
