"""A forecast of a replay counts what coupons and limits of a contract give and ask, to the cent."""

from decimal import Decimal

import pytest
from line_bench import batch, event
from replay_bench import REPAIRED, UNKNOWN_SUBJECT, bill, carry_out, forecast, fresh, open_ids, plan, wanted

from workers.store import parked
from workers.store.database import engine

pytestmark = pytest.mark.timeout(280)

COUPONS = """
insert into coupons (name, title, percent) values ('ten', 'Ten percent', 10);
insert into coupons (name, title, amount, currency) values ('gift', 'Gift', 500, 'USD');
insert into contract_coupons (contract_id, coupon_id, place, is_given, starts_on, recorded_by)
  select c.id, p.id, p.id, true, '2026-01-01', 'test' from contracts c, coupons p where c.ref = 'c-ua';
"""
LIMITS = """
insert into contract_limits select v.id, 1000, 1500, 'standard', 'revenue:minimum' from contract_versions v
  join contracts c on c.id = v.contract_id where c.ref = 'c-ua';
"""
TO_UNITED = REPAIRED.replace("else 's-dl'", "else 's-ua'")


@pytest.fixture
def clean(month):
    month.bound.run("truncate coupons, contract_limits cascade")
    fresh(month)
    yield month
    month.bound.run("truncate coupons, contract_limits cascade")


def receive(month, *uses):
    sent = [
        event(name, subject=subject, data={"tail": f"N-{name}", "distance": miles}) for name, subject, miles in uses
    ]
    month.receive(batch(*sent))
    month.work("validate", "enrich", "aggregate")


@pytest.mark.parametrize("terms", [COUPONS, LIMITS, COUPONS + LIMITS])
@pytest.mark.parametrize("is_billed", [False, True])
@pytest.mark.parametrize("count", [1, 12])
def test_it_says_what_the_next_document_will_be(clean, terms, is_billed, count):
    month = clean
    month.bound.run(terms)
    receive(month, ("u1", "UA", 900), ("d1", "DL", 10))
    receive(month, *((f"x{n}", UNKNOWN_SUBJECT, 300) for n in range(count)))
    if is_billed:
        bill(month)
    month.bound.run(TO_UNITED)

    told = forecast(wanted(*open_ids(month)))
    carry_out(month, plan(wanted(*open_ids(month))))

    (document,) = told["documents"]
    assert document["account"] == "ua"
    assert Decimal(document["after"]) == bill(month)["ua"]
    month.assert_all_accounted_for()


def test_a_draft_that_waits_for_its_lines_gives_its_own_part(clean):
    month = clean
    month.bound.run(COUPONS)
    receive(month, ("u1", "UA", 900))
    receive(month, ("x1", UNKNOWN_SUBJECT, 300))
    month.bound.run("delete from tax_rates")
    run = month.request()
    for code in month.blockers(run):
        month.override(run, code)
    assert month.bound.rows("select state from invoices where account_id = 'ua'") == [("draft",)]
    month.bound.run(TO_UNITED)
    subjects = open_ids_of(month, UNKNOWN_SUBJECT)

    told = forecast(wanted(*subjects))
    carry_out(month, plan(wanted(*subjects)))
    month.bound.run("""insert into tax_rates (jurisdiction, category, rate, starts_on, source)
      values ('US-NY', 'standard', 8.875, '2013-01-01', 'test')""")
    with engine().begin() as conn:
        parked.heal_dead(conn)
    month.let_time_pass()
    month.work()
    month.approve(run)

    (document,) = told["documents"]
    assert (document["before"], document["document"]) == ("0.00", "correction of the next run")
    assert Decimal(document["after"]) == bill(month)["ua"]


def open_ids_of(month, subject):
    found = month.bound.rows("select id from exceptions where state = 'open' and subject = :s order by id", s=subject)
    return [row[0] for row in found]
