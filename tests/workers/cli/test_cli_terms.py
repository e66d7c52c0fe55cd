"""A contract whose term does not renew ends with it: so do its subscriptions, and people are told ahead, once."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from workers import ticks
from workers.cli import reach
from workers.store import acting
from workers.store.acting import Named
from workers.store.database import engine

ENDS = "select ref, ends_at::text, own_ends_at::text from subscriptions order by ref"
OPEN_END = "9999-12-31 00:00:00+00"


def terms(*spells):
    return "contracts:\n  C-1: {renewals: [" + ", ".join("{" + each + "}" for each in spells) + "]}\n"


def once(starts, *, months=12, notice=0):
    return f"from: {starts}, term_months: {months}, auto_renew: false, notice_days: {notice}"


def call(name, at):
    return {
        "specversion": "1.0", "id": name, "source": "/phones", "type": "call.ended", "subject": "k1",
        "time": at.isoformat(), "data": {"minutes": "3"},
    }  # fmt: skip


def fates(load):
    """(event, billed units of it, code of its exception) of all usage."""
    return load.operator.rows("""
      select e.event_id, coalesce((select sum(a.sign) from attributions a where a.event_no = e.event_no), 0),
        (select x.code from exceptions x where x.event_no = e.event_no and x.state = 'open')
      from usage_events e order by 1""")


def told(load):
    with reach.database():
        ticks.tell_endings()
    return load.operator.rows(
        "select key, body -> 'data' from notices where routing_key = 'tallyline.contract.ending' order by id"
    )


def test_a_subscription_ends_at_the_instant_at_which_its_contract_does(load):
    done = load.done(terms(once("2026-01-01")))

    assert done["changed"] == {"contracts": 1, "subscriptions": 1}
    # the first instant of 2027 in New York
    assert load.operator.one("select ends_at::text from contracts") == "2027-01-01 05:00:00+00"
    assert load.operator.rows(ENDS) == [("S-1", "2027-01-01 05:00:00+00", OPEN_END)]


def test_the_same_terms_twice_change_nothing(load):
    load.done(terms(once("2026-01-01")))

    again = load.done(terms(once("2026-01-01")))
    other = load.done("subscriptions: {S-1: {contract: C-1, cycle: us/month}}")

    assert (again["new"], again["changed"]) == (other["new"], other["changed"]) == ({}, {})


def test_an_end_of_its_own_that_is_earlier_stays(load):
    load.done("subscriptions: {S-1: {to: 2026-03-01}, S-2: {contract: C-1, cycle: us/month, to: 2028-01-01}}")

    load.done(terms(once("2026-01-01")))

    assert load.operator.rows(ENDS) == [
        ("S-1", "2026-03-01 05:00:00+00", None), ("S-2", "2027-01-01 05:00:00+00", "2028-01-01 05:00:00+00"),
    ]  # fmt: skip


def test_new_terms_from_the_day_of_the_end_let_all_go_on(load):
    load.done(terms(once("2026-01-01")))

    load.done(terms("from: 2027-01-01, term_months: 12, auto_renew: true"))

    assert load.operator.one("select ends_at::text from contracts") == OPEN_END
    assert load.operator.rows(ENDS) == [("S-1", OPEN_END, None)]


def test_a_subscription_that_is_added_later_ends_with_the_contract(load):
    load.done(terms(once("2026-01-01")))

    load.done("subscriptions: {S-2: {contract: C-1, cycle: us/month, from: 2026-05-01}}")

    assert load.operator.rows(ENDS)[1] == ("S-2", "2027-01-01 05:00:00+00", OPEN_END)


def test_a_subscription_that_would_begin_after_the_end_is_refused(load):
    load.done(terms(once("2026-01-01")))

    says = load.refused("subscriptions: {S-2: {contract: C-1, cycle: us/month, from: 2027-01-01}}")

    assert "subscriptions.S-2.from: begins when its contract is over, at 2027-01-01T05:00:00+00:00" in says


def test_terms_that_end_before_a_subscription_begins_are_refused(load):
    load.done("subscriptions: {S-2: {contract: C-1, cycle: us/month, from: 2028-01-01}}")

    says = load.refused(terms(once("2026-01-01")))

    assert (
        "contracts.C-1.renewals: end the contract at 2027-01-01T05:00:00+00:00, before subscription S-2 begins" in says
    )


def test_terms_that_begin_after_the_contract_has_ended_are_refused(load):
    says = load.refused(terms(once("2026-01-01"), once("2027-02-01")))

    assert "contracts.C-1.renewals: has terms from 2027-02-01, after it has ended on 2027-01-01" in says


def test_usage_after_the_end_is_an_exception_by_name_until_the_contract_goes_on(load, lines):
    now = datetime.now(UTC)
    starts = (now - timedelta(days=40)).date()
    ended = starts.replace(day=1)
    load.done(terms(once(str(ended.replace(year=ended.year - 1)))))

    load.operator.json("send", lines(call("late", now)), "--user", "phones")
    assert fates(load) == [("late", 0, "subscription_not_found")]

    load.done(terms(f"from: {ended}, term_months: 12, auto_renew: true"))
    assert fates(load) == [("late", 1, None)]


def test_an_end_that_is_said_after_the_usage_takes_the_usage_back(load, lines):
    now = datetime.now(UTC)
    ended = (now - timedelta(days=40)).date().replace(day=1)
    load.operator.json("send", lines(call("e", now)), "--user", "phones")
    assert fates(load) == [("e", 1, None)]

    load.done(terms(once(str(ended.replace(year=ended.year - 1)))))

    assert fates(load) == [("e", 0, "subscription_not_found")]
    identity = load.operator("status", "--identity", "--json")
    assert identity.code == 0


@pytest.mark.parametrize(
    ("days", "notice", "is_told"), [(29, 0, True), (31, 0, False), (59, 60, True), (62, 60, False)]
)
def test_people_are_told_ahead_as_many_days_as_notice_takes_and_once(load, days, notice, is_told):
    today = load.operator.one("select (now() at time zone 'America/New_York')::date")
    ends = today + timedelta(days=days)
    load.done(terms(once(ends.replace(year=ends.year - 4), months=48, notice=notice)))

    first, again = told(load), told(load)

    assert first == again
    said = {
        "contract": "C-1", "account": "A", "legal_entity": "us", "ends_on": str(ends), "notice_days": notice,
        "subscriptions": 1,
    }  # fmt: skip
    assert [row[1] for row in first] == ([said] if is_told else [])


def test_an_end_that_moves_is_told_anew_and_one_that_goes_is_not(load):
    today = load.operator.one("select (now() at time zone 'America/New_York')::date")
    first = today.replace(day=1)
    load.done(terms(once(first.replace(year=first.year - 1), notice=3_660)))
    assert len(told(load)) == 1

    load.done(terms(once(first.replace(year=first.year - 1), months=14, notice=3_660)))
    assert len(told(load)) == 2

    load.done(terms(f"from: {first.replace(year=first.year - 1)}, term_months: 12, auto_renew: true"))
    assert len(told(load)) == 2


def test_the_database_keeps_an_own_end_only_beyond_that_of_the_contract(load):
    with engine().connect() as conn:
        acting.name(conn, Named("eve", "to see whether it works"))
        with pytest.raises(IntegrityError):
            conn.execute(text("update subscriptions set own_ends_at = '2026-01-01', ends_at = '2027-01-01'"))
