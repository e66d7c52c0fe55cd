"""What usage is worth that is not billed yet, and what exceptions hold up: estimates for people, never booked.

Prices are those in force for the usage; what is open in a graduated price counts as the units that come last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from domain.errors import Rejection
from domain.prices import parse_price

#: Windows and groups that are priced in one look; a deployment with more reads its estimate from the reports instead.
ROWS_MAX = 200_000

#: Quantities so far over all lots, by what is priced together.
_SO_FAR = """
select g.subscription_id, g.billing_period_id, g.metric_id, g.contract_version_id, g.dimensions,
  case m.aggregation when 'unique_count' then (
    select count(*) from (
      select v.value from aggregates h join aggregate_values v on v.aggregate_id = h.id
      where h.subscription_id = g.subscription_id and h.billing_period_id = g.billing_period_id
        and h.metric_id = g.metric_id and h.contract_version_id = g.contract_version_id and h.dimensions = g.dimensions
      group by v.value having sum(v.n) > 0) d)
  else sum(g.quantity) end as quantity
from aggregates g join metrics m on m.id = g.metric_id {where}
group by g.subscription_id, g.billing_period_id, g.metric_id, g.contract_version_id, g.dimensions, m.aggregation
"""
_UNBILLED = text(f"""
with unfinished as (
  select g.billing_period_id from aggregates g join billing_periods p on p.id = g.billing_period_id where g.lot >= p.lot
  union select billing_period_id from billing_runs where stage not in ('posted', 'reconciled', 'closed')),
so_far as ({_SO_FAR.format(where="where g.billing_period_id in (select billing_period_id from unfinished)")})
select c.currency, s.quantity, pr.terms, coalesce((
    select sum(l.net) from rated_usages r join invoice_lines l on l.rated_usage_id = r.id
    join invoices i on i.id = l.invoice_id and i.state = 'posted'
    where r.subscription_id = s.subscription_id and r.billing_period_id = s.billing_period_id
      and r.metric_id = s.metric_id and r.contract_version_id = s.contract_version_id
      and r.dimensions = s.dimensions), 0) as billed
from so_far s join contract_versions v on v.id = s.contract_version_id join contracts c on c.id = v.contract_id
left join prices pr on pr.contract_version_id = s.contract_version_id and pr.metric_id = s.metric_id
limit :rows
""")

_USAGE_AT_RISK = text(f"""
with held as (
  select x.code, x.metric_id, s.id as subscription_id, s.contract_id, v.id as contract_version_id, x.billing_period_id,
    count(*) as usages, sum(x.quantity) as quantity, min(x.opened_at) as oldest_at
  from exceptions x
  left join mappings g on g.source_id = x.source_id and g.subject = x.subject
    and g.superseded_at > now() and x.happened_at >= g.starts_at and x.happened_at < g.ends_at
  left join subscriptions s on s.id = g.subscription_id
  left join contract_versions v on v.contract_id = s.contract_id
    and v.superseded_at > now() and x.happened_at >= v.starts_at and x.happened_at < v.ends_at
  where x.state = 'open' and x.event_no is not null
  group by 1, 2, 3, 4, 5, 6),
so_far as ({_SO_FAR.format(where="where g.billing_period_id in (select billing_period_id from held)")})
select h.code, h.usages, h.oldest_at, h.quantity, c.account_id, c.currency, pr.terms, coalesce(s.quantity, 0) as so_far
from held h left join contracts c on c.id = h.contract_id
left join prices pr on pr.contract_version_id = h.contract_version_id and pr.metric_id = h.metric_id
left join so_far s on s.subscription_id = h.subscription_id and s.billing_period_id = h.billing_period_id
  and s.metric_id = h.metric_id and s.contract_version_id = h.contract_version_id
order by h.code limit :rows
""")
#: Exceptions about a body, an event that was refused, or a work row; a document's is worth the document.
_OTHERS_AT_RISK = text("""
select x.code, count(*) as usages, min(x.opened_at) as oldest_at, i.account_id,
  coalesce(i.currency, x.currency) as currency,
  sum(coalesce(i.gross, x.money_at_risk)) as amount
from exceptions x left join work w on w.id = x.work_id
left join erp_postings p on w.subject = 'erp_posting/' || p.id
left join invoices i on i.id = coalesce(p.invoice_id, case when w.step = 'tax' then
  cast(substring(w.subject from '^invoice/([0-9]+)$') as bigint) end)
where x.state = 'open' and x.event_no is null group by 1, 4, 5 order by 1 limit :rows
""")


@dataclass(slots=True)
class Cause:
    """The open exceptions of one code: how many, since when, whose, and what they hold up by currency.

    `unpriced` are those for which no price is known, so that they are in no amount.
    """

    code: str
    exceptions: int = 0
    unpriced: int = 0
    oldest_at: Any = None
    accounts: set[str] = field(default_factory=set)
    money: dict[str, Decimal] = field(default_factory=dict)


def unbilled(conn: Connection) -> Mapping[str, Decimal]:
    """By currency, what the usage of unfinished billing periods is worth beyond what is posted, unrounded."""
    money: dict[str, Decimal] = {}
    for row in conn.execute(_UNBILLED, {"rows": ROWS_MAX}):
        amount = _amount(row.terms, row.quantity)
        if amount is not None:
            money[row.currency] = money.get(row.currency, Decimal(0)) + amount - row.billed
    return money


def causes(conn: Connection) -> Sequence[Cause]:
    """The open exceptions by code, the most money first."""
    found: dict[str, Cause] = {}
    for row in conn.execute(_USAGE_AT_RISK, {"rows": ROWS_MAX}):
        before = _amount(row.terms, row.so_far)
        after = _amount(row.terms, row.so_far + (row.quantity or 0))
        amount = None if before is None or after is None or row.quantity is None else after - before
        _add(found, row, amount)
    for row in conn.execute(_OTHERS_AT_RISK, {"rows": ROWS_MAX}):
        _add(found, row, row.amount)
    return sorted(found.values(), key=lambda cause: (-sum(cause.money.values(), Decimal(0)), cause.code))


def _add(found: dict[str, Cause], row: Any, amount: Decimal | None) -> None:  # noqa: ANN401 -- a row of either question
    cause = found.setdefault(row.code, Cause(row.code))
    cause.exceptions += row.usages
    cause.oldest_at = min(cause.oldest_at or row.oldest_at, row.oldest_at)
    if row.account_id:
        cause.accounts.add(row.account_id)
    if amount is None or row.currency is None:
        cause.unpriced += row.usages
    else:
        cause.money[row.currency] = cause.money.get(row.currency, Decimal(0)) + amount


def _amount(terms: Mapping[str, Any] | None, quantity: Decimal) -> Decimal | None:
    """The unrounded price of a quantity; None without a price, or where the price refuses the quantity."""
    if terms is None:
        return None
    try:
        return parse_price(terms).amount_for(Decimal(quantity)).amount
    except Rejection:
        return None
