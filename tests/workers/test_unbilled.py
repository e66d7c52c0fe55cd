"""Every active subscription of a billed period ends with a document or a named reason."""

import pytest
from line_bench import batch, event

from workers.store import unbilled
from workers.store.database import snapshot

MARCH = (("u1", "UA", "N1", 1400), ("u2", "UA", "N1", 1400), ("d1", "DL", "N3", 500))
#: A third subscription of a contract of its own; each test takes it away again.
THIRD = """
insert into accounts values ('b6', 'JetBlue') on conflict do nothing;
insert into contracts (ref, account_id, legal_entity_id, currency) values ('c-b6', 'b6', 'pony', 'USD')
  on conflict do nothing;
insert into contract_versions (contract_id, version, starts_at, recorded_by)
  select id, 1, '2020-01-01', 'test' from contracts where ref = 'c-b6' on conflict do nothing;
insert into subscriptions (ref, contract_id, cycle_id)
  select 's-b6', c.id, y.id from contracts c, billing_cycles y where c.ref = 'c-b6' on conflict do nothing;
insert into mappings (source_id, subject, subscription_id, recorded_by)
  select s.id, 'B6', u.id, 'test' from sources s, subscriptions u where u.ref = 's-b6' on conflict do nothing;
update subscriptions set starts_at = '0001-01-01 00:00:00+00' where ref = 's-b6';
"""
PRICED = """
insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
  select v.id, p.metric_id, p.terms, p.tax_category, p.revenue_account from prices p, contract_versions v
  join contracts c on c.id = v.contract_id where c.ref = 'c-b6' on conflict do nothing
"""


@pytest.fixture
def third(month):
    month.bound.run(THIRD)
    month.bound.run(PRICED)
    yield month
    month.bound.run("delete from mappings where subject = 'B6'")
    for table in ("prices", "rated_usages"):
        month.bound.run(f"truncate {table} cascade")
    month.bound.run("truncate invoices, work, billing_runs cascade")
    month.bound.run("delete from subscriptions where ref = 's-b6'")
    month.bound.run("delete from contract_versions v using contracts c where c.id = v.contract_id and c.ref = 'c-b6'")
    month.bound.run("delete from contracts where ref = 'c-b6'")


def reasons(month, **how):
    with snapshot() as conn:
        found = unbilled.of_period(conn, month.period, **how)
    return {each.subscription: each.reason for each in found}


def one(month, subscription="s-b6"):
    with snapshot() as conn:
        (found,) = [each for each in unbilled.of_period(conn, month.period) if each.subscription == subscription]
    return found


def test_a_subscription_without_any_usage_is_listed_with_that_reason(third):
    third.use(*MARCH)
    third.bill()

    assert reasons(third) == {"s-b6": "nothing_due"}
    assert (one(third).account, one(third).contract) == ("b6", "c-b6")


def test_one_that_was_billed_without_usage_is_not_listed(third):
    third.bound.run("""update prices set terms = '{"model": "graduated", "zero_usage": "first_tier_flat", "tiers": [
      {"up_to": null, "unit_amount": "0", "flat_amount": "7.50"}]}'
      where metric_id in (select id from metrics where name = 'distance')""")
    third.use(*MARCH)
    third.bill()

    assert reasons(third) == {}


def test_one_whose_usage_is_all_excluded_names_the_rules(third):
    third.bound.run(
        """insert into exclusion_rules (name, meter_id, conditions, reason)
           select 'crew flights', id, '[{"property": "tail", "op": "equals", "value": "CREW"}]', 'no passengers'
           from meters"""
    )
    third.use(*MARCH, ("b1", "B6", "CREW", 10), ("b2", "B6", "CREW", 10))
    third.bill()

    found = one(third)
    assert (found.reason, found.usages, found.excluded) == ("all_excluded", 0, {"crew flights": 6})


def test_one_whose_usage_is_in_exception_names_the_codes(third):
    third.receive(batch(event("b1", subject="B6", data={"tail": None})))
    third.use(*MARCH)
    run = third.request()
    third.override(run, "quantity_missing")
    third.approve(run)

    with snapshot() as conn:
        found = {each.subscription: each for each in unbilled.of_period(conn, third.period)}
    assert found == {}  # its other metrics are billed


def test_a_rating_that_is_dead_and_one_that_was_left_out(third):
    third.use(*MARCH, ("b1", "B6", "N7", 10))
    third.bound.run(
        """delete from prices where contract_version_id in (
             select v.id from contract_versions v join contracts c on c.id = v.contract_id where c.ref = 'c-b6')"""
    )
    run = third.request()
    assert reasons(third)["s-b6"] == "in_exception"
    assert one(third).exceptions == {"price_not_found": 1}

    third.override(run, "drafts_blocked")
    assert reasons(third) == {"s-b6": "left_to_next_run", "s-dl": "draft_held", "s-ua": "draft_held"}
    third.approve(run)
    assert reasons(third) == {"s-b6": "left_to_next_run"}
    assert one(third).usages == 3


def test_a_draft_that_cannot_be_taxed_is_in_exception_for_all_its_subscriptions(third):
    third.use(*MARCH)
    third.bound.run("delete from tax_rates")
    third.request()

    with snapshot() as conn:
        found = {each.subscription: each.exceptions for each in unbilled.of_period(conn, third.period)}
    assert found["s-ua"] == found["s-dl"] == {"tax_rate_not_found": 1}


def test_usage_that_came_after_the_seal_is_left_to_the_next_run_unless_it_is_billed_already(third):
    third.use(*MARCH)
    third.bill()
    third.use(("b1", "B6", "N7", 10))

    assert reasons(third) == {"s-b6": "left_to_next_run"}


def test_before_drafts_are_made_all_waits_for_what_is_in_the_way_of_the_run(third):
    third.use(*MARCH, ("x1", "ZZ", "N9", 100))
    third.request()

    assert set(reasons(third).values()) == {"run_blocked"}


def test_while_nothing_is_in_the_way_it_is_on_its_way(third):
    third.use(*MARCH)
    third.bound.run(
        """insert into billing_runs (billing_period_id, lot, invoice_on, posting_on, requested_by)
           select id, lot, '2026-03-31', '2026-03-31', 'bob' from billing_periods where id = :id""",
        id=third.period,
    )

    assert set(reasons(third).values()) == {"on_its_way"}


def test_a_draft_that_is_made_and_empty_is_not_on_its_way_while_another_is_blocked(third):
    third.use(*MARCH)
    third.bound.run(
        """delete from prices where contract_version_id in (
             select v.id from contract_versions v join contracts c on c.id = v.contract_id where c.ref = 'c-ua')"""
    )
    third.request()

    assert third.bound.rows(
        "select state from invoices i join contracts c on c.id = i.contract_id where c.ref = 'c-b6'"
    ) == [("empty",)]
    assert reasons(third) == {"s-b6": "nothing_due", "s-dl": "draft_held", "s-ua": "in_exception"}


def test_one_that_is_not_active_is_told_only_if_all_are_asked_for(third):
    third.bound.run("update subscriptions set starts_at = '2027-01-01' where ref = 's-b6'")
    third.use(*MARCH)
    third.bill()

    assert reasons(third) == {}
    assert reasons(third, is_all=True) == {"s-b6": "not_active"}
