"""A price with adjustments comes from a master data file, is billed, and its line tells every step of it."""

from decimal import Decimal

import pytest

from workers.store import master, trace
from workers.store.database import engine
from workers.store.master import MasterInvalid

FILE = """
contracts:
  c-ua:
    account: ua
    legal_entity: pony
    currency: USD
    versions:
      - version: {version}
        from: {since}
        prices:
          departures: {{tax_category: standard, revenue_account: income, terms: {{model: per_unit, unit_amount: "0"}}}}
          aircraft: {{tax_category: standard, revenue_account: income, terms: {{model: per_unit, unit_amount: "0"}}}}
          distance:
            tax_category: standard
            revenue_account: income
            terms: {{model: per_unit, unit_amount: "2.00", adjustments: {adjustments}}}
"""
ALL = """{convert: {divisor: "100", rounding: ceiling}, free_units: "3", percentage: "12.5", maximum: "40",
  minimum: {amount: "20"}}"""


@pytest.fixture
def sold(month, tmp_path):
    """Publish the price of a hundred miles for United with these adjustments, in force from March on."""

    def publish(adjustments: str, *, since: str = "2026-03-01") -> None:
        version = 1 + month.bound.one("select max(version) from contract_versions")
        file = tmp_path / "adjusted.yaml"
        file.write_text(FILE.format(version=version, since=since, adjustments=adjustments))
        master.load(engine(), file, person="ann")

    return publish


@pytest.fixture
def line(month):
    """The line of a run for the miles of United."""

    def find(run):
        invoice = month.bound.one("select id from invoices where billing_run_id = :r and account_id = 'ua'", r=run)
        with engine().connect() as conn:
            (found,) = [each for each in trace.lines_of_invoice(conn, str(invoice)) if each["metric"] == "distance"]
            return found, trace.behind(conn, found, events=5)

    return find


def steps(line):
    return [(step["rule"], Decimal(step["amount"])) for step in line["trace"]]


def test_an_adjusted_price_of_a_file_is_billed_and_its_line_tells_every_step(month, sold, line):
    sold(ALL)
    month.use(("u1", "UA", "N1", 1401), ("u2", "UA", "N1", 100))

    found, behind = line(month.bill())

    # 1,501 miles are 16 started hundreds, 13 of them paid: 26.00, less 12.5 %
    assert (found["net"], found["quantity"]) == (Decimal("22.75"), 1501)
    assert steps(found) == [("converted", 0), ("free_units", 0), ("per_unit", 26), ("discount", Decimal("-3.25"))]
    assert behind["is_proven"]
    month.assert_all_accounted_for()


def test_late_usage_bills_what_the_adjusted_total_rises_by_and_no_more(month, sold, line):
    sold(ALL)
    month.use(("u1", "UA", "N1", 900))
    first, _ = line(month.bill())
    assert (first["net"], steps(first)[-1]) == (20, ("minimum", Decimal("9.5")))

    month.use(("u2", "UA", "N1", 200))
    second, _ = line(month.bill())
    assert second["net"] == 0  # 11 started hundreds, 8 of them paid: 14.00, still below the minimum

    month.use(("u3", "UA", "N1", 9000))
    third, _ = line(month.bill())

    assert (third["net"], steps(third)[-1]) == (20, ("maximum", Decimal("-131.5")))
    month.assert_all_accounted_for()


def test_a_minimum_is_billed_for_a_month_without_usage(month, sold, line):
    sold("""{minimum: {amount: "20"}}""")
    month.use(("d1", "DL", "N1", 1))

    found, _ = line(month.bill())

    assert (found["net"], found["quantity"], steps(found)[-1]) == (20, 0, ("minimum", 20))


def test_a_minimum_counts_for_the_days_that_its_version_is_in_force(month, sold):
    sold("""{minimum: {amount: "62"}}""")
    sold("""{minimum: {amount: "93"}}""", since="2026-03-11")
    month.use(("d1", "DL", "N1", 1))

    run = month.bill()

    rows = month.bound.rows(
        """select l.net from invoice_lines l join invoices i on i.id = l.invoice_id
        where i.billing_run_id = :run and i.account_id = 'ua' order by l.net""",
        run=run,
    )
    assert [net for (net,) in rows] == [20, 63]  # 10 of 31 days of 62, 21 of 31 days of 93


def test_a_minimum_without_usage_is_given_back_once_usage_has_one_of_its_own(month, sold):
    month.bound.run("update metrics set dimensions = '{tail}' where name = 'distance'")
    sold("""{minimum: {amount: "20"}}""")
    month.use(("d1", "DL", "N1", 1))
    month.bill()
    month.use(("u1", "UA", "N1", 12))

    run = month.bill()

    rows = month.bound.rows(
        """select r.dimensions, l.net from invoice_lines l join invoices i on i.id = l.invoice_id
        join rated_usages r on r.id = l.rated_usage_id join metrics m on m.id = l.metric_id
        where i.billing_run_id = :run and i.account_id = 'ua' and m.name = 'distance' order by l.net""",
        run=run,
    )
    assert rows == [("", -20), ('{"tail": "N1"}', 24)]
    month.bound.run("update metrics set dimensions = '{}' where name = 'distance'")


def test_adjustments_that_make_no_sense_are_refused_with_their_place_in_the_file(sold):
    with pytest.raises(MasterInvalid) as refused:
        sold("""{percentage: "120"}""")

    (problem,) = refused.value.problems
    assert "adjustments.percentage" in str(problem)
