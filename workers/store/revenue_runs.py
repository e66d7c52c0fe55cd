"""Accounting periods of revenue: what is due in one is recognised, once, and nothing of a closed one changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from domain.periods import local_date
from domain.revenue import accounting_period, next_period, previous_period
from workers.store import credit_bookings
from workers.store.revenue_entries import booking
from workers.unit import database_now

#: Closed periods are whole: only what lies in the open ones can be due.
_RECOGNISE: Final = booking(
    """select 'recognition' as kind, legal_entity_id, cast(null as bigint) as invoice_id,
      (period + interval '1 month')::date - 1 as posting_on, currency,
      'revenue of ' || to_char(period, 'YYYY-MM') as description, revenue_account,
      deferred_account as balance_account, 'deferred' as balance, sum(amount) as gained
    from due group by legal_entity_id, period, currency, revenue_account, deferred_account""",
    before="""due as materialized (
  select s.* from revenue_schedules s where s.legal_entity_id = :entity and s.is_deferred and s.period <= :period
    and s.period >= first_open_day(:entity) and not exists (select from recognitions r where r.schedule_id = s.id)),
""",
    after=""",
recognised as (
  insert into recognitions (schedule_id, journal_entry_id)
  select d.id, e.id from due d join entries e on e.currency = d.currency
    and e.posting_on = (d.period + interval '1 month')::date - 1 order by 1 returning 1)
select m.posting_on, m.currency, m.revenue_account, sum(m.gained) as amount from moved m
group by 1, 2, 3 order by 1, 2, 3""",
)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What was recognised in an accounting period on a revenue account."""

    period: date
    currency: str
    revenue_account: str
    amount: Decimal

    def to_json(self) -> dict[str, str]:
        """As commands print it."""
        return {
            "period": f"{self.period:%Y-%m}",
            "currency": self.currency,
            "revenue_account": self.revenue_account,
            "amount": str(self.amount),
        }


@dataclass(frozen=True, slots=True)
class AccountingPeriod:
    """An accounting period of a legal entity, by its first day."""

    legal_entity_id: str
    period: date

    def __str__(self) -> str:
        return f"{self.legal_entity_id}/{self.period:%Y-%m}"

    @property
    def values(self) -> dict[str, object]:
        """What statements call them."""
        return {"entity": self.legal_entity_id, "period": self.period, "end_on": next_period(self.period)}


def hold(conn: Connection, legal_entity_id: str) -> None:
    """Book alone for the legal entity until the transaction ends."""
    conn.execute(text("select revenue_hold(:entity, true)"), {"entity": legal_entity_id})


def recognise(conn: Connection, meant: AccountingPeriod) -> list[Recognised]:
    """Recognise what is due in the open periods up to this one, credits that expired too; nothing is twice.

    What else became of prepaid credits is booked with it.
    """
    hold(conn, meant.legal_entity_id)
    return [
        Recognised(accounting_period(row.posting_on), row.currency, row.revenue_account, row.amount)
        for statement in (_RECOGNISE, credit_bookings.BOOK)
        for row in conn.execute(statement, meant.values)
    ]


def today(conn: Connection, legal_entity_id: str) -> date | None:
    """What the calendar of the legal entity shows now. None if there is no such entity."""
    zone = conn.execute(
        text("select zone from legal_entities where id = :entity"), {"entity": legal_entity_id}
    ).scalar_one_or_none()
    return None if zone is None else local_date(database_now(conn), zone)


def last_ended(conn: Connection) -> list[AccountingPeriod]:
    """The accounting period that has ended last, of every legal entity that defers anything or has granted credits."""
    now = database_now(conn)
    found = conn.execute(
        text("""select e.id, e.zone from legal_entities e
             where exists (select from revenue_schedules s where s.legal_entity_id = e.id and s.is_deferred)
               or exists (select from credit_grants g where g.legal_entity_id = e.id)
             order by e.id""")
    )
    return [AccountingPeriod(row.id, previous_period(local_date(now, row.zone))) for row in found]


#: A balance at the beginning of a period, what moved it and how, and what is left; debit positive for what is earned
#: and not billed, credit positive for the others.
_WATERFALL = text("""
with legs as (
  select j.kind, j.posting_on, j.currency, p.ledger_account, p.balance,
    case p.balance when 'contract_asset' then p.amount else -p.amount end as amount
  from journal_entries j join postings p on p.journal_entry_id = j.id
  where j.legal_entity_id = :entity and j.kind not in ('document', 'reversal') and j.posting_on < :end_on
    and p.balance is not null)
select balance, currency, ledger_account as account,
  coalesce(sum(amount) filter (where posting_on < :period), 0) as opening,
  coalesce(sum(amount) filter (where posting_on >= :period
    and kind in ('deferral', 'deferral_reversal', 'accrual', 'credits_granted')), 0) as added,
  coalesce(-sum(amount) filter (where posting_on >= :period
    and kind in ('recognition', 'accrual_reversal', 'credits_drawn')), 0) as released,
  coalesce(-sum(amount) filter (where posting_on >= :period and kind = 'credits_expired'), 0) as expired,
  sum(amount) as closing
from legs group by balance, currency, ledger_account order by balance desc, currency, account
""")
_CLOSED = text("""
select closed_by, closed_at, reason, unpriced from accounting_periods
where legal_entity_id = :entity and period = :period
""")
#: What is recognised from this period on, of what is deferred now; `later` is beyond the year.
_AHEAD = text("""
select s.currency, s.deferred_account as account,
  case when s.period < cast(:period as date) + interval '13 months' then s.period end as period, sum(s.amount) as amount
from revenue_schedules s where s.legal_entity_id = :entity and s.is_deferred and s.period > :period
group by 1, 2, 3 having sum(s.amount) <> 0 order by 1, 2, 3
""")


def waterfall(conn: Connection, meant: AccountingPeriod) -> Sequence[Row[Any]]:
    """Of each balance, account and currency: opening, added, released, expired (of credits only), closing."""
    return conn.execute(_WATERFALL, meant.values).all()


def ahead(conn: Connection, meant: AccountingPeriod) -> Sequence[Row[Any]]:
    """What is due after a period, by period of the next year; those after that together, without a period."""
    return conn.execute(_AHEAD, meant.values).all()


def closing_of(conn: Connection, meant: AccountingPeriod) -> Row[Any] | None:
    """Who closed the period, when and why; None while it is open."""
    return conn.execute(_CLOSED, meant.values).one_or_none()


_LINE = text("""
select l.position, l.description, l.net, i.currency, i.posting_on, l.service_starts_on, l.service_ends_on, s.kind,
  s.method, s.is_deferred, s.earned_in, s.period, s.amount, s.revenue_account, s.deferred_account,
  r.journal_entry_id as entry, i.legal_entity_id
from invoices i join invoice_lines l on l.invoice_id = i.id
left join revenue_schedules s on s.invoice_line_id = l.id left join recognitions r on r.schedule_id = s.id
where i.number_text = :document and l.position = :position
order by i.legal_entity_id, s.earned_in, s.id limit :limit
""")
#: Parts of a line that are told at once: a century of months, twice.
PARTS_MAX: Final = 2_400


def line(conn: Connection, document: str, position: int) -> Sequence[Row[Any]]:
    """A line of a document with the parts that it is earned in, undone ones too."""
    return conn.execute(_LINE, {"document": document, "position": position, "limit": PARTS_MAX}).all()
