"""Rate and tax over sealed lots: unrounded until the line, and a late event yields exactly the difference."""

from decimal import Decimal

import pytest
from line_bench import Bound, batch, event

import workers.rate
import workers.tax  # noqa: F401 -- registers its step
from queues import work
from queues.work import NewWork
from workers.store.database import engine
from workers.store.measures import dimensions_of
from workers.tax_engines.protocol import TaxEngineAway
from workers.tax_engines.table import TableEngine

PER_UNIT = '{"model": "per_unit", "unit_amount": "0.3333"}'
GRADUATED = """{"model": "graduated", "zero_usage": "first_tier_flat",
  "tiers": [{"up_to": "1000", "unit_amount": "0.10", "flat_amount": "5"},
  {"up_to": null, "unit_amount": "0.05", "flat_amount": "0"}]}"""
AIRCRAFT = '{"model": "per_unit", "unit_amount": "100"}'


@pytest.fixture(autouse=True)
def _priced(register: Bound) -> None:
    register.run("""truncate receipts, receipt_counts, event_keys, usage_events, batches, attributions, exclusions,
        aggregates, aggregate_values, control_totals, work, exceptions, notices, lots, billing_runs, invoices,
        rated_usages, prices, tax_rates cascade""")
    register.run("update billing_periods set lot = 1")
    register.run(
        """insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
        select v.id, m.id, cast(case m.name when 'departures' then :a when 'distance' then :b else :c end as jsonb),
          'standard', 'income:' || m.name from contract_versions v, metrics m
        where m.name in ('departures', 'distance', 'aircraft')""",
        a=PER_UNIT, b=GRADUATED, c=AIRCRAFT,
    )  # fmt: skip
    register.run("""insert into tax_rates (jurisdiction, category, rate, starts_on, source)
        values ('US-NY', 'standard', 8.875, '2020-01-01', 'test')""")


@pytest.fixture
def bill(register: Bound, drain):
    """Seal the open lot of the period and rate and tax it as one draft; its id."""

    def run() -> int:
        (period, lot) = register.rows("select id, lot from billing_periods")[0]
        register.run(
            """insert into lots (billing_period_id, lot, sealed_no)
            select :p, :l, coalesce(max(aggregated_no), 0) from batches""",
            p=period, l=lot,
        )  # fmt: skip
        register.run("update billing_periods set lot = lot + 1")
        run_id = register.rows(
            """insert into billing_runs (billing_period_id, lot, stage, invoice_on, posting_on, requested_by)
            values (:p, :l, 'frozen', '2026-04-01', '2026-04-01', 'test') returning id""",
            p=period, l=lot,
        )[0][0]  # fmt: skip
        invoice_id = register.rows(
            """insert into invoices (billing_run_id, legal_entity_id, account_id, contract_id, currency, pending,
            invoice_on, posting_on, service_starts_on, service_ends_on, correlation_id)
            select :r, 'pony', 'ua', c.id, 'USD', 1, '2026-04-01', '2026-04-01', '2026-03-01', '2026-04-01', 'test'
            from contracts c returning id""",
            r=run_id,
        )[0][0]
        subscription = register.one("select id from subscriptions where ref = 's-ua'")
        with engine().begin() as conn:
            subject = f"run/{run_id}/subscription/{subscription}"
            work.insert(conn, [NewWork("rate", subject, "test", lane="close", close_id=run_id)])
        drain("rate", "tax")
        return int(invoice_id)

    return run


def lines(bound: Bound, invoice_id: int) -> dict[str, tuple[Decimal, Decimal]]:
    found = bound.rows(
        """select m.name, l.quantity, l.net from invoice_lines l join metrics m on m.id = l.metric_id
        where invoice_id = :id order by position""",
        id=invoice_id,
    )
    return {name: (quantity, net) for name, quantity, net in found}


def totals(bound: Bound, invoice_id: int) -> tuple[object, ...]:
    return tuple(bound.rows("select state, kind, net, tax, gross from invoices where id = :id", id=invoice_id)[0])


def test_a_draft_holds_a_rounded_line_a_price_and_one_tax_a_rate(register, receive, drain, bill):
    receive(batch(event("1"), event("2", data={"distance": 600, "tail": "N2"})))
    drain()

    invoice = bill()

    # 2 x 0.3333 = 0.6666; 5 + 1000 x 0.10 + 1000 x 0.05 = 155; 2 x 100; 8.875 % of 355.67 = 31.5657...
    assert lines(register, invoice) == {
        "departures": (2, Decimal("0.67")), "distance": (2000, Decimal("155.00")), "aircraft": (2, Decimal("200.00")),
    }  # fmt: skip
    assert totals(register, invoice) == ("taxed", "invoice", Decimal("355.67"), Decimal("31.57"), Decimal("387.24"))
    assert register.rows("select state from work where step in ('rate', 'tax')") == [("done",), ("done",)]


def test_a_late_event_yields_exactly_the_difference(register, receive, drain, bill):
    receive(batch(event("1"), event("2", data={"distance": 600, "tail": "N2"})))
    drain()
    bill()
    receive(batch(event("late", data={"distance": 1000, "tail": "N2"})))
    drain()

    correction = bill()

    # departures: 3 x 0.3333 = 0.9999 -> 1.00, less 0.67; distance: 5 + 100 + 2000 x 0.05 = 205, less 155; N2 was there
    assert lines(register, correction) == {
        "departures": (1, Decimal("0.33")), "distance": (1000, Decimal("50.00")), "aircraft": (0, Decimal("0.00")),
    }  # fmt: skip
    assert totals(register, correction)[:3] == ("taxed", "invoice", Decimal("50.33"))


def test_a_period_without_anything_new_bills_nothing(register, receive, drain, bill):
    receive(batch(event("1")))
    drain()
    bill()

    assert totals(register, bill()) == ("empty", "invoice", 0, 0, 0)


def test_usage_without_a_price_is_refused_and_its_draft_waits(register, receive, drain, bill):
    register.run("delete from prices where revenue_account = 'income:distance'")
    receive(batch(event("1")))
    drain()

    invoice = bill()

    assert register.rows("select code, state from exceptions") == [("price_not_found", "open")]
    assert register.rows("select state, pending from invoices where id = :id", id=invoice) == [("draft", 1)]


def test_a_flat_fee_that_is_due_without_usage_is_a_line(register, receive, drain, bill):
    receive(batch(event("1", subject="nobody")))
    drain()
    register.run("""insert into billing_periods (cycle_id, starts_on, ends_on, starts_at, ends_at)
        select id, '2026-03-01', '2026-04-01', '2026-03-01T05:00Z', '2026-04-01T04:00Z' from billing_cycles
        on conflict do nothing""")

    invoice = bill()

    assert lines(register, invoice) == {"distance": (0, Decimal("5.00"))}


def test_a_price_that_asks_for_more_than_a_quantity_bills_nothing_without_usage(register, receive, drain, bill):
    register.run("""update prices set terms = '{"model": "percentage", "rate_percent": "2", "fixed_amount": "1"}'""")
    receive(batch(event("1", subject="nobody")))
    drain()
    register.run("""insert into billing_periods (cycle_id, starts_on, ends_on, starts_at, ends_at)
        select id, '2026-03-01', '2026-04-01', '2026-03-01T05:00Z', '2026-04-01T04:00Z' from billing_cycles
        on conflict do nothing""")

    assert lines(register, bill()) == {}


@pytest.fixture
def by_tail(register: Bound):
    """Distance is kept apart by the tail number and has a price for N1 alone."""
    register.run("update metrics set dimensions = '{tail}' where name = 'distance'")
    register.run("""update prices set terms = '{"model": "matrix", "dimensions": ["tail"],
        "cells": [{"values": ["N1"], "unit_amount": "0.50"}]}'
        where metric_id = (select id from metrics where name = 'distance')""")
    yield
    register.run("update metrics set dimensions = '{}' where name = 'distance'")


@pytest.mark.usefixtures("by_tail")
def test_a_cell_of_a_matrix_prices_the_usage_of_its_values(register, receive, drain, bill):
    receive(batch(event("1", data={"distance": 600, "tail": "N1"})))
    drain()

    assert lines(register, bill())["distance"] == (600, Decimal("300.00"))


@pytest.mark.usefixtures("by_tail")
def test_usage_in_no_cell_of_a_matrix_is_refused_and_its_draft_waits(register, receive, drain, bill):
    receive(batch(event("1", data={"distance": 600, "tail": "N2"})))
    drain()

    invoice = bill()

    assert register.rows("select code, state from exceptions") == [("usage_not_priced", "open")]
    assert register.rows("select state, pending from invoices where id = :id", id=invoice) == [("draft", 1)]


def test_values_too_long_to_be_kept_stand_for_no_dimensions():
    assert dimensions_of('{"tail": "N1", "engines": 2.5}') == {"tail": "N1", "engines": Decimal("2.5")}
    assert dimensions_of("") is None
    assert dimensions_of("sha256-00ff") is None


def test_a_tax_engine_that_is_away_costs_no_attempt(register, receive, drain, bill, monkeypatch):
    def away(_engine, _lines, *, currency):
        raise TaxEngineAway(f"no answer about {currency.code}", delay_s=60)

    receive(batch(event("1")))
    drain()
    with monkeypatch.context() as patch:
        patch.setattr(TableEngine, "taxed", away)
        invoice = bill()
        assert register.rows("select state, outcome, attempts from work where step = 'tax'") == [
            ("ready", "tax_engine_away", 0)
        ]
        assert totals(register, invoice)[0] == "draft"

    register.run("update work set due_at = now() where step = 'tax'")
    drain("tax")

    assert totals(register, invoice)[0] == "taxed"
    assert register.rows("select state, outcome, attempts from work where step = 'tax'") == [("done", "done", 0)]


def test_a_missing_tax_rate_is_refused_by_name(register, receive, drain, bill):
    register.run("truncate tax_rates")
    receive(batch(event("1")))
    drain()

    invoice = bill()

    assert totals(register, invoice)[0] == "draft"
    assert register.rows("select step, code from exceptions") == [("tax", "tax_rate_not_found")]
