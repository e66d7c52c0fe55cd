"""Money circuit breakers: an account is parked, never sent, and never in the way of the others."""

import pytest
from sqlalchemy.exc import DBAPIError

from workers.store import acting, breakers
from workers.store.acting import Named
from workers.store.breakers import HoldReleased, HoldUnknown
from workers.store.database import engine


@pytest.fixture
def watched(month):
    """Three departures of United in two subscriptions, one of Delta; more than five lines a day are held."""
    month.bound.run("truncate account_holds")
    month.bound.run("""insert into subscriptions (ref, contract_id, cycle_id)
        select 's-ua-2', c.id, y.id from contracts c, billing_cycles y where c.ref = 'c-ua' on conflict do nothing;
        insert into mappings (source_id, subject, subscription_id, recorded_by)
        select s.id, 'UB', u.id, 'test' from sources s, subscriptions u where u.ref = 's-ua-2'
        on conflict do nothing""")
    month.use(("u1", "UA", "N1", 1400), ("u2", "UA", "N1", 1400), ("u3", "UB", "N2", 200), ("d1", "DL", "N3", 500))
    month.bound.run("""update legal_entities set breakers = '{"lines_max": 5}' where id = 'pony'""")
    yield month
    month.bound.run("update legal_entities set breakers = '{}'")


def holds(month):
    return [
        tuple(row) for row in month.bound.rows("select account_id, breaker, released_by from account_holds order by id")
    ]


def states(month, run):
    return [(row[0], row[2]) for row in month.documents(run)]


def release(month, *, person="bob"):
    with engine().begin() as conn:
        acting.name(conn, Named(person, "a second runway"))
        hold = breakers.held(conn, month.bound.one("select max(id) from account_holds"))
        breakers.release(conn, hold.id, person=person, reason="a second runway")


def test_an_account_that_trips_a_breaker_is_parked_and_told(watched):
    run = watched.request()

    assert watched.stage(run) == "drafted"
    assert holds(watched) == [("ua", "lines_too_many", None)]
    told = watched.bound.one("select body->'data' from notices where routing_key = 'tallyline.run.accounts_parked'")
    assert told == {"legal_entity": "pony", "period": "2026-03-01/2026-04-01", "holds": 1}


def test_what_is_parked_is_not_sent_and_the_others_are(watched):
    run = watched.request()

    watched.approve(run)

    assert states(watched, run) == [("dl", "posted"), ("ua", "void")]
    assert watched.blockers(run) == {"accounts_parked": 1, "usage_in_flight": 9}
    watched.assert_all_accounted_for(in_flight=9)


def test_released_before_the_approval_it_goes_out_with_the_others(watched):
    run = watched.request()
    release(watched)

    watched.approve(run)

    assert states(watched, run) == [("dl", "posted"), ("ua", "posted")]
    assert watched.stage(run) == "closed"
    watched.assert_all_accounted_for()


def test_released_after_it_the_next_run_bills_it_and_both_close(watched):
    first = watched.request()
    watched.approve(first)
    release(watched)

    second = watched.bill()
    watched.let_time_pass()
    watched.work()

    assert states(watched, second) == [("ua", "posted")]
    assert (watched.stage(first), watched.stage(second)) == ("closed", "closed")
    assert holds(watched) == [("ua", "lines_too_many", "bob")]
    watched.assert_all_accounted_for()


def test_left_parked_the_next_run_parks_it_again(watched):
    watched.bill()

    second = watched.request()

    assert holds(watched) == [("ua", "lines_too_many", None)] * 2
    assert states(watched, second) == [("ua", "taxed")]


def test_a_release_is_of_what_was_seen_and_more_money_is_held_again(watched):
    first = watched.request()
    watched.approve(first)
    release(watched)
    watched.use(("u4", "UA", "N4", 9000))

    watched.request()

    assert holds(watched) == [("ua", "lines_too_many", "bob"), ("ua", "lines_too_many", None)]


def test_looked_at_twice_a_draft_is_held_once(watched):
    run = watched.request()
    with engine().begin() as conn:
        again = breakers.park(conn, breakers_run(conn, run))

    assert again == 1
    assert holds(watched) == [("ua", "lines_too_many", None)]


def breakers_run(conn, run):
    from workers.store import billing_runs

    return billing_runs.hold(conn, run)


def test_a_jump_against_the_period_before_is_held(month):
    month.use(("u1", "UA", "N1", 1400), ("d1", "DL", "N3", 500))
    month.bill()
    month.bound.run("""update legal_entities set breakers = '{"jump_percent": "50", "jump_from": "10"}'""")
    month.bound.run("update billing_periods set starts_on = '2026-02-01', starts_at = '2026-02-01T05:00Z', "
                    "ends_on = '2026-03-01', ends_at = '2026-03-01T05:00Z'")  # fmt: skip
    month.use(*((f"n{n}", "UA", f"M{n}", 1400) for n in range(9)), ("d2", "DL", "N3", 500))

    month.request()

    assert holds(month) == [("ua", "total_jumps", None)]
    month.bound.run("update legal_entities set breakers = '{}'")


def test_a_hold_is_released_once_and_only_if_it_is_there(watched):
    watched.request()
    release(watched)

    with pytest.raises(HoldReleased, match="bob has released hold"):
        release(watched)
    with engine().begin() as conn, pytest.raises(HoldUnknown, match="there is no hold 999"):
        breakers.held(conn, 999)


def test_the_database_keeps_a_release_and_who_it_was(watched):
    watched.request()
    release(watched)

    with pytest.raises(DBAPIError, match="is released already"):
        watched.bound.run("update account_holds set released_at = null, released_by = null, reason = null")
    entry = watched.bound.rows("select person, reason, action from audit_log order by no desc limit 1")[0]
    assert tuple(entry) == ("bob", "a second runway", "account_holds.update")
