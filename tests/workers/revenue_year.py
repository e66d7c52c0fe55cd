"""What tests of revenue share: an annual fee of a subscription over any days, and what the books say of it."""

from datetime import date
from decimal import Decimal
from typing import Any

from billing_month import EMPTY, Month
from line_bench import batch, event

from workers import accruing, recognising
from workers.accruing import Closing
from workers.store import acting, billing_runs
from workers.store.acting import Named
from workers.store.billing_runs import Wanted
from workers.store.database import engine
from workers.store.revenue_runs import AccountingPeriod

#: A fee of 1,200.00 for the whole period, of the contract of United.
FEE = (
    """insert into metrics (name, aggregation, property, unit) values ('base', 'subscribed', null, 'fee')
       on conflict do nothing""",
    """insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
       select v.id, m.id, '{"model": "per_unit", "unit_amount": "1200"}', 'standard', 'revenue:fees'
       from contract_versions v join contracts c on c.id = v.contract_id and c.ref = 'c-ua', metrics m
       where m.name = 'base'""",
)
CLEAN = (
    EMPTY,
    "truncate contract_coupons, coupons cascade",
    "delete from revenue_rules",
    "truncate accounting_periods cascade",
    "delete from prices",
    "delete from contract_versions where version > 1",
    "update contract_versions set superseded_at = '9999-12-31 00:00Z'",
    "delete from metrics where meter_id is null",
    "update subscriptions set starts_at = '0001-01-01 00:00Z', ends_at = '9999-12-31 00:00Z'",
)


class Books:
    """The month's database, with a fee, periods of any length, and its revenue."""

    def __init__(self, month: Month) -> None:
        self.month = month
        self.bound = month.bound

    def sell(self) -> None:
        """United pays the fee from 15 January 2024 on, Delta nothing."""
        for statement in FEE:
            self.bound.run(statement)

    def period(self, first_on: str, end_on: str) -> int:
        """A billing period of these days in New York; its number."""
        return int(
            self.bound.one(
                """insert into billing_periods (cycle_id, starts_on, ends_on, starts_at, ends_at)
                   select id, f, e, f::timestamp at time zone zone, e::timestamp at time zone zone from billing_cycles,
                     (select cast(:first as date) as f, cast(:end as date) as e) d where name = 'monthly'
                   on conflict (cycle_id, starts_on) do update set lot = billing_periods.lot returning id""",
                first=first_on, end=end_on,
            )
        )  # fmt: skip

    def request(self, period: int, *, posting_on: str) -> int:
        """Ask for the period to be billed with documents that are posted on that day; the run."""
        on = date.fromisoformat(posting_on)
        with engine().begin() as conn:
            run = billing_runs.request(conn, Wanted(period, on, on, "ann"))
            billing_runs.press(conn, run)
        self.month.work()
        return run

    def bill(self, period: int, *, posting_on: str) -> int:
        """Bill the period with documents that are posted on that day; the run."""
        run = self.request(period, posting_on=posting_on)
        self.month.approve(run)
        assert self.month.stage(run) == "closed", self.month.blockers(run)
        return run

    def schedule(self, document: str) -> dict[str, str]:
        """What of the document is recognised in which period."""
        rows = self.bound.rows(
            """select s.period, sum(s.amount) as amount from revenue_schedules s
               join invoices i on i.id = s.invoice_id
               where i.number_text = :document group by 1 having sum(s.amount) <> 0 order by 1""",
            document=document,
        )
        return {f"{row.period:%Y-%m}": f"{row.amount:.2f}" for row in rows}

    def balance(self, account: str, *, until: str = "9999-12-31") -> Decimal:
        """What an account holds at the end of a day, debit positive."""
        found: Any = self.bound.one(
            """select coalesce(sum(p.amount), 0) from postings p join journal_entries j on j.id = p.journal_entry_id
               where p.ledger_account = :account and j.posting_on <= cast(:until as date)""",
            account=account, until=until,
        )  # fmt: skip
        return Decimal(found)

    def recognise(self, period: str) -> dict[str, str]:
        """Recognise what is due up to an accounting period; what was recognised in which."""
        with engine().begin() as conn:
            acting.name(conn, Named("ann", "the month has ended"))
            found = recognising.recognise(conn, AccountingPeriod("pony", date.fromisoformat(f"{period}-01")))
        return {f"{each.period:%Y-%m}": f"{each.amount:.2f}" for each in found}

    def price_anew(self, amount: str, *, starts_at: str) -> None:
        """Override the contract of United from an instant on: the fee is another."""
        self.bound.run(
            """update contract_versions set superseded_at = now() where superseded_at > now() and contract_id =
               (select id from contracts where ref = 'c-ua')"""
        )
        self.bound.run(
            """insert into contract_versions (contract_id, version, starts_at, recorded_by)
               select id, 2, cast(:at as timestamptz), 'test' from contracts where ref = 'c-ua'""",
            at=starts_at,
        )
        self.bound.run(
            """insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
               select v.id, m.id, jsonb_build_object('model', 'per_unit', 'unit_amount', cast(:amount as text)),
                 'standard', 'revenue:fees' from contract_versions v, metrics m
               where v.version = 2 and m.name = 'base'""",
            amount=amount,
        )

    def use_in_june(self, *names: str) -> None:
        """So many departures of United on 10 June 2026, of one aircraft and without a distance."""
        sent = [event(name, time="2026-06-10T15:00:00Z", data={"tail": "N1", "distance": 0}) for name in names]
        self.month.receive(batch(*sent))
        self.month.work("validate", "enrich", "aggregate")

    def period_of(self, first_on: str) -> int:
        """The billing period that begins on that day."""
        return int(self.bound.one("select id from billing_periods where starts_on = cast(:on as date)", on=first_on))

    def close(self, period: str) -> Closing:
        """Close an accounting period for revenue."""
        with engine().begin() as conn:
            acting.name(conn, Named("ann", "it is reviewed"))
            meant = AccountingPeriod("pony", date.fromisoformat(f"{period}-01"))
            return accruing.close(conn, meant, person="ann", reason="it is reviewed")
