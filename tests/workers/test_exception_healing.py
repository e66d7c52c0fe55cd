"""Dead work heals by itself when the price or the tax rate that it died for is there, whoever brought it."""

from decimal import Decimal

import pytest
from billing_bench import PRICES

from workers import ticks
from workers.store import parked
from workers.store.database import engine

STATES = (
    "select x.code, x.state, x.closed_by, x.reason, w.state, w.lane from exceptions x join work w on w.id = x.work_id"
)


@pytest.fixture
def died(month):
    """A month whose drafts cannot be rated or taxed for want of something; what it waits for."""

    def run(statement: str) -> int:
        month.use(("a", "UA", "N1", 1000))
        month.bound.run(statement)
        return int(month.request())

    return run


def bring(month) -> None:
    """What was missing is there."""
    month.bound.run(PRICES)
    month.bound.run("update erp_connections set adapter = 'ledger-file'")


def test_a_draft_without_a_tax_rate_is_taxed_when_the_rate_is_there(month, died):
    run = died("delete from tax_rates")
    assert month.bound.rows("select code, cause, state from exceptions") == [
        ("tax_rate_not_found", "tax_rate/US-NY/standard", "open")
    ]
    ticks.heal_dead()
    assert month.bound.rows("select code, state from exceptions") == [("tax_rate_not_found", "open")]

    bring(month)
    ticks.heal_dead()

    healed = ("tax_rate_not_found", "resolved", "tallyline", "healed: its tax rate is there now", "ready", "replay")
    assert month.bound.rows(STATES) == [healed]
    month.work()
    month.let_time_pass()
    month.work()
    month.approve(run)
    assert month.stage(run) == "closed"
    # 41.2575 -> 41.26, 275.15, 118.12505 -> 118.13, and 8.875 % of 434.54
    assert [row[4:] for row in month.documents(run) if row[0] == "ua"] == [("434.54", "38.57", "473.11")]
    month.assert_all_accounted_for()


def test_a_subscription_without_a_price_is_rated_when_the_price_is_there(month, died):
    run = died("delete from prices where revenue_account = 'revenue:distance'")
    assert month.bound.rows("select cause, account_id, subscription_id is null from exceptions") == [
        ("price/c-ua/distance", "ua", False)
    ]

    bring(month)
    ticks.heal_dead()
    month.work()
    month.let_time_pass()
    month.work()
    month.approve(run)

    assert month.stage(run) == "closed"
    assert [Decimal(row[4]) for row in month.documents(run) if row[0] == "ua"] == [Decimal("434.54")]
    assert month.bound.rows("select state from exceptions") == [("resolved",)]
    month.assert_all_accounted_for()


def test_a_row_that_dies_again_of_something_else_waits_for_that(month, died):
    died("delete from prices where revenue_account <> 'revenue:departures'")
    assert month.bound.one("select count(*) from exceptions where state = 'open'") == 1

    month.bound.run("""insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
      select v.id, m.id, '{"model": "per_unit", "unit_amount": "1"}', 'standard', 'r'
      from contract_versions v, metrics m
      where m.name = (select facts ->> 'metric' from exceptions)""")
    ticks.heal_dead()
    month.work()

    # the same row and code, so the same exception, which now waits for the other metric
    ((state, seen, metric, cause),) = month.bound.rows("select state, seen, facts ->> 'metric', cause from exceptions")
    assert (state, seen, cause) == ("open", 2, f"price/c-ua/{metric}")
    assert [row[0] for row in month.bound.rows("select act from exception_history order by id")] == [
        "opened", "resolved", "reopened",
    ]  # fmt: skip


def test_of_two_tax_rates_the_older_one_has_to_end(month, died):
    run = died("""insert into tax_rates (jurisdiction, category, rate, starts_on, source)
      values ('US-NY', 'standard', 9, '2020-01-01', 'test')""")
    assert month.bound.rows("select code, cause from exceptions") == [("tax_rate_ambiguous", "tax_rate/US-NY/standard")]
    ticks.heal_dead()
    assert month.bound.rows("select state from exceptions") == [("open",)]

    month.bound.run("update tax_rates set ends_on = '2020-01-01' where starts_on < '2020-01-01'")
    ticks.heal_dead()
    month.work()

    assert [row[2] for row in month.documents(run) if row[0] == "ua"] == ["taxed"]


def test_what_is_being_worked_on_is_left_to_whoever_does(month, died):
    died("delete from tax_rates")
    bring(month)

    with month.bound.owner.begin() as conn:
        conn.exec_driver_sql("select 1 from work where state = 'dead' for update")
        ticks.heal_dead()
        assert month.bound.rows("select state from exceptions") == [("open",)]

    with engine().begin() as conn:
        assert len(parked.heal_dead(conn)) == 1
