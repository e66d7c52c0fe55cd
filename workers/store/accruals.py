"""What is earned and not billed when an accounting period is closed: found, kept line by line, booked and reversed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from workers.store.revenue import RULE, RULES
from workers.store.revenue_entries import booking
from workers.store.revenue_runs import AccountingPeriod

#: Billing periods that ended so long before an accounting period are not looked at again for late usage.
MONTHS_BACK: Final = 13

_UNDER_WAY = text("""
select r.id from billing_runs r join billing_periods p on p.id = r.billing_period_id
join billing_cycles y on y.id = p.cycle_id
where y.legal_entity_id = :entity and p.starts_on < :end_on and r.stage in ('frozen', 'drafted')
order by r.id limit 10
""")
_PERIODS = text("""
select p.id, p.lot, p.starts_on, p.ends_on from billing_periods p join billing_cycles y on y.id = p.cycle_id
where y.legal_entity_id = :entity and p.starts_on < :end_on
  and p.ends_on > cast(:period as date) - make_interval(months => :months_back)
order by p.id
""")
_PRICES = text(f"""
select p.id, p.revenue_account, m.aggregation = 'subscribed' as is_subscribed, {RULE.format(metric="m.aggregation")}
from prices p join metrics m on m.id = p.metric_id
{RULES.format(entity=":entity", account="p.revenue_account")}
where p.id = any(cast(:ids as integer[]))
""")
#: What documents that are posted after the period earn by its end.
_POSTED_LATER = text("""
insert into accruals (legal_entity_id, period, billing_period_id, invoice_id, currency, revenue_account, asset_account,
  amount)
select s.legal_entity_id, cast(:period as date), r.billing_period_id, i.id, s.currency, s.revenue_account,
  s.asset_account, sum(s.amount)
from revenue_schedules s join invoices i on i.id = s.invoice_id and i.posting_on >= :end_on
join billing_runs r on r.id = i.billing_run_id
where s.legal_entity_id = :entity and s.earned_in < s.period and s.period > :period and s.earned_in <= :period
group by 1, 3, 4, 5, 6, 7 having sum(s.amount) <> 0 order by i.id
""")
_INSERT = text("""
insert into accruals (legal_entity_id, period, billing_period_id, subscription_id, metric_id, currency,
  revenue_account, asset_account, amount)
select :entity, cast(:period as date), t.* from unnest(cast(:billing_periods as integer[]),
  cast(:subscriptions as integer[]), cast(:metrics as integer[]), cast(:currencies as text[]),
  cast(:revenues as text[]), cast(:assets as text[]), cast(:amounts as numeric[])) as t
""")
_BOOK = booking(
    """select k.kind, a.legal_entity_id, cast(null as bigint) as invoice_id, k.posting_on, a.currency, k.description,
      a.revenue_account, a.asset_account as balance_account, 'contract_asset' as balance,
      k.sign * sum(a.amount) as gained
    from accruals a cross join (values
      ('accrual', cast(:end_on as date) - 1, 'earned and not billed', 1),
      ('accrual_reversal', cast(:end_on as date), 'reversal of what was earned and not billed', -1))
      as k (kind, posting_on, description, sign)
    where a.legal_entity_id = :entity and a.period = :period
    group by 1, 2, 4, 5, 6, 7, 8, k.sign""",
    after="select currency, sum(gained) as amount from moved where kind = 'accrual' group by 1 order by 1",
)
_CLOSE = text("""
insert into accounting_periods (legal_entity_id, period, closed_by, reason, unpriced)
values (:entity, :period, :person, :reason, :unpriced)
""")


@dataclass(frozen=True, slots=True)
class Accrual:
    """What one subscription owes for a metric that no document holds, as far as it is earned in the period."""

    billing_period_id: int
    subscription_id: int
    metric_id: int
    currency: str
    revenue_account: str
    asset_account: str
    amount: Decimal


def under_way(conn: Connection, meant: AccountingPeriod) -> list[int]:
    """Billing runs that have sealed usage of the period or before, and have not issued their documents yet."""
    return list(conn.execute(_UNDER_WAY, meant.values).scalars())


def billing_periods(conn: Connection, meant: AccountingPeriod) -> Sequence[Row[Any]]:
    """The billing periods that may hold usage of the accounting period or before which is on no document."""
    return conn.execute(_PERIODS, {**meant.values, "months_back": MONTHS_BACK}).all()


def prices(conn: Connection, meant: AccountingPeriod, ids: Sequence[int]) -> dict[int, Row[Any]]:
    """How what these prices bill is earned, and on which accounts it is booked."""
    return {row.id: row for row in conn.execute(_PRICES, {**meant.values, "ids": sorted(set(ids))})}


def keep(conn: Connection, meant: AccountingPeriod, found: Sequence[Accrual]) -> None:
    """Keep what is earned and on no document, and what documents of later periods hold of it."""
    conn.execute(_POSTED_LATER, meant.values)
    conn.execute(
        _INSERT,
        {
            **meant.values,
            "billing_periods": [each.billing_period_id for each in found],
            "subscriptions": [each.subscription_id for each in found],
            "metrics": [each.metric_id for each in found],
            "currencies": [each.currency for each in found],
            "revenues": [each.revenue_account for each in found],
            "assets": [each.asset_account for each in found],
            "amounts": [each.amount for each in found],
        },
    )


def book(conn: Connection, meant: AccountingPeriod) -> dict[str, Decimal]:
    """Book what was kept on the last day of the period, and its reversal on the day after; the sums by currency."""
    return {row.currency: row.amount for row in conn.execute(_BOOK, meant.values)}


def close(conn: Connection, meant: AccountingPeriod, *, person: str, reason: str, unpriced: int) -> None:
    """From here on nothing that lies in the period changes. The database refuses it while something is due in it."""
    conn.execute(_CLOSE, {**meant.values, "person": person, "reason": reason, "unpriced": unpriced})


def last_closed(conn: Connection, legal_entity_id: str) -> date | None:
    """The last accounting period that is closed; None if there is none."""
    found: date | None = conn.execute(
        text("select max(period) from accounting_periods where legal_entity_id = :entity"), {"entity": legal_entity_id}
    ).scalar_one()
    return found
