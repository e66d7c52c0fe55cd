"""The close calendar: the scheduler asks for runs that are due and warns of deadlines in danger, once each."""

from datetime import UTC, date, datetime

import pytest

from workers import close_calendar
from workers.store import close_calendar as store
from workers.store import periods
from workers.store.database import engine


@pytest.fixture
def calendar(month):
    """March of two airlines, whose cycle says when it is billed and until when it is closed."""
    month.use(("u1", "UA", "N1", 1400), ("d1", "DL", "N3", 500))

    def say(**days):
        month.bound.run("update billing_cycles set bill_after_days = :bill, deadline_days = :deadline",
                        bill=days.get("bill"), deadline=days.get("deadline"))  # fmt: skip
        return month

    return say


def runs(month):
    return [
        tuple(row)
        for row in month.bound.rows(
            """select p.starts_on::text, r.stage, r.requested_by, r.invoice_on::text from billing_runs r
               join billing_periods p on p.id = r.billing_period_id order by 1"""
        )
    ]


def notices(month):
    return [
        (row.subject, row.pace, row.stage, row.acts)
        for row in month.bound.rows(
            """select body->>'subject' as subject, body->'data'->>'pace' as pace, body->'data'->>'stage' as stage,
                 body->'data'->>'acts' as acts
               from notices where routing_key = 'tallyline.close.behind' order by 1, 2"""
        )
    ]


def test_a_period_whose_day_has_come_is_asked_for_and_drafted(calendar):
    month = calendar(bill=0)

    asked = close_calendar.ask_due()
    month.work()

    march = next(each for each in runs(month) if each[0] == "2026-03-01")
    assert march == ("2026-03-01", "drafted", "tallyline", "2026-03-31")
    assert asked == len(runs(month))
    assert ("tallyline", "pony/monthly is billed by its calendar") in [
        tuple(row)
        for row in month.bound.rows("select person, reason from audit_log where action = 'billing_runs.request'")
    ]


def test_every_period_since_the_first_is_asked_for_also_without_usage(calendar):
    month = calendar(bill=0)

    close_calendar.ask_due()

    asked = [date.fromisoformat(each[0]) for each in runs(month)]
    now = month.bound.one("select now()")
    assert asked[0] == date(2026, 3, 1)
    assert len(asked) == (now.year - 2026) * 12 + now.month - 3


def test_months_between_usage_and_now_are_asked_for_if_the_present_one_is_there(calendar):
    month = calendar(bill=0)
    now = month.bound.one("select now()")
    with engine().begin() as conn:
        for cycle in month.bound.rows("select id from billing_cycles where bill_after_days is not null"):
            periods.ensure(conn, cycle.id, now, now)

    close_calendar.ask_due()

    assert len(runs(month)) == (now.year - 2026) * 12 + now.month - 3


def test_asked_again_nothing_is_asked_for_twice(calendar):
    month = calendar(bill=0)
    close_calendar.ask_due()
    before = runs(month)

    assert close_calendar.ask_due() == 0
    assert runs(month) == before


def test_a_cycle_that_names_no_day_is_left_to_people(calendar):
    month = calendar(deadline=5)

    assert close_calendar.ask_due() == 0
    assert runs(month) == []


def test_before_its_day_a_period_is_not_asked_for(calendar):
    month = calendar(bill=2)
    month.bound.run("update billing_periods set ends_on = current_date - 1, ends_at = now() - interval '1 day'")

    close_calendar.ask_due()

    assert "2026-03-01" not in [each[0] for each in runs(month)]


def test_a_cycle_that_nothing_is_billed_by_makes_no_periods(calendar):
    month = calendar()
    month.bound.run("insert into billing_cycles (legal_entity_id, name, zone, bill_after_days) values "
                    "('pony', 'idle', 'UTC', 0) on conflict do nothing")  # fmt: skip

    close_calendar.ask_due()

    assert month.bound.one("select count(*) from billing_periods p join billing_cycles y on y.id = p.cycle_id "
                           "where y.name = 'idle'") == 0  # fmt: skip
    month.bound.run("delete from billing_cycles where name = 'idle'")


def test_of_a_late_period_is_told_once_with_who_acts(calendar):
    month = calendar(deadline=5)
    run = month.request()

    assert [close_calendar.warn(), close_calendar.warn()] == [1, 0]
    assert notices(month) == [("pony/monthly/2026-03-01", "late", "drafted", "finance")]

    month.approve(run)
    with engine().connect() as conn:
        assert store.entries(conn) == []


def test_a_period_in_danger_is_told_before_it_is_late(calendar):
    month = calendar(deadline=1)
    month.bound.run("update billing_periods set ends_on = current_date, ends_at = now() - interval '1 second'")

    close_calendar.warn()

    assert [each[1] for each in notices(month)] == ["at_risk"]


def test_a_period_that_is_in_time_is_not_told(calendar):
    month = calendar(deadline=90)
    month.bound.run("update billing_periods set ends_on = current_date, ends_at = now() - interval '1 second'")

    assert close_calendar.warn() == 0
    assert notices(month) == []


@pytest.mark.parametrize(
    ("terms", "days"),
    [
        ("1, 31, 1", ("2026-02-28", "2026-03-31")),
        ("3, 1, 2", ("2026-02-01", "2026-05-01")),
        ("12, 15, 6", ("2025-06-15", "2026-06-15")),
    ],
)
def test_cycles_of_any_length_and_anchor_stand_side_by_side(bound, register, terms, days):
    del register
    happened_at = datetime(2026, 3, 5, tzinfo=UTC)
    bound.run(f"""insert into billing_cycles (legal_entity_id, name, zone, months, anchor_day, anchor_month)
                  values ('pony', '{terms}', 'America/New_York', {terms})""")
    cycle = bound.one("select id from billing_cycles where name = :name", name=terms)

    with engine().begin() as conn:
        periods.ensure(conn, cycle, happened_at, happened_at)

    made = bound.rows("select starts_on::text, ends_on::text from billing_periods where cycle_id = :id", id=cycle)
    assert [tuple(each) for each in made] == [days]


@pytest.mark.parametrize("column", ["months = 5", "anchor_day = 32", "anchor_month = 0", "bill_after_days = 91"])
def test_the_database_refuses_a_cycle_that_is_no_calendar(bound, register, column):
    del register
    with pytest.raises(Exception, match="violates check constraint"):
        bound.run(f"update billing_cycles set {column}")
