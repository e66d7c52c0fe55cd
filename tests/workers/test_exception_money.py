"""The money of exceptions: at the price in force or the usual one, spread exactly, and priced again in time."""

from decimal import Decimal

import pytest
from billing_bench import issue
from line_bench import Bound, batch, event

from queues.exceptions import NewException, of_subject, open_exceptions
from queues.work import hold
from workers.store import appraisal, exception_groups, worth
from workers.store.database import engine, snapshot
from workers.unit import bury


def appraise() -> None:
    appraisal.settle(engine())


def worths(bound: Bound, metric: str = "") -> list[tuple[str, Decimal | None, str | None]]:
    """(event, money, basis) of the open exceptions, of one metric or of all."""
    appraise()
    return [
        (name, money, basis)
        for name, money, basis in bound.rows(
            """select coalesce(x.event_id, x.subject), x.money_at_risk, x.basis from exceptions x
            left join metrics m on m.id = x.metric_id where x.state = 'open' and (:metric = '' or m.name = :metric)
            order by x.event_no, x.id""",
            metric=metric,
        )
    ]


def missing(month) -> None:
    """Distance is only counted with a tail number from now on, so that an event may lack what it needs."""
    month.bound.run("update metrics set requires = '{tail}' where name = 'distance'")


@pytest.fixture(autouse=True)
def _as_it_was(month):
    month.bound.run("update metrics set requires = '{}'")
    month.bound.run("delete from contract_versions where version > 1")


def test_usage_without_a_subscription_is_priced_at_the_usual_price_of_its_metric(month):
    month.use(("x1", "ZZ", "N1", 800), ("x2", "ZZ", "N1", 600))

    assert worths(month.bound, "departures") == [
        ("x1", Decimal("41.2575"), "usual_price"), ("x2", Decimal("41.2575"), "usual_price"),
    ]  # fmt: skip
    # 250.00 + 1,000 x 0.02515 + 400 x 0.0142625 = 280.855, spread 800 : 600
    miles = worths(month.bound, "distance")
    assert [round(money, 4) for _, money, _ in miles] == [Decimal("160.4886"), Decimal("120.3664")]
    assert sum(money for _, money, _ in miles) == Decimal("280.855")
    # one aircraft, seen twice
    assert sorted(money for _, money, _ in worths(month.bound, "aircraft")) == [0, Decimal("118.12505")]
    with snapshot() as conn:
        found = worth.excepted(conn)
    assert (found.exceptions, found.unpriced, found.money) == (6, 0, {"USD": Decimal("481.49505")})


def test_usage_in_exception_counts_as_the_units_that_come_last_in_its_window(month):
    missing(month)
    month.use(("a", "UA", "N1", 900))
    month.use(("x1", "UA", None, 200), ("x2", "UA", None, 300))

    # 100 x 0.02515 + 400 x 0.0142625 = 8.22 on top of 900 miles, spread 200 : 300
    assert worths(month.bound, "distance") == [
        ("x1", Decimal("3.288"), "price_in_force"), ("x2", Decimal("4.932"), "price_in_force"),
    ]  # fmt: skip


def test_usage_that_makes_all_other_usage_cheaper_is_at_risk_by_what_it_moves(month):
    missing(month)
    month.bound.run(
        """update prices set terms = '{"model": "volume", "tiers": [{"up_to": "1000", "unit_amount": "2"},
        {"up_to": null, "unit_amount": "1"}]}'"""
    )
    month.use(("a", "UA", "N1", 900))
    month.use(("x1", "UA", None, 200), ("x2", "UA", None, 300))

    # 900 miles cost 1,800 and 1,400 cost 1,400: 400 less, spread 200 : 300
    assert [money for _, money, _ in worths(month.bound, "distance")] == [160, 240]


def test_an_aircraft_that_its_window_holds_already_adds_nothing(month):
    month.bound.run("update metrics set requires = '{distance}' where name = 'aircraft'")
    month.use(("a", "UA", "N1", 900))
    month.bound.run("update metrics set requires = '{is_cancelled}' where name = 'aircraft'")
    month.use(("x1", "UA", "N1", 1), ("x2", "UA", "N2", 1))

    assert [money for _, money, _ in worths(month.bound, "aircraft")] == [0, Decimal("118.12505")]


def test_shares_that_do_not_divide_sum_to_the_amount_all_the_same(month):
    month.bound.run(
        """update prices set terms = '{"model": "graduated", "zero_usage": "none", "tiers": [
        {"up_to": null, "unit_amount": "0", "flat_amount": "100.00"}]}'"""
    )
    month.use(*((f"x{n}", "ZZ", None, 1) for n in range(3)))

    shares = [money for _, money, _ in worths(month.bound, "departures")]
    assert all(abs(share - Decimal("33.3333")) < Decimal("0.0001") for share in shares)
    assert sum(shares) == 100


def test_the_usual_price_is_the_one_that_most_contracts_have_and_of_two_the_newest(month):
    month.use(("x1", "ZZ", None, 1))
    month.bound.run(
        """update prices p set terms = '{"model": "per_unit", "unit_amount": "2"}' from contract_versions v, contracts c
        where v.id = p.contract_version_id and c.id = v.contract_id and c.ref = 'c-dl'"""
    )
    assert worths(month.bound, "departures")[0][1] == 2

    month.bound.run(
        """insert into contracts (ref, account_id, legal_entity_id, currency) values ('c-3', 'ua', 'pony', 'USD');
        insert into contract_versions (contract_id, version, starts_at, recorded_by)
          select id, 1, '2020-01-01', 'test' from contracts where ref = 'c-3';
        insert into prices (contract_version_id, metric_id, terms, tax_category, revenue_account)
          select v.id, m.id, '{"model": "per_unit", "unit_amount": "41.2575"}', 'standard', 'r'
          from contract_versions v join contracts c on c.id = v.contract_id, metrics m
          where c.ref = 'c-3' and m.name = 'departures'"""
    )
    try:
        assert worths(month.bound, "departures")[0][1] == Decimal("41.2575")
    finally:
        month.bound.run("""delete from prices; delete from contract_versions where contract_id =
          (select id from contracts where ref = 'c-3'); delete from contracts where ref = 'c-3'""")


def test_new_terms_and_an_edited_quantity_are_priced_again_and_nothing_else_is(month):
    month.use(("x1", "ZZ", None, 10))
    assert worths(month.bound, "departures")[0][1] == Decimal("41.2575")
    first = month.bound.rows("select id, priced_at from exceptions order by id")
    appraise()
    assert month.bound.rows("select id, priced_at from exceptions order by id") == first

    month.bound.run("""update prices set terms = '{"model": "per_unit", "unit_amount": "1.5"}'""")
    assert worths(month.bound, "departures")[0][1] == Decimal("1.5")

    month.bound.run("""update exceptions set quantity = 40
        where metric_id = (select id from metrics where name = 'distance')""")
    assert worths(month.bound, "distance")[0][1] == 60

    with engine().begin() as conn:
        appraisal.expire(conn)
    appraise()
    ((newest,),) = month.bound.rows("select min(priced_at) from exceptions")
    assert newest > max(at for _, at in first)


def test_what_a_new_exception_shifts_is_shifted_with_it(month):
    month.use(("x1", "ZZ", None, 1000))
    assert worths(month.bound, "distance")[0][1] == Decimal("275.15")

    month.use(("x2", "ZZ", None, 1000))

    # 275.15 + 1,000 x 0.0142625 = 289.4125 in halves
    assert [money for _, money, _ in worths(month.bound, "distance")] == [Decimal("144.70625")] * 2


def test_portions_come_to_the_same_as_one_look(month, monkeypatch):
    month.use(*((f"x{n}", "ZZ", f"N{n}", 300) for n in range(7)))
    whole = worths(month.bound)
    monkeypatch.setattr(appraisal, "ROWS_MAX", 2)
    month.bound.run("update exceptions set priced_revision = 0, money_at_risk = null")

    with engine().begin() as conn:
        assert 0 < appraisal.appraise(conn) <= 4
    assert month.bound.one("select count(*) from exceptions where priced_revision = 0") > 0
    assert worths(month.bound) == whole


def test_without_any_price_or_quantity_the_money_stays_unknown(month):
    month.bound.run("delete from prices")
    month.use(("x1", "ZZ", None, 1))
    month.receive_refused()
    month.work("validate")

    assert {(money, basis) for _, money, basis in worths(month.bound)} == {(None, None)}
    with snapshot() as conn:
        found = worth.excepted(conn)
    assert (found.exceptions, found.unpriced, found.money) == (4, 4, {})


def test_a_price_that_refuses_the_quantity_makes_no_estimate(month):
    month.receive(batch(event("x1", subject="ZZ", data={"distance": -5, "tail": None})))
    month.work("validate", "enrich", "aggregate")

    assert worths(month.bound, "distance") == [("x1", None, None)]


def test_a_price_that_asks_for_more_than_a_quantity_makes_no_estimate(month):
    month.bound.run(
        """update prices set terms = '{"model": "bucketed", "price": {"model": "per_unit", "unit_amount": "1"}}'"""
    )
    month.use(("x1", "ZZ", None, 1000))

    assert {(money, basis) for _, money, basis in worths(month.bound)} == {(None, None)}


def test_usage_in_exception_is_worth_what_its_cell_of_a_matrix_says(month):
    missing(month)
    month.bound.run("update metrics set dimensions = '{is_cancelled}' where name = 'distance'")
    month.bound.run(
        """update prices set terms = '{"model": "matrix", "dimensions": ["is_cancelled"],
        "cells": [{"values": [null], "unit_amount": "2"}]}'
        where metric_id = (select id from metrics where name = 'distance')"""
    )
    month.use(("x1", "UA", None, 300))
    month.bound.run("update metrics set dimensions = '{}' where name = 'distance'")

    assert worths(month.bound, "distance") == [("x1", 600, "price_in_force")]


def test_a_document_that_died_is_worth_its_gross_from_the_first_moment(month):
    posting_id = issue(month.bound)
    work_id = month.bound.one("select id from work where step = 'post'")

    with engine().begin() as conn:
        bury(conn, hold(conn, work_id), code="posting_rejected", sentence="no", facts={})

    columns = "account_id, legal_entity_id, connection_id, invoice_id, erp_posting_id, money_at_risk, currency, basis"
    expected = ("ua", "pony", "books", month.bound.one("select id from invoices"), posting_id, Decimal("108.88"),
                "USD", "document")  # fmt: skip
    assert month.bound.rows(f"select {columns} from exceptions") == [expected]
    appraise()
    assert month.bound.rows(f"select {columns} from exceptions") == [expected]
    with snapshot() as conn:
        (group,) = exception_groups.groups(conn)
    assert group.sentence == "1 document, 1 account, USD 108.88: refused by books"
    assert (group.owners, group.cause) == (["finance"], "connection/books")


def test_a_draft_without_a_tax_rate_is_worth_what_was_rated_for_it(month):
    month.use(("a", "UA", "N1", 1000))
    month.bound.run("delete from tax_rates")
    month.request()

    # 41.2575 + 275.15 + 118.12505, of which a preview rounds nothing
    ((code, money, basis, account),) = month.bound.rows(
        "select code, money_at_risk, basis, account_id from exceptions where step = 'tax'"
    )
    assert (code, money, basis, account) == ("tax_rate_not_found", Decimal("434.53255"), "rated", "ua")


def test_money_that_only_the_opener_knows_is_never_estimated(month):
    key, digest = of_subject("validate", "gap/1")
    gap = NewException(
        "validate", "posting_unknown", key, digest, "50 numbers are missing", source="/ops/jfk",
        money_at_risk=Decimal("75.00"), currency="USD", basis="sequence", is_priced_at_opening=True,
    )  # fmt: skip
    with engine().begin() as conn:
        assert open_exceptions(conn, [gap]) == 1
        appraisal.expire(conn)
    appraise()

    assert month.bound.rows("select money_at_risk, basis, priced_at from exceptions") == [
        (Decimal("75.00"), "sequence", None)
    ]
    with snapshot() as conn:
        assert worth.excepted(conn).money == {"USD": Decimal("75.00")}
