"""A small month: two airlines, a handful of departures, and everything between an event and a closed billing run."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from line_bench import Bound, batch, event

from queues import gate as gates
from workers import closing
from workers.step import perform
from workers.store import acting, billing_runs, identity
from workers.store.acting import Named
from workers.store.billing_runs import Wanted
from workers.store.database import engine, snapshot

#: Everything that a month leaves, and what a test may change of its terms.
EMPTY = """
truncate receipts, receipt_counts, event_keys, usage_events, batches, attributions, exclusions, aggregates,
  aggregate_values, control_totals, work, exceptions, exception_history, notices, source_hours, exclusion_rules, lots,
  billing_runs,
  billing_overrides, billing_periods, number_series, invoices, rated_usages, invoice_lines, invoice_taxes,
  journal_entries, postings, erp_postings, erp_attempts, prices, tax_rates, sequence_marks,
  sequence_runs, tax_commitments, repairs, repair_history restart identity cascade
"""
#: Beside the register of the line: a second airline with a contract of its own, prices and a tax.
SECOND = """
insert into accounts values ('dl', 'Delta, Inc.') on conflict do nothing;
insert into contracts (ref, account_id, legal_entity_id, currency) values ('c-dl', 'dl', 'pony', 'USD')
  on conflict do nothing;
insert into contract_versions (contract_id, version, starts_at, recorded_by)
  select id, 1, '2020-01-01', 'test' from contracts on conflict do nothing;
insert into subscriptions (ref, contract_id, cycle_id)
  select 's-dl', c.id, y.id from contracts c, billing_cycles y where c.ref = 'c-dl' on conflict do nothing;
insert into mappings (source_id, subject, subscription_id, recorded_by)
  select s.id, 'DL', u.id, 'test' from sources s, subscriptions u where u.ref = 's-dl' on conflict do nothing;
update legal_entities set connection_id = 'books';
"""
STEPS = ("validate", "enrich", "aggregate", "rate", "tax", "close", "post", "notify")


@dataclass
class Month:
    """The month and whoever works on it."""

    bound: Bound
    receive: Callable[..., int]
    ledger: Path

    def use(self, *uses: tuple[str, str, str | None, int]) -> None:
        """Send a departure for each (event id, airline, tail, miles) and bring all to their windows."""
        sent = [
            event(name, subject=airline, data={"tail": tail, "distance": miles}) for name, airline, tail, miles in uses
        ]
        self.receive(batch(*sent))
        self.work("validate", "enrich", "aggregate")

    def receive_refused(self) -> None:
        """Send one event of a meter that does not exist."""
        self.receive(batch(event("bad", type="airport.arrival")))

    def work(self, *steps: str) -> None:
        """Run what is due of these steps, or of all, and let the tick press on, until nothing moves any more."""
        for _ in range(300):
            due = self.bound.rows(
                """select step, array_agg(id order by id) from work where state = 'ready' and due_at <= now()
                and step = any(:steps) group by step order by step""",
                steps=list(steps or STEPS),
            )
            for name, ids in due:
                perform(name, ids)
            if not due and (steps or not closing.tick()):
                return
        raise AssertionError("the work never ends")

    def let_time_pass(self) -> None:
        """As if leases had run out, due times had come and a blocked run were tried again."""
        self.bound.run("update work set due_at = now(), lease_until = null where state = 'ready'")
        self.bound.run("update erp_postings set lease_until = now() where lease_until is not null")
        self.bound.run("update billing_runs set tried_at = now() - interval '1 hour'")
        gates.gate.cache_clear()

    @property
    def period(self) -> int:
        """The billing period of March."""
        return int(self.bound.one("select id from billing_periods where starts_on = '2026-03-01'"))

    def request(self, *, invoice_on: date = date(2026, 4, 1)) -> int:
        """Ask for March to be billed and work on it as far as it goes; the run."""
        with engine().begin() as conn:
            run = billing_runs.request(conn, Wanted(self.period, invoice_on, date(2026, 3, 31), "ann"))
            billing_runs.press(conn, run)
        self.work()
        return run

    def approve(self, run: int) -> None:
        """Approve the drafts and work on the run as far as it goes."""
        with engine().begin() as conn:
            acting.name(conn, Named("bob", "agreed with finance"))
            billing_runs.approve(conn, run, person="bob")
            billing_runs.press(conn, run)
        self.work()

    def override(self, run: int, code: str) -> None:
        """Let a blocker pass and work on."""
        with engine().begin() as conn:
            acting.name(conn, Named("bob", "agreed with finance"))
            billing_runs.override(conn, run, code, person="bob", reason="agreed with finance")
            billing_runs.press(conn, run)
        self.work()

    def bill(self, **dates: Any) -> int:
        """Request and approve."""
        run = self.request(**dates)
        self.approve(run)
        return run

    def stage(self, run: int) -> str:
        """How far the run has come."""
        return str(self.bound.one("select stage from billing_runs where id = :id", id=run))

    def blockers(self, run: int) -> dict[str, int]:
        """What is in the way of the run, and how often."""
        listed = self.bound.one("select blockers from billing_runs where id = :id", id=run)
        return {each["code"]: each["count"] for each in listed}

    def documents(self, run: int) -> list[Any]:
        """(account, kind, state, number, net, tax, gross) of the run's invoices."""
        return [
            tuple(row)
            for row in self.bound.rows(
                """select account_id, kind, state, number_text, net::text, tax::text, gross::text from invoices
                where billing_run_id = :run order by account_id""",
                run=run,
            )
        ]

    def assert_all_accounted_for(self, *, in_flight: int = 0, excepted: int | None = None) -> None:
        """Both identities hold, so much usage is still on its way, and so much of it stands still there."""
        with snapshot() as conn:
            assert identity.differences(conn) == []
            totals = identity.usage_totals(conn)
            assert all(each.is_balanced for each in totals)
            assert sum(each.in_flight for each in totals) == in_flight
            assert excepted in (None, sum(each.excepted for each in totals))
