"""A document that is voided after a later run found nothing to bill for its contract is billed again all the same."""

from datetime import date

from repairs_bench import MARCH, ask, confirmed, receivable

from workers.store import billing_looks
from workers.store.database import engine

#: A coupon that is over: the run that follows makes a draft because of it, which is empty.
COUPON = """
insert into coupons (name, title, percent, expires_on) values ('none', 'Over', 10, '2026-02-01');
insert into contract_coupons (contract_id, coupon_id, place, is_given, starts_on, recorded_by)
  select c.id, p.id, 1, true, '2026-01-01', 'test' from contracts c, coupons p where c.ref = 'c-ua';
"""


def test_its_usage_is_billed_by_the_next_run(month, erp, tax):
    month.bound.run("truncate coupons cascade")
    month.use(*MARCH)
    erp.plan.append("refused")
    first = month.bill()
    month.bound.run(COUPON)
    second = month.bill()
    assert [row[2] for row in month.documents(second)] == ["empty"]

    ask("void")
    month.work()
    with engine().connect() as conn:
        (cycle,) = billing_looks.cycles(conn, "pony").values()
        period = billing_looks.period(conn, cycle, date(2026, 3, 1))
        assert billing_looks.has_new_usage(conn, period)
    third = month.bill()
    month.let_time_pass()
    month.work()
    month.bound.run("truncate coupons cascade")

    assert [row[2] for row in month.documents(third)] == ["posted"]
    assert [month.stage(run) for run in (first, second, third)] == ["closed"] * 3
    assert receivable(month) == confirmed(month)
    month.assert_all_accounted_for(in_flight=0, excepted=0)
