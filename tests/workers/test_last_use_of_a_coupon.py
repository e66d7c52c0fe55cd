"""The last use of a coupon, and the rest of an amount, are given once, also where two drafts are taxed together."""

from datetime import date
from decimal import Decimal

import pytest

from workers.store import billing_runs
from workers.store.billing_runs import Wanted
from workers.store.database import engine

ONCE = """
truncate coupons cascade;
update prices set terms = '{{"model": "per_unit", "unit_amount": "1.00"}}';
insert into coupons (name, title, percent, uses, amount, currency, is_in_all) values ('once', 'Once', {});
insert into contract_coupons (contract_id, coupon_id, place, is_given, starts_on, recorded_by)
  select c.id, p.id, 1, true, '2026-01-01', 'test' from contracts c, coupons p where c.ref = 'c-ua'
"""


@pytest.fixture
def two_cycles(month):
    """United has a second subscription, whose periods begin on the fifteenth; both have usage of March."""
    month.bound.run("""insert into billing_cycles (legal_entity_id, name, zone, anchor_day)
        values ('pony', 'mid', 'America/New_York', 15) on conflict do nothing""")
    month.bound.run("""insert into subscriptions (ref, contract_id, cycle_id)
        select 's-ua-mid', c.id, y.id from contracts c, billing_cycles y where c.ref = 'c-ua' and y.name = 'mid'
        on conflict do nothing""")
    month.bound.run("""insert into mappings (source_id, subject, subscription_id, recorded_by)
        select s.id, 'UM', u.id, 'test' from sources s, subscriptions u where u.ref = 's-ua-mid'
        on conflict do nothing""")
    yield month
    month.bound.run("truncate coupons cascade")


def bill_both(month):
    """Ask for both periods before anybody works, so that their drafts come to be taxed together; what each comes to."""
    with engine().begin() as conn:
        for (period,) in month.bound.rows("select id from billing_periods order by id"):
            run = billing_runs.request(conn, Wanted(period, date(2026, 4, 20), date(2026, 4, 20), "ann"))
            billing_runs.press(conn, run)
    month.work()
    return sorted(net for (net,) in month.bound.rows("select net from invoices where account_id = 'ua'"))


@pytest.mark.parametrize(
    ("terms", "nets"),
    [
        ("10, 1, null, null, false", ["90.00", "100.00"]),
        ("null, null, 25, 'USD', true", ["75.00", "100.00"]),
    ],
)
def test_drafts_of_two_periods_of_a_contract_that_are_taxed_together_give_it_once(two_cycles, terms, nets):
    two_cycles.bound.run(ONCE.format(terms))
    two_cycles.use(("u1", "UA", "N1", 98), ("u2", "UM", "N2", 98))

    assert bill_both(two_cycles) == [Decimal(net) for net in nets]
