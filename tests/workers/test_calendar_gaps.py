"""A calendar that begins when a cycle is used already asks for the months between, too."""

from test_close_calendar import calendar, runs

from workers import close_calendar
from workers.store import periods
from workers.store.database import engine

__all__ = ["calendar"]


def test_months_between_usage_and_now_are_asked_for_if_the_present_one_is_there(calendar):
    month = calendar(bill=0)
    now = month.bound.one("select now()")
    with engine().begin() as conn:
        for cycle in month.bound.rows("select id from billing_cycles where bill_after_days is not null"):
            periods.ensure(conn, cycle.id, now, now)

    close_calendar.ask_due()

    assert len(runs(month)) == (now.year - 2026) * 12 + now.month - 3
