"""A document with a coupon that its ERP refuses is voided, and the next run gives the coupon again, once."""

from decimal import Decimal

import pytest
from repairs_bench import MARCH, ask, confirmed, receivable

from workers.store import run_totals
from workers.store.database import engine

COUPON = """
truncate coupons cascade;
insert into coupons (name, title, percent, uses) values ('ten', 'Ten percent', 10, 1);
insert into contract_coupons (contract_id, coupon_id, place, is_given, starts_on, recorded_by)
  select c.id, p.id, 1, true, '2026-01-01', 'test' from contracts c, coupons p where c.ref = 'c-ua';
"""


@pytest.fixture
def with_coupon(month, erp, tax):
    """United's document of March, with the one use of a coupon on it, is refused."""
    month.bound.run(COUPON)
    month.use(*MARCH)
    erp.plan.append("refused")
    month.run = month.bill()
    yield month
    month.bound.run("truncate coupons cascade")


def test_what_a_void_document_gave_is_given_again_by_the_next_run(with_coupon):
    month = with_coupon
    first = month.bound.one("select net from invoices where account_id = 'ua'")
    charged = month.bound.one("select sum(l.net) from invoice_lines l join invoices i on i.id = l.invoice_id "
                              "where i.account_id = 'ua'")  # fmt: skip
    assert first == charged - (charged / 10).quantize(Decimal("0.01"), "ROUND_HALF_UP")

    ask("void")
    month.work()
    later = month.bill()
    month.let_time_pass()
    month.work()

    assert month.bound.rows("select state, net from invoices where account_id = 'ua' order by id") == [
        ("void", first), ("posted", first),
    ]  # fmt: skip
    assert (month.stage(month.run), month.stage(later)) == ("closed", "closed")
    assert receivable(month) == confirmed(month)
    month.assert_all_accounted_for(in_flight=0, excepted=0)
    for run in (month.run, later):
        with engine().begin() as conn:
            assert run_totals.differing(run_totals.of_run(conn, run)) == []
