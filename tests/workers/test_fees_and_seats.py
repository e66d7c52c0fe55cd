"""Fees and seats through the close: by their days, without usage, and given back where a change is backdated."""

from decimal import Decimal

import pytest
from billing_month import EMPTY
from sqlalchemy.exc import IntegrityError

from workers.store import master
from workers.store.database import engine

SET_UP = (
    """insert into metrics (name, aggregation, property, unit) values
       ('base', 'subscribed', null, 'month'), ('seats', 'subscribed', 'seats', 'seat') on conflict do nothing""",
    """insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
       select v.id, m.id, jsonb_build_object('model', 'per_unit', 'unit_amount', t.amount), 'standard', 'revenue'
       from contract_versions v join contracts c on c.id = v.contract_id and c.ref = 'c-ua', metrics m
       join (values ('base', '2000'), ('seats', '60')) t (name, amount) using (name)""",
)


@pytest.fixture
def seats(month):
    """A contract with a fee and seats; what sets the seats from a day on."""
    month.bound.run("truncate subscription_quantities restart identity")
    for statement in SET_UP:
        month.bound.run(statement)

    def put(quantity: int, first_on: str, end_on: str = "9999-12-31") -> None:
        month.bound.run(
            """insert into subscription_quantities (subscription_id, item, quantity, starts_on, ends_on, recorded_by)
               select id, 'seats', :quantity, cast(:first as date), cast(:last as date), 'test'
               from subscriptions where ref = 's-ua'""",
            quantity=quantity, first=first_on, last=end_on,
        )  # fmt: skip

    yield put
    month.bound.run(EMPTY)
    month.bound.run("truncate subscription_quantities")
    month.bound.run("delete from contract_versions where version > 1")
    month.bound.run("update contract_versions set superseded_at = '9999-12-31 00:00Z'")
    month.bound.run("truncate contract_renewals")
    month.bound.run("delete from contract_versions where subscription_id is not null")
    month.bound.run("delete from subscription_phases")
    month.bound.run("update subscriptions set terms_from = '9999-12-31 00:00Z'")
    month.bound.run("update contracts set ends_at = '9999-12-31 00:00Z'")
    month.bound.run("update subscriptions set ends_at = '9999-12-31 00:00Z', own_ends_at = null")
    month.bound.run("delete from metrics where meter_id is null")


def lines(month, run):
    return {
        name: (quantity, net)
        for name, quantity, net in month.bound.rows(
            """select m.name, l.quantity, l.net from invoices i join invoice_lines l on l.invoice_id = i.id
               join metrics m on m.id = l.metric_id where i.billing_run_id = :run and m.meter_id is null""",
            run=run,
        )
    }


def publish_anew(month, *, from_: str) -> None:
    """A version of the contract, with a fee of 3,100, that overrides the one in force from an instant on."""
    month.bound.run(
        """update contract_versions set superseded_at = now() where contract_id =
           (select id from contracts where ref = 'c-ua')""",
    )
    month.bound.run(
        """insert into contract_versions (contract_id, version, starts_at, ends_at, recorded_by)
           select id, 2, '2020-01-01', cast(:at as timestamptz), 'test' from contracts where ref = 'c-ua'
           union all
           select id, 3, cast(:at as timestamptz), '9999-12-31 00:00Z', 'test' from contracts where ref = 'c-ua'""",
        at=from_,
    )
    month.bound.run(
        """insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
           select v.id, m.id, jsonb_build_object('model', 'per_unit', 'unit_amount',
             case v.version when 2 then '2000' else '3100' end), 'standard', 'revenue'
           from contract_versions v, metrics m where v.version > 1 and m.name = 'base'""",
    )


def test_seats_and_a_fee_are_billed_without_usage(month, seats):
    seats(25, "2026-01-01", "2026-03-17")
    seats(30, "2026-03-17")
    month.use(("d1", "DL", "N3", 500))

    run = month.bill()

    # 25 x 60 + 5 x 60 x 15/31 = 1,645.16...; 25 + 5 x 15/31 seats on average
    assert lines(month, run) == {
        "base": (1, Decimal("2000.00")),
        "seats": (Decimal("27.419355"), Decimal("1645.16")),
    }
    assert month.stage(run) == "closed"


def test_a_backdated_change_of_seats_bills_the_difference_and_nothing_else(month, seats):
    seats(25, "2026-01-01")
    month.use(("u1", "UA", "N1", 1400))
    month.bill()

    month.bound.run("update subscription_quantities set superseded_at = now()")
    seats(25, "2026-01-01", "2026-03-17")
    seats(30, "2026-03-17")
    late = month.bill()

    assert lines(month, late) == {"seats": (Decimal("2.419355"), Decimal("145.16"))}


def test_a_second_run_without_a_change_bills_nothing(month, seats):
    seats(25, "2026-01-01")
    month.use(("u1", "UA", "N1", 1400))
    month.bill()

    assert lines(month, month.bill()) == {}


@pytest.mark.parametrize(
    ("ends_at", "given_back"),
    [
        ("2026-03-17 05:00Z", {"base": Decimal("-967.74"), "seats": Decimal("-725.81")}),  # 15/31 of 2,000 and of 1,500
        ("2026-02-11 06:00Z", {"base": Decimal("-2000.00"), "seats": Decimal("-1500.00")}),
    ],
)
def test_a_backdated_end_of_a_subscription_gives_back_its_fees_and_seats(month, seats, ends_at, given_back):
    seats(25, "2026-01-01")
    month.use(("d1", "DL", "N3", 500))
    month.bound.run("update subscription_quantities set recorded_at = '2026-01-01'")  # long before they were billed
    month.bound.run("update contract_versions set recorded_at = '2026-01-01'")
    month.bill()

    month.bound.run("update subscriptions set ends_at = cast(:at as timestamptz) where ref = 's-ua'", at=ends_at)
    late = month.bill()

    assert {name: net for name, (_, net) in lines(month, late).items()} == given_back
    assert lines(month, month.bill()) == {}


def test_a_fee_under_a_version_that_is_overridden_is_given_back(month, seats):
    """Plan A until the 10th, plan B from the 11th, said after March was billed under plan A."""
    month.use(("d1", "DL", "N3", 500))
    seats(1, "2026-04-01")
    month.bill()

    publish_anew(month, from_="2026-03-11 05:00Z")
    run = month.bill()

    found = month.bound.rows(
        """select l.net from invoices i join invoice_lines l on l.invoice_id = i.id
           join metrics m on m.id = l.metric_id where i.billing_run_id = :run and m.name = 'base' order by l.net""",
        run=run,
    )
    # 2,000 given back; 2,000 x 10/31 and 3,100 x 21/31 billed
    assert [net for (net,) in found] == [Decimal("-2000.00"), Decimal("645.16"), Decimal("2100.00")]


@pytest.mark.parametrize(
    "row",
    [
        "('x', null, 'count', null, '{}', '{}')",
        "('x', null, 'subscribed', null, '{tail}', '{}')",
        "('x', null, 'subscribed', null, '{}', '{tail}')",
        "('x', 1, 'subscribed', null, '{}', '{}')",
    ],
)
def test_the_database_refuses_a_metric_that_nothing_or_two_things_feed(month, row):
    with pytest.raises(IntegrityError, match="metrics_meter_check"):
        month.bound.run(
            f"insert into metrics (name, meter_id, aggregation, property, requires, dimensions, unit) "
            f"values {row[:-1]}, 'unit')"
        )


def test_a_contract_that_ends_with_its_term_bills_the_days_until_then(month, seats, tmp_path):
    seats(10, "2026-01-01")
    file = tmp_path / "terms.yaml"
    file.write_text("contracts: {c-ua: {renewals: [{from: 2025-03-16, term_months: 12, auto_renew: false}]}}")
    master.load(engine(), file)
    month.use(("a", "UA", "N1", 1000))  # on 10 March

    run = month.request()

    # 15 of 31 days: 2,000 x 15/31 = 967.7419.. and 10 x 60 x 15/31 = 290.3225..
    found = {name: str(net) for name, (_, net) in lines(month, run).items()}
    assert found == {"base": "967.74", "seats": "290.32"}


def test_a_ramp_charges_fees_and_seats_by_its_days_and_the_contract_the_others(month, seats, tmp_path):
    seats(10, "2026-01-01")
    prices = ", ".join(
        f"{metric}: {{terms: {{model: per_unit, unit_amount: '{amount}'}}, tax_category: standard, revenue_account: r}}"
        for metric, amount in {"base": 1000, "seats": 30, "departures": 0, "distance": 0, "aircraft": 0}.items()
    )
    file = tmp_path / "ramp.yaml"
    phase = f"{{phase: ramp, from: 2026-03-01, to: 2026-03-16, prices: {{{prices}}}}}"
    file.write_text(f"subscriptions: {{s-ua: {{phases: [{phase}]}}}}")
    master.load(engine(), file)
    month.use(("a", "UA", "N1", 1000))  # on 10 March

    run = month.request()

    # 15 of 31 days at half the price and 16 at the whole: 1,000 x 15/31 = 483.8709.. and 2,000 x 16/31 = 1,032.2580..;
    # 300 x 15/31 = 145.1612.. and 600 x 16/31 = 309.6774..; what was flown is free in the ramp
    found = month.bound.rows(
        """select m.name, l.net::text from invoices i join invoice_lines l on l.invoice_id = i.id
           join metrics m on m.id = l.metric_id where i.billing_run_id = :run and l.net <> 0 order by 1, l.net""",
        run=run,
    )
    assert [tuple(row) for row in found if row[0] in {"base", "seats"}] == [
        ("base", "483.87"), ("base", "1032.26"), ("seats", "145.16"), ("seats", "309.68"),
    ]  # fmt: skip
    month.assert_all_accounted_for(in_flight=3)
