"""A document with a coupon, explained to whoever pays it and traced by whoever audits it."""

import pytest
from operator_bench import Operator


@pytest.fixture
def billed(month):
    """A month of United in which everything costs a dollar, with a coupon on it."""
    month.bound.run("""truncate coupons cascade;
        update prices set terms = '{"model": "per_unit", "unit_amount": "1.00"}';
        insert into coupons (name, title, percent, metrics) values ('ten', 'Ten percent off', 10, '{distance}');
        insert into contract_coupons (contract_id, coupon_id, place, is_given, starts_on, recorded_by)
        select c.id, p.id, 1, true, '2026-01-01', 'test' from contracts c, coupons p where c.ref = 'c-ua'""")
    month.use(("u1", "UA", "N1", 98))
    month.bill()
    month.use(("u2", "UA", "N1", 1))
    month.bill()
    operator = Operator(month.bound.url)
    yield operator
    operator.owner.dispose()
    month.bound.run("truncate coupons cascade")


def test_a_document_explains_what_each_coupon_gave_and_on_what(billed):
    told = billed("explain", "PONY-000002").out

    assert told.endswith(
        "\n\nInvoice PONY-000002, coupon 1 beside the lines, for United\n"
        "Ten percent off gives this beside the lines, for all of 2026-03-01 to 2026-03-31.\n"
        "10 % of USD 99.00 is USD 9.90; of it on USD 99.00 for distance: USD -9.90.\n"
        "Already given on PONY-000001: USD 9.80.\n"
        "The sum before tax is USD -9.90 + USD 9.80 = USD -0.10.\n"
    )
    parts = billed.json("explain", "PONY-000002")
    assert [each.get("beside") for each in parts] == [None, None, None, "coupon"]
    assert sum(float(each["net"]) for each in parts) == float(
        billed.one("select net from invoices where number_text = 'PONY-000002'")
    )
    line = billed.one("select min(id) from invoice_lines")
    assert "beside" not in billed("explain", line).out, "a line alone is told alone"


def test_a_trace_of_a_document_shows_what_stands_beside_its_lines(billed):
    ran = billed("trace", "--invoice", "PONY-000001")

    told = " ".join(ran.out.split())
    assert ran.code == 0
    assert "coupon 1 beside the lines of invoice PONY-000001 for ua: Ten percent off, net USD -9.80" in told
    assert "coupon_percent: of 98, on 98, given 9.8, metric distance, percent 10 -> -9.8" in told
    beside = [each["beside"] for each in billed.json("trace", "--invoice", "PONY-000001") if "beside" in each]
    assert [each["net"] for each in beside] == ["-9.80"]
