"""Figures of the whole line at one moment: what Prometheus scrapes and `tallyline status` shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from domain.errors import Rejection
from domain.exceptions import HOURS
from domain.money import ZERO, Currency, Money
from domain.prices import Measured, parse_price
from domain.rating import correction, rate
from workers.store import measures
from workers.store.exception_groups import CODE_TABLE, code_values
from workers.store.fates import FATES
from workers.store.measures import of_quantity

#: Windows that a preview of unbilled money rates; beyond this it would cost the database more than it tells.
PREVIEWED_MAX = 200_000


class PreviewTooLarge(Exception):
    """More windows are unbilled than a preview rates."""


def events(conn: Connection) -> list[tuple[str, int]]:
    """(fate, events) since the beginning: parsed, accepted, duplicate, refused; of those whose hour could be read."""
    found = conn.execute(
        text("""select hop, sum(events)::bigint from control_totals where metric_id = 0
             and hop in ('parsed', 'accepted', 'duplicate', 'refused') group by hop order by hop""")
    )
    return [(row[0], row[1]) for row in found]


def refused(conn: Connection) -> list[tuple[str, int]]:
    """(code, refusals) of validate, repeats counted; what never came was not refused."""
    found = conn.execute(
        text("""select code, sum(seen)::bigint from exceptions
             where step = 'validate' and code <> 'sequence_gap' group by code order by code""")
    )
    return [(row[0], row[1]) for row in found]


def open_exceptions(conn: Connection) -> list[tuple[str, str, int]]:
    """(step, code, exceptions) that wait for a person."""
    found = conn.execute(
        text("select step, code, count(*) from exceptions where state = 'open' group by step, code order by 1, 2")
    )
    return [(row[0], row[1], row[2]) for row in found]


_OVERDUE = text(f"""
select x.step, x.code, count(*) filter (where coalesce(x.deadline_at,
  x.opened_at + make_interval(hours => coalesce(k.hours, {HOURS["medium"]}))) < now())
from exceptions x left join {CODE_TABLE} on k.name = x.code where x.state = 'open' group by 1, 2 order by 1, 2
""")


def overdue_exceptions(conn: Connection) -> list[tuple[str, str, int]]:
    """(step, code, open exceptions that are past their deadline), 0 where none is."""
    return [(row[0], row[1], row[2]) for row in conn.execute(_OVERDUE, code_values())]


def lags(conn: Connection) -> list[tuple[str, float]]:
    """(step, seconds) since the oldest work that is still owed was inserted."""
    found = conn.execute(
        text("""select step, extract(epoch from now() - min(created_at))::float8 from work where state = 'ready'
             group by step order by step""")
    )
    return [(row[0], row[1]) for row in found]


def dead_work(conn: Connection) -> list[tuple[str, int]]:
    """(step, rows) that a person must act on."""
    found = conn.execute(text("select step, count(*) from work where state = 'dead' group by step order by step"))
    return [(row[0], row[1]) for row in found]


def erp_postings(conn: Connection) -> list[tuple[str, str, int]]:
    """(ERP connection, state, documents)."""
    found = conn.execute(text("select connection_id, state, count(*) from erp_postings group by 1, 2 order by 1, 2"))
    return [(row[0], row[1], row[2]) for row in found]


@dataclass(frozen=True, slots=True)
class EntityMoney:
    """An amount of one legal entity in one currency."""

    legal_entity: str
    currency: str
    amount: Decimal


#: Null where the quantity is measured (`measures`).
_COUNTED = """case when not m.is_plain then null when m.aggregation = 'unique_count' then (
    select count(*) from (select v.value from aggregate_values v where v.aggregate_id = any(k.{ids})
      group by v.value having sum(v.n) <> 0) d) else k.{quantity} end"""
_UNBILLED = text(f"""
with {FATES},
kept as (
  select g.subscription_id, g.billing_period_id, g.metric_id, g.contract_version_id, g.dimensions, max(g.lot) as lot,
    sum(g.quantity) as quantity, array_agg(g.id) as ids, bool_or(g.lot <= s.lot) as is_stuck,
    coalesce(sum(g.quantity) filter (where g.lot <= s.lot), 0) as stuck_quantity,
    coalesce(array_agg(g.id) filter (where g.lot <= s.lot), '{{}}') as stuck_ids, bool_or(s.is_unrated) as is_unrated,
    max(s.lot) as stuck_lot
  from aggregates g left join stuck s on s.subscription_id = g.subscription_id
    and s.billing_period_id = g.billing_period_id group by 1, 2, 3, 4, 5),
lined as (select subscription_id, billing_period_id, metric_id, contract_version_id, dimensions, max(lot) as lot
  from spans group by 1, 2, 3, 4, 5)
select c.legal_entity_id, c.currency, p.terms, k.subscription_id, k.billing_period_id, k.contract_version_id,
  k.metric_id, k.dimensions, k.lot, k.stuck_lot, coalesce(k.is_stuck, false) as is_stuck, m.is_plain,
  {_COUNTED.format(ids="ids", quantity="quantity")} as quantity,
  case when k.is_stuck then {_COUNTED.format(ids="stuck_ids", quantity="stuck_quantity")} end as stuck_quantity,
  coalesce(k.is_unrated, false) as is_unrated,
  (select coalesce(sum(coalesce(l.asked, l.net)), 0) from invoice_lines l join rated_usages r on r.id = l.rated_usage_id
    join invoices i on i.id = l.invoice_id and i.state <> 'void'
    where l.subscription_id = k.subscription_id and l.metric_id = k.metric_id and l.price_id = p.id
      and r.billing_period_id = k.billing_period_id and r.dimensions = k.dimensions) as billed
from kept k left join lined n using (subscription_id, billing_period_id, metric_id, contract_version_id, dimensions)
join contract_versions v on v.id = k.contract_version_id join contracts c on c.id = v.contract_id
join metrics m on m.id = k.metric_id
join prices p on p.contract_version_id = k.contract_version_id and p.metric_id = k.metric_id
where k.lot > coalesce(n.lot, 0) limit :limit
""")


@dataclass(frozen=True, slots=True)
class Preview:
    """What usage without a document would bill today, before tax: what is on its way, and what stands still.

    `unpriced` windows are worth more than is told here: they cannot be measured, or their price refuses them.
    """

    unbilled: list[EntityMoney]
    stuck: list[EntityMoney]
    unpriced: int


def preview(conn: Connection) -> Preview:
    """Rate what no document holds yet, never booked; no amount is in both parts. Raises `PreviewTooLarge`."""
    found = conn.execute(_UNBILLED, {"limit": PREVIEWED_MAX + 1}).all()
    if len(found) > PREVIEWED_MAX:
        raise PreviewTooLarge(f"more than {PREVIEWED_MAX} windows are unbilled")
    moving: dict[tuple[str, str], Decimal] = {}
    stuck: dict[tuple[str, str], Decimal] = {}
    unpriced = 0
    for row, (whole, held) in zip(found, _measured(conn, found), strict=True):
        key = row.legal_entity_id, row.currency
        owed, halted = _net(row, whole), _net(row, held) if row.is_stuck else ZERO
        unpriced += owed is None or halted is None
        owed, halted = owed or ZERO, halted or ZERO
        moving[key] = moving.get(key, ZERO) + owed - halted
        if row.is_unrated:  # else the draft's exception knows what was rated for it
            stuck[key] = stuck.get(key, ZERO) + halted
    return Preview(_money(moving), _money(stuck), unpriced)


def _measured(conn: Connection, rows: Sequence[Row[Any]]) -> list[tuple[Measured | None, Measured | None]]:
    """What each window measures over all lots, and over those that stand still if any does; None where nobody knows."""
    kept = [row for row in rows if not row.is_plain]
    stuck = [row for row in kept if row.is_stuck]
    whole = iter(measures.estimated(conn, [_asked(row, row.lot) for row in kept]))
    held = iter(measures.estimated(conn, [_asked(row, row.stuck_lot) for row in stuck]))
    return [
        (next(whole), next(held) if row.is_stuck else None)
        if not row.is_plain
        else (
            of_quantity(row.quantity, row.dimensions),
            of_quantity(row.stuck_quantity, row.dimensions) if row.is_stuck else None,
        )
        for row in rows
    ]


def _asked(row: Row[Any], lot: int) -> measures.Asked:
    return measures.Asked(
        row.subscription_id, row.billing_period_id, row.contract_version_id, row.metric_id, row.dimensions, lot
    )


def _net(row: Row[Any], measured: Measured | None) -> Decimal | None:
    """What a window would bill beyond what it has billed; None if it cannot be measured or its price refuses it."""
    if measured is None:
        return None
    currency = Currency(row.currency)
    try:
        rated = rate(measured, parse_price(row.terms), currency=currency)
    except Rejection:
        return None
    return correction(rated.amount, billed=Money(row.billed, currency)).amount


_ON_THEIR_WAY = text("""
select i.legal_entity_id, i.currency, sum(i.net) from invoices i
where i.state in ('taxed', 'approved', 'issued') and i.net <> 0
  and not exists (select from exceptions x where x.invoice_id = i.id and x.state = 'open') group by 1, 2 order by 1, 2
""")


def on_their_way(conn: Connection) -> list[EntityMoney]:
    """The net of drafts and documents that no ERP has confirmed yet and no exception holds."""
    return [EntityMoney(*row) for row in conn.execute(_ON_THEIR_WAY)]


def unbilled(conn: Connection) -> list[EntityMoney]:
    """What usage in flight would bill today, before tax, without what is in exception. Raises `PreviewTooLarge`."""
    return preview(conn).unbilled


_EXCEPTED = text("""
select coalesce(x.legal_entity_id, y.legal_entity_id, '') as legal_entity_id, x.currency, sum(x.money_at_risk)
from exceptions x
left join billing_periods b on b.id = x.billing_period_id left join billing_cycles y on y.id = b.cycle_id
where x.state = 'open' and x.money_at_risk is not null and x.code <> 'sequence_gap' group by 1, 2 order by 1, 2
""")


def excepted(conn: Connection) -> list[EntityMoney]:
    """Money that waits for a person: documents and usage that stand still, and exceptions whose money is known.

    What is estimated for usage that never came is not in it.
    """
    sums = {(row[0], row[1]): row[2] for row in conn.execute(_EXCEPTED)}
    for each in preview(conn).stuck:
        key = each.legal_entity, each.currency
        sums[key] = sums.get(key, ZERO) + each.amount
    return _money(sums)


def _money(sums: Mapping[tuple[str, str], Decimal]) -> list[EntityMoney]:
    return [EntityMoney(*key, amount) for key, amount in sorted(sums.items())]
