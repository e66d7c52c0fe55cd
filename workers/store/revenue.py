"""Revenue schedules: made when documents are issued, undone when one is void, recognised by accounting period."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from domain.money import Currency, Money, total
from domain.periods import Days
from domain.revenue import (
    ASSET_ACCOUNT,
    DEFERRED_ACCOUNT,
    Amounts,
    Method,
    Part,
    difference,
    earned,
    earned_alike,
    is_deferred,
    recognised,
)
from workers.store.revenue_entries import booking

#: How a line of a revenue account is earned and where what is not is kept, as columns.
RULE: Final = f"""
  coalesce(x.method, d.method, case {{metric}} when 'subscribed' then 'daily' else 'as_incurred' end) as method,
  coalesce(x.deferred_account, d.deferred_account, '{DEFERRED_ACCOUNT}') as deferred_account,
  coalesce(x.asset_account, d.asset_account, '{ASSET_ACCOUNT}') as asset_account"""
#: The rules themselves: that of the account, and that of all others.
RULES: Final = """
left join revenue_rules x on x.legal_entity_id = {entity} and x.revenue_account = {account}
left join revenue_rules d on d.legal_entity_id = {entity} and d.revenue_account = '*'"""
#: A line is earned on the days of its period that its subscription and contract version stand; where none is left, on
#: those that it names.
_LINES = text(f"""
select i.id as invoice_id, l.id, 'line' as what, l.net, i.currency, i.legal_entity_id, i.posting_on, l.revenue_account,
  {RULE.format(metric="m.aggregation")},
  coalesce(greatest(p.starts_on, (greatest(s.starts_at, v.starts_at) at time zone y.zone)::date),
    l.service_starts_on) as first_on,
  coalesce(least(p.ends_on, (least(s.ends_at, v.ends_at) at time zone y.zone)::date), l.service_ends_on) as end_on,
  l.service_starts_on, l.service_ends_on
from invoice_lines l join invoices i on i.id = l.invoice_id
join metrics m on m.id = l.metric_id
join subscriptions s on s.id = l.subscription_id join billing_cycles y on y.id = s.cycle_id
left join rated_usages r on r.id = l.rated_usage_id
left join billing_periods p on p.id = r.billing_period_id
left join contract_versions v on v.id = r.contract_version_id
{RULES.format(entity="i.legal_entity_id", account="l.revenue_account")}
where l.invoice_id = any(cast(:ids as bigint[])) and l.net <> 0 order by l.id
""")
#: What a document gives or asks beside its lines.
_BESIDE = text(f"""
select i.id as invoice_id, a.id, 'adjustment' as what, a.net, i.currency, i.legal_entity_id, i.posting_on,
  a.revenue_account, {RULE.format(metric="'subscribed'")}, a.service_starts_on, a.service_ends_on
from invoice_adjustments a join invoices i on i.id = a.invoice_id
{RULES.format(entity="i.legal_entity_id", account="a.revenue_account")}
where a.invoice_id = any(cast(:ids as bigint[])) order by a.id
""")
#: What earlier documents scheduled of the same subscription, price, period and dimensions; a first lot has none.
_HELD = text("""
select l.id as line, h.earned_in as period, sum(h.amount) as number
from invoice_lines l join rated_usages r on r.id = l.rated_usage_id and r.lot > 1
join invoice_lines o on o.subscription_id = l.subscription_id and o.metric_id = l.metric_id
  and o.price_id = l.price_id and o.id <> l.id
join rated_usages q on q.id = o.rated_usage_id and q.billing_period_id = r.billing_period_id
  and q.dimensions = r.dimensions
join revenue_schedules h on h.invoice_line_id = o.id
where l.invoice_id = any(cast(:ids as bigint[])) group by 1, 2 having sum(h.amount) <> 0
""")
#: When the usage of lines was used, of metrics that keep it apart by buckets, in periods that span several months.
_USED = text("""
select l.id as line, date_trunc('month', g.grain_start at time zone y.zone)::date as period,
  sum(case when m.aggregation in ('count', 'sum') then g.quantity else g.events end) as number
from invoice_lines l join metrics m on m.id = l.metric_id and m.bucket is not null
join rated_usages r on r.id = l.rated_usage_id
join billing_periods p on p.id = r.billing_period_id and date_trunc('month', p.ends_on - 1) > p.starts_on
join subscriptions s on s.id = l.subscription_id join billing_cycles y on y.id = s.cycle_id
join aggregates g on g.billing_period_id = r.billing_period_id and g.subscription_id = r.subscription_id
  and g.metric_id = r.metric_id and g.contract_version_id = r.contract_version_id
  and g.dimensions = r.dimensions and g.lot <= r.lot
where l.invoice_id = any(cast(:ids as bigint[])) group by 1, 2
""")
_SCHEDULE = text("""
insert into revenue_schedules (invoice_id, invoice_line_id, invoice_adjustment_id, earned_in, period, amount, method,
  is_deferred, legal_entity_id, currency, revenue_account, deferred_account, asset_account)
select * from unnest(cast(:invoices as bigint[]), cast(:lines as bigint[]), cast(:adjustments as bigint[]),
  cast(:earned as date[]), cast(:periods as date[]), cast(:amounts as numeric[]), cast(:methods as text[]),
  cast(:deferred as boolean[]), cast(:entities as text[]), cast(:currencies as text[]), cast(:revenues as text[]),
  cast(:liabilities as text[]), cast(:assets as text[]))
order by 1, 2, 3, 4
""")
_DEFER = booking(
    """select 'deferral' as kind, i.legal_entity_id, i.id as invoice_id, i.posting_on, i.currency,
      'deferred until it is earned' as description, s.revenue_account, s.deferred_account as balance_account,
      'deferred' as balance, -sum(s.amount) as gained
    from revenue_schedules s join invoices i on i.id = s.invoice_id
    where i.id = any(cast(:ids as bigint[])) and s.is_deferred group by i.id, s.revenue_account, s.deferred_account""",
    after="select count(*) from entries",
)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A line, or what stands beside the lines, with what it earns in which period and where that is recognised."""

    line: Row[Any]
    earned: Amounts

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where it is recognised."""
        return recognised(self.earned, posting_on=self.line.posting_on)


def schedule(conn: Connection, invoice_ids: Collection[int]) -> None:
    """Schedule documents as they are issued, and defer what of them is earned after they are posted."""
    found = planned(conn, invoice_ids)
    if _insert(conn, found):
        conn.execute(_DEFER, {"ids": list(invoice_ids)})


def planned(conn: Connection, invoice_ids: Collection[int]) -> list[Scheduled]:
    """What documents earn when: their lines, then what they give or ask beside them.

    A correction earns the difference to what the documents before it say of the same usage.
    """
    values = {"ids": list(invoice_ids)}
    held, used = _by_line(conn.execute(_HELD, values)), _by_line(conn.execute(_USED, values))
    lines = [
        Scheduled(line, _earned(line, held.get(line.id, {}), used.get(line.id)))
        for line in conn.execute(_LINES, values)
    ]
    beside = conn.execute(_BESIDE, values).all()
    together = _together(lines) if beside else {}
    return [*lines, *(Scheduled(each, _earned_alike(each, together)) for each in beside)]


def _by_line(rows: Iterable[Row[Any]]) -> dict[int, dict[date, Decimal]]:
    found: dict[int, dict[date, Decimal]] = {}
    for row in rows:
        found.setdefault(row.line, {})[row.period] = row.number
    return found


def _earned(line: Row[Any], before: Mapping[date, Decimal], used: Mapping[date, Decimal] | None) -> Amounts:
    currency = Currency(line.currency)
    held = {period: Money(amount, currency) for period, amount in before.items()}
    new = Money(line.net, currency) + total(held.values(), currency)
    days = (
        Days(line.first_on, line.end_on)
        if line.first_on < line.end_on
        else Days(line.service_starts_on, line.service_ends_on)
    )
    method: Method = line.method
    return difference(earned(new, days, method, used=used), held)


#: What the lines of a document earn on a revenue account.
_Together = dict[tuple[int, str], dict[date, Money]]


def _together(lines: Iterable[Scheduled]) -> _Together:
    found: _Together = {}
    for each in lines:
        sums = found.setdefault((each.line.invoice_id, each.line.revenue_account), {})
        for period, amount in each.earned.items():
            sums[period] = sums[period] + amount if period in sums else amount
    return found


def _earned_alike(beside: Row[Any], together: _Together) -> Amounts:
    lines = together.get((beside.invoice_id, beside.revenue_account), {})
    service = Days(beside.service_starts_on, beside.service_ends_on)
    return earned_alike(Money(beside.net, Currency(beside.currency)), difference(lines, {}), service)


def _insert(conn: Connection, found: Iterable[Scheduled]) -> bool:
    """Insert what is scheduled; whether some of it is deferred."""
    rows = []
    for each in found:
        parts = each.parts
        deferred = is_deferred(parts, posting_on=each.line.posting_on)
        rows += [(each.line, part, deferred) for part in parts]
    if not rows:
        return False
    conn.execute(
        _SCHEDULE,
        {
            "invoices": [line.invoice_id for line, _, _ in rows],
            "lines": [line.id if line.what == "line" else None for line, _, _ in rows],
            "adjustments": [line.id if line.what == "adjustment" else None for line, _, _ in rows],
            "earned": [part.earned_in for _, part, _ in rows],
            "periods": [part.period for _, part, _ in rows],
            "amounts": [part.amount.amount for _, part, _ in rows],
            "methods": [line.method for line, _, _ in rows],
            "deferred": [deferred for _, _, deferred in rows],
            "entities": [line.legal_entity_id for line, _, _ in rows],
            "currencies": [line.currency for line, _, _ in rows],
            "revenues": [line.revenue_account for line, _, _ in rows],
            "liabilities": [line.deferred_account for line, _, _ in rows],
            "assets": [line.asset_account for line, _, _ in rows],
        },
    )
    return any(deferred for _, _, deferred in rows)


def first_open_day(conn: Connection, legal_entity_id: str) -> date:
    """The first day of the legal entity's books that is not closed; whoever closes waits until the caller commits."""
    held = {"entity": legal_entity_id}
    conn.execute(text("select revenue_hold(:entity, false)"), held)
    found: date = conn.execute(text("select first_open_day(:entity)"), held).scalar_one()
    return found


_UNDO = text("""
insert into revenue_schedules (invoice_id, invoice_line_id, invoice_adjustment_id, kind, earned_in, period, amount,
  method, is_deferred, legal_entity_id, currency, revenue_account, deferred_account, asset_account)
select s.invoice_id, s.invoice_line_id, s.invoice_adjustment_id, 'undone', s.earned_in,
  greatest(s.period, date_trunc('month', cast(:on as date))::date), -s.amount, s.method, s.is_deferred,
  s.legal_entity_id, s.currency, s.revenue_account, s.deferred_account, s.asset_account
from revenue_schedules s where s.invoice_id = :invoice and s.kind = 'scheduled' order by s.id
""")
_UNDEFER = booking(
    """select 'deferral_reversal' as kind, i.legal_entity_id, i.id as invoice_id, cast(:on as date) as posting_on,
      i.currency, 'void of ' || i.number_text as description, s.revenue_account,
      s.deferred_account as balance_account, 'deferred' as balance, sum(s.amount) as gained
    from revenue_schedules s join invoices i on i.id = s.invoice_id
    where i.id = :invoice and s.is_deferred and s.kind = 'scheduled'
    group by i.id, s.revenue_account, s.deferred_account""",
    after="select count(*) from entries",
)


def undo(conn: Connection, invoice_id: int, *, posting_on: date) -> None:
    """Take back what a void document scheduled: on that day what was recognised of it, the rest where it was due."""
    values = {"invoice": invoice_id, "on": posting_on}
    conn.execute(_UNDEFER, values)
    conn.execute(_UNDO, values)
