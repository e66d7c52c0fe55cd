"""What open exceptions hold up: estimates for people, never booked.

Prices are those in force for the usage; what is open in a graduated price counts as the units that come last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from domain.errors import Rejection
from domain.prices import parse_price

#: Groups of exceptions (code, metric, subscription, period) that are priced in one look.
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
from aggregates g join metrics m on m.id = g.metric_id
where g.billing_period_id in (select billing_period_id from held)
group by g.subscription_id, g.billing_period_id, g.metric_id, g.contract_version_id, g.dimensions, m.aggregation
"""
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
so_far as ({_SO_FAR})
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
