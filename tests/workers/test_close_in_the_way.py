"""What is in the way of a billing run is said by name, also to an operator, and there is a way on from each of it."""

from datetime import date

import pytest
from line_bench import batch, event

from workers.cli import billing
from workers.cli.console import Failure
from workers.step import perform
from workers.store import billing_runs, identity, replay
from workers.store.acting import Named, name
from workers.store.database import engine

#: United: 3 departures, 2 aircraft. Delta: 1 departure.
MARCH = (
    ("u1", "UA", "N1", 1400),
    ("u2", "UA", "N1", 1400),
    ("u3", "UA", "N2", 200),
    ("d1", "DL", "N3", 500),
)


def pressed(month, **dates):
    """An operator presses on, with these dates if any; the run."""
    run = billing.press(billing.find_period("pony", "2026-03", None), person="ann", dates=billing.Dates(**dates))
    month.work()
    return run


def test_usage_that_cannot_be_aggregated_is_in_the_way_by_name_and_billed_when_it_can(month):
    month.use(*MARCH)
    month.receive(batch(event("late", subject="UA", data={"tail": "N9", "distance": 5})))
    month.work("validate", "enrich")
    month.bound.run("update work set starts = 5 where step = 'aggregate' and state = 'ready'")
    (stuck,) = month.bound.rows("select id from work where step = 'aggregate' and state = 'ready'")
    perform("aggregate", list(stuck), is_redelivered=True)

    run = month.request()
    assert (month.stage(run), month.blockers(run)) == ("open", {"poison": 1})
    month.override(run, "poison")
    month.approve(run)
    assert month.stage(run) == "closed"
    month.assert_all_accounted_for(excepted=3)

    with engine().begin() as conn:
        replay.replay(conn, [1], person="bob", reason="mended")
    later = month.bill()
    assert [row[0:3] for row in month.documents(later)] == [("ua", "invoice", "posted")]
    month.assert_all_accounted_for()


def test_a_window_that_is_not_the_sum_of_its_usage_is_not_frozen(month):
    month.use(*MARCH)
    month.bound.run("update aggregates set quantity = 2 * quantity where id = 1")

    run = month.request()

    assert (month.stage(run), month.blockers(run)) == ("open", {"usage_does_not_add_up": 1})


def test_what_is_wrong_elsewhere_hides_nothing_of_the_period(month):
    month.use(*MARCH)
    month.bound.run(
        """insert into control_totals (hop, source_id, metric_id, hour, events, quantity, hash)
           select 'attributed', 1, 1, timestamptz '2025-01-01 00:00Z' + n * interval '1 hour', 1, 1, 1
           from generate_series(1, :n) n""",
        n=2 * identity.DIFFERENCES_MAX,
    )
    month.bound.run("delete from control_totals where hop = 'attributed' and hour >= '2026-03-01'")

    run = month.request()

    assert month.stage(run) == "open"
    assert set(month.blockers(run)) == {"usage_does_not_add_up"}


def test_an_operator_comes_to_the_run_that_bills_what_another_left_out(month):
    month.use(*MARCH)
    month.bound.run(
        """delete from prices where contract_version_id in (
             select v.id from contract_versions v join contracts c on c.id = v.contract_id where c.ref = 'c-dl')"""
    )
    run = month.request()
    month.override(run, "drafts_blocked")
    assert pressed(month) == run, "it has not issued its documents yet"
    month.approve(run)

    later = pressed(month)

    assert later != run
    assert (month.stage(later), month.blockers(later)) == ("frozen", {"drafts_blocked": 1})
    assert pressed(month) == later


def test_a_date_before_that_of_the_last_number_is_in_the_way_until_a_later_one_is_given(month):
    month.use(*MARCH)
    month.bill(invoice_on=date(2026, 4, 1))
    month.use(("u4", "UA", "N4", 100))

    run = pressed(month)
    assert (month.stage(run), month.blockers(run)) == ("drafted", {"issue_date_too_early": 1, "approval_missing": 1})
    month.approve(run)
    assert (month.stage(run), month.blockers(run)) == ("drafted", {"issue_date_too_early": 1})
    assert month.bound.one("select count(*) from work where state = 'dead'") == 0

    assert pressed(month, invoice_on=date(2026, 4, 2)) == run
    assert month.blockers(run) == {"approval_missing": 1}, "what was approved had another date"
    month.approve(run)
    assert month.stage(run) == "closed"
    assert month.bound.rows("select invoice_on, posting_on from invoices where billing_run_id = :run", run=run) == [
        (date(2026, 4, 2), date(2026, 3, 31))
    ]


def test_documents_that_are_issued_keep_their_dates(month):
    month.use(*MARCH)
    run = month.request()
    with engine().begin() as conn:
        name(conn, Named("bob", "agreed with finance"))
        billing_runs.approve(conn, run, person="bob")
        billing_runs.press(conn, run)
    month.work("close")
    assert month.stage(run) == "approved"

    with pytest.raises(Failure, match="its documents have their dates"):
        pressed(month, invoice_on=date(2026, 4, 2))
    assert pressed(month, invoice_on=date(2026, 4, 1)) == run
