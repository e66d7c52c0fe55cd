"""Coupons of a contract on its documents: what they give stands beside the lines, and adds up everywhere.

A month of United: each departure, each different aircraft and each mile costs a dollar; Delta has no coupon.
"""

from datetime import date
from decimal import Decimal

import pytest
from billing_bench import PRICES
from billing_month import EMPTY

from workers.store import billing_looks, master, run_totals
from workers.store.database import engine

#: A dollar for each, miles taxed at another rate than the rest.
ONE_DOLLAR = """
update prices set terms = '{"model": "per_unit", "unit_amount": "1.00"}';
update prices p set tax_category = 'reduced' from metrics m where m.id = p.metric_id and m.name = 'distance';
insert into tax_rates (jurisdiction, category, rate, starts_on, source)
  values ('US-NY', 'reduced', 4, '2013-01-01', 'test');
"""


@pytest.fixture
def sold(month, tmp_path):
    """Publish coupons, and which of them United's contract has."""
    month.bound.run("truncate coupons cascade")
    month.bound.run(ONE_DOLLAR)

    def publish(coupons: str, *given: str) -> None:
        file = tmp_path / "coupons.yaml"
        listed = "".join(f"\n      - {{{each}}}" for each in given)
        file.write_text(f"coupons: {coupons}\ncontracts:\n  c-ua:\n    coupons:{listed or ' []'}\n")
        master.load(engine(), file, person="ann")

    yield publish
    month.bound.run("truncate coupons cascade")


def given(month, run):
    """(coupon, revenue account, net) of what a run's documents give, by coupon and account."""
    return [
        tuple(row)
        for row in month.bound.rows(
            """select c.name, a.revenue_account, a.net::text from invoice_adjustments a
            join coupons c on c.id = a.coupon_id join invoices i on i.id = a.invoice_id
            where i.billing_run_id = :run order by 1, 2""",
            run=run,
        )
    ]


def net_of(month, run):
    """(net, tax, gross) of United's document of a run."""
    (document,) = [each for each in month.documents(run) if each[0] == "ua"]
    return document[4:]


def whole(month):
    """What all documents of United that are not void hold: lines, adjustments, taxes by rate."""
    return (
        month.bound.one("""select coalesce(sum(l.net), 0) from invoice_lines l join invoices i on i.id = l.invoice_id
            where i.state <> 'void' and i.account_id = 'ua'"""),
        month.bound.rows("""select c.name, a.revenue_account, sum(a.net) from invoice_adjustments a
            join coupons c on c.id = a.coupon_id join invoices i on i.id = a.invoice_id
            where i.state <> 'void' group by 1, 2 having sum(a.net) <> 0 order by 1, 2"""),
        month.bound.one("select sum(net) from invoices where state <> 'void' and account_id = 'ua'"),
    )


def test_a_percentage_is_given_beside_the_lines_and_taxed_with_them_at_two_rates(month, sold):
    sold("{ten: {title: Ten percent, percent: '10'}}", "coupon: ten, from: 2026-01-01")
    month.use(("u1", "UA", "N1", 98), ("d1", "DL", "N2", 98))

    run = month.bill()

    # 98 miles, a departure, an aircraft: 100.00; 10.00 of it is given, 9.80 of that on miles
    assert given(month, run) == [
        ("ten", "revenue:aircraft", "-0.10"), ("ten", "revenue:departures", "-0.10"),
        ("ten", "revenue:distance", "-9.80"),
    ]  # fmt: skip
    # 4 % of 88.20 is 3.528, 8.875 % of 1.80 is 0.15975
    assert net_of(month, run) == ("90.00", "3.69", "93.69")
    assert month.bound.rows("""select category, t.net::text, t.tax::text from invoice_taxes t
        join invoices i on i.id = t.invoice_id where i.account_id = 'ua' order by 1""") == [
        ("reduced", "88.20", "3.53"), ("standard", "1.80", "0.16"),
    ]  # fmt: skip
    assert [each[4] for each in month.documents(run)] == ["100.00", "90.00"], "Delta pays in full"
    month.assert_all_accounted_for()


def test_journal_erp_and_control_totals_hold_what_was_given(month, sold):
    sold("{ten: {title: Ten percent, percent: '10'}}", "coupon: ten, from: 2026-01-01")
    month.use(("u1", "UA", "N1", 98))

    run = month.bill()

    assert (month.stage(run), month.blockers(run)) == ("closed", {})
    with engine().connect() as conn:
        totals = run_totals.of_run(conn, run)
    assert run_totals.differing(totals) == []
    assert {(each.net, each.tax, each.gross) for each in totals} == {
        (Decimal("90.00"), Decimal("3.69"), Decimal("93.69"))
    }
    legs = month.bound.rows("""select ledger_account, amount::text from postings p
        join journal_entries j on j.id = p.journal_entry_id join invoices i on i.id = j.invoice_id
        where i.account_id = 'ua' order by 1""")
    assert ("revenue:distance", "-88.20") in legs
    assert month.bound.one("select sum(amount) from postings") == 0
    (written,) = month.ledger.glob("*/tl-*.journal")
    assert "; adjustment-3: -9.80 USD | Ten percent | 2026-03-01/2026-04-01 | reduced 4% | revenue:distance" in (
        written.read_text()
    )


def test_late_usage_is_given_its_part_too(month, sold):
    sold("{ten: {title: Ten percent, percent: '10'}}", "coupon: ten, from: 2026-01-01")
    month.use(("u1", "UA", "N1", 98))
    month.bill()
    month.use(("u2", "UA", "N1", 49))

    run = month.bill()

    # a departure and 49 miles more: 50.00; 15.00 of 150.00 in all, 10.00 of it before
    assert sum(Decimal(net) for _, _, net in given(month, run)) == Decimal("-5.00")
    assert net_of(month, run)[0] == "45.00"
    month.assert_all_accounted_for()


def test_coupons_give_one_after_another_in_their_order(month, sold):
    coupons = """{ten: {title: Ten percent, percent: '10'}, fifty: {title: Fifty, amount: '50', currency: USD}}"""
    sold(coupons, "coupon: fifty, from: 2026-01-01, place: 1", "coupon: ten, from: 2026-01-01, place: 2")
    month.use(("u1", "UA", "N1", 98))

    run = month.bill()

    # 50 of 100 first, then 10 % of what is left
    assert net_of(month, run)[0] == "45.00"
    assert sum(Decimal(net) for name, _, net in given(month, run) if name == "ten") == -5


def test_of_one_place_a_percentage_gives_before_an_amount(month, sold):
    coupons = """{ten: {title: Ten percent, percent: '10'}, fifty: {title: Fifty, amount: '50', currency: USD}}"""
    sold(coupons, "coupon: fifty, from: 2026-01-01", "coupon: ten, from: 2026-01-01")
    month.use(("u1", "UA", "N1", 98))

    assert net_of(month, month.bill())[0] == "40.00"


def test_an_amount_never_gives_more_than_there_is_and_the_rest_follows_with_late_usage(month, sold):
    sold("{big: {title: Big, amount: '120', currency: USD}}", "coupon: big, from: 2026-01-01")
    month.use(("u1", "UA", "N1", 98))

    assert net_of(month, month.bill()) == ("0.00", "0.00", "0.00")

    month.use(("u2", "UA", "N1", 49))
    run = month.bill()

    assert sum(Decimal(net) for _, _, net in given(month, run)) == -20
    assert net_of(month, run)[0] == "30.00"
    month.assert_all_accounted_for()


def test_a_coupon_for_a_product_and_one_for_a_metric_give_on_their_lines_alone(month, sold):
    month.bound.run("insert into products (id, name) values ('air', 'Air') on conflict do nothing")
    month.bound.run("update metrics set product_id = 'air' where name = 'distance'")
    coupons = """{miles: {title: Miles, percent: '50', products: [air]},
      flights: {title: Flights, percent: '100', metrics: [departures]}}"""
    sold(coupons, "coupon: miles, from: 2026-01-01", "coupon: flights, from: 2026-01-01")
    month.use(("u1", "UA", "N1", 98))

    run = month.bill()
    month.bound.run("update metrics set product_id = null")

    assert given(month, run) == [
        ("flights", "revenue:departures", "-1.00"), ("miles", "revenue:distance", "-49.00"),
    ]  # fmt: skip
    assert net_of(month, run)[0] == "50.00"


@pytest.mark.parametrize(
    ("terms", "since"),
    [
        ("percent: '10', expires: 2026-03-31", "from: 2026-01-01"),  # the day after the last on which it gives
        ("percent: '10'", "from: 2026-01-01, to: 2026-03-31"),
        ("percent: '10'", "from: 2026-04-01"),
        ("percent: '10'", "from: 2026-01-01, given: false"),
    ],
)
def test_a_coupon_counts_if_it_is_given_on_the_last_day_of_service(month, sold, terms, since):
    sold(f"{{ten: {{title: Ten, {terms}}}}}", f"coupon: ten, {since}")
    month.use(("u1", "UA", "N1", 98))

    run = month.bill()

    assert (given(month, run), net_of(month, run)[0]) == ([], "100.00")


def used_elsewhere(month, *, net: str, state: str = "posted") -> int:
    """A document of February on which United's coupon gave something."""
    month.bound.run(
        """with p as (insert into billing_periods (cycle_id, starts_on, ends_on, starts_at, ends_at)
             select id, '2026-02-01', '2026-03-01', '2026-02-01 05:00Z', '2026-03-01 05:00Z' from billing_cycles
             where legal_entity_id = 'pony' returning id),
           r as (insert into billing_runs (billing_period_id, lot, stage, invoice_on, posting_on, requested_by)
             select id, 1, 'closed', '2026-03-01', '2026-02-28', 'test' from p returning id, billing_period_id),
           i as (insert into invoices (billing_run_id, legal_entity_id, account_id, contract_id, state, currency,
               pending, invoice_on, posting_on, service_starts_on, service_ends_on, net, tax, gross, correlation_id,
               series, number, number_text)
             select r.id, 'pony', 'ua', c.id, :state, 'USD', 0, '2026-03-01', '2026-02-28', '2026-02-01', '2026-03-01',
               0, 0, 0, 'feb', 'invoice', 900000, 'PONY-900000' from r, contracts c where c.ref = 'c-ua' returning *)
           insert into invoice_adjustments (invoice_id, position, contract_id, billing_period_id, kind, coupon_id,
             description, net, tax_category, tax_rate, tax_evidence, revenue_account, service_starts_on,
             service_ends_on, trace)
           select i.id, 1, i.contract_id, r.billing_period_id, 'coupon', c.id, 'x', cast(:net as numeric), 'standard',
             8.875, '{"engine": "table", "jurisdiction": "US-NY", "category": "standard", "percent": "8.875",
               "tax_point_on": "2026-02-28", "source": "test"}', 'revenue:aircraft', '2026-02-01', '2026-03-01', '[]'
           from i, r, coupons c limit 1""",
        net=net, state=state,
    )  # fmt: skip
    return int(month.bound.one("select id from invoices where correlation_id = 'feb'"))


def test_the_last_use_is_counted_by_billing_period_and_a_void_document_gives_it_back(month, sold):
    sold("{once: {title: Once, percent: '10', uses: 1}}", "coupon: once, from: 2026-01-01")
    used_elsewhere(month, net="-10.00", state="issued")
    month.use(("u1", "UA", "N1", 98))
    assert net_of(month, month.bill())[0] == "100.00"

    month.bound.run("update invoices set state = 'void' where correlation_id = 'feb'")
    month.use(("u2", "UA", "N1", 49))

    assert net_of(month, month.bill())[0] == "35.00"  # 50.00 more, and 10 % of 150.00


def test_an_amount_in_all_is_used_up_over_periods(month, sold):
    terms = "{gift: {title: Gift, amount: '25', currency: USD, amount_is: in_all}}"
    sold(terms, "coupon: gift, from: 2026-01-01")
    used_elsewhere(month, net="-20.00")
    month.use(("u1", "UA", "N1", 98))

    assert net_of(month, month.bill())[0] == "95.00"


def has_something_to_bill(month):
    with engine().connect() as conn:
        (cycle,) = billing_looks.cycles(conn, "pony").values()
        period = billing_looks.period(conn, cycle, date(2026, 3, 1))
        return billing_looks.has_new_usage(conn, period)


def test_a_coupon_that_is_given_later_or_taken_away_is_a_document_of_its_own(month, sold):
    month.use(("u1", "UA", "N1", 98))
    assert net_of(month, month.bill())[0] == "100.00"
    assert not has_something_to_bill(month)

    sold("{ten: {title: Ten percent, percent: '10'}}", "coupon: ten, from: 2026-01-01")
    assert has_something_to_bill(month)
    credit = month.bill()
    assert not has_something_to_bill(month)

    (document,) = [each for each in month.documents(credit) if each[0] == "ua"]
    assert document[1:3] + document[4:] == ("credit_note", "posted", "-10.00", "-0.41", "-10.41")
    assert (month.stage(credit), month.blockers(credit)) == ("closed", {})
    with engine().connect() as conn:
        totals = run_totals.of_run(conn, credit)
    assert (run_totals.differing(totals), {each.lines for each in totals}) == ([], {0, None})

    sold("{}", "coupon: ten, from: 2026-01-01, given: false")
    assert net_of(month, month.bill())[0] == "10.00"
    assert whole(month) == (100, [], 100)
    assert [each[2] for each in month.documents(month.bill())] == ["empty"]


def test_a_minimum_is_topped_up_over_all_charges_and_late_usage_takes_it_off_again(month, sold, limited):
    limited("minimum: '150', tax_category: standard, revenue_account: commitment")
    month.use(("u1", "UA", "N1", 98))

    assert net_of(month, month.bill())[0] == "150.00"
    month.use(("u2", "UA", "N1", 29))
    assert net_of(month, month.bill())[0] == "0.00"
    month.use(("u3", "UA", "N1", 99))
    assert net_of(month, month.bill())[0] == "80.00"  # 230.00 in all

    assert month.bound.one("select sum(amount) from postings where ledger_account = 'commitment'") == 0
    month.assert_all_accounted_for()


def test_a_minimum_is_asked_for_without_any_usage(month, sold, limited):
    limited("minimum: '150', tax_category: standard, revenue_account: commitment")
    month.use(("d1", "DL", "N1", 1))

    run = month.bill()

    # 8.875 % of 150.00 is 13.3125
    assert (net_of(month, run), month.stage(run)) == (("150.00", "13.31", "163.31"), "closed")
    assert month.documents(month.bill()) == []


def test_a_maximum_is_asked_for_at_most_and_counts_what_a_coupon_left(month, sold, limited):
    limited("maximum: '60'")
    sold("{ten: {title: Ten percent, percent: '10'}}", "coupon: ten, from: 2026-01-01")
    month.use(("u1", "UA", "N1", 98))
    run = month.bill()
    assert net_of(month, run)[0] == "60.00"
    assert month.bound.rows("select kind, sum(net) from invoice_adjustments group by 1 order by 1") == [
        ("coupon", -10), ("maximum", -30),
    ]  # fmt: skip

    month.use(("u2", "UA", "N1", 49))
    assert net_of(month, month.bill())[0] == "0.00"
    month.assert_all_accounted_for()


@pytest.fixture
def limited(month, tmp_path):
    """Publish limits for United from March on, with the prices that it has."""

    def publish(limits: str) -> None:
        version = 1 + month.bound.one("select max(version) from contract_versions")
        metrics = ("departures", "standard"), ("aircraft", "standard"), ("distance", "reduced")
        prices = "\n".join(
            f"          {metric}: {{tax_category: {category}, revenue_account: 'revenue:{metric}',"
            " terms: {model: per_unit, unit_amount: '1.00'}}"
            for metric, category in metrics
        )
        file = tmp_path / "limits.yaml"
        file.write_text(
            f"contracts:\n  c-ua:\n    versions:\n      - version: {version}\n        from: 2026-03-01\n"
            f"        limits: {{{limits}}}\n        prices:\n{prices}\n"
        )
        master.load(engine(), file, person="ann")

    yield publish
    month.bound.run("truncate contract_limits cascade")


def test_the_same_usage_in_any_order_and_twice_comes_to_the_same(month, sold):
    coupons = """{ten: {title: Ten percent, percent: '7.5'}, gift: {title: Gift, amount: '33.33', currency: USD}}"""
    sold(coupons, "coupon: gift, from: 2026-01-01, place: 1", "coupon: ten, from: 2026-01-01, place: 2")
    uses = [(f"u{n}", "UA", f"N{n % 3}", 7 * n) for n in range(1, 9)]
    month.use(*uses[::2])
    month.bill()
    month.use(*uses[1::2], *uses[:3])
    month.bill()
    in_two = whole(month)

    month.bound.run(EMPTY)
    month.bound.run(PRICES + ONE_DOLLAR)
    month.bound.run("update erp_connections set adapter = 'ledger-file'")
    month.use(*reversed(uses), *uses)
    month.bill()

    assert whole(month) == in_two
    # 252 miles, 8 departures, 3 aircraft: 263.00, less 33.33, less 7.5 % of 229.67
    assert in_two[2] == Decimal("212.44")
