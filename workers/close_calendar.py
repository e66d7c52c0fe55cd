"""What the scheduler does by the close calendar: it asks for runs that are due and warns of deadlines in danger."""

from datetime import timedelta

from domain.deadlines import Behind, Pace, forecast, pace, who_acts
from domain.notices import Notice, close_behind
from queues.telemetry import correlation_id
from queues.work import Hintable
from workers.step import publish
from workers.store import acting, audit, billing_runs, close_calendar, notices
from workers.store.acting import Named
from workers.store.billing_runs import Wanted
from workers.store.close_calendar import Due, Entry
from workers.store.database import engine, snapshot

#: Who asks for what is due.
SCHEDULER = "tallyline"


def ask_due() -> int:
    """Ask for the run of every period whose day has come, each in a transaction of its own; how many there were."""
    with engine().begin() as conn:
        close_calendar.make_periods(conn)
    with snapshot() as conn:
        found = close_calendar.due(conn)
    for period in found:
        publish(_ask(period))
    return len(found)


def _ask(period: Due) -> list[Hintable]:
    last_day = period.ends_on - timedelta(days=1)
    with engine().begin() as conn:
        acting.name(conn, Named(SCHEDULER, f"{period.legal_entity}/{period.cycle} is billed by its calendar"))
        audit.hold(conn)  # before the rows, as whoever asks by hand does
        run = billing_runs.request(conn, Wanted(period.period_id, last_day, last_day, SCHEDULER))
        audit.record(conn, "billing_runs.request", f"run {run}", after={"period": period.period_id})
        return billing_runs.press(conn, run)


def warn() -> int:
    """Tell of every period that may not be closed by its deadline, and again when it is not, once each."""
    cause = correlation_id.get() or "tick-warn-of-deadlines"
    rows: list[Hintable] = []
    with engine().begin() as conn:
        for entry in close_calendar.entries(conn, with_deadline=True):
            how, notice = _warning(entry)
            if how != "on_time":
                key = f"billing_period/{entry.period_id}/{how}"
                rows += notices.owe_once(conn, notice, key=key, at=entry.now, correlation_id=cause)
    publish(rows)
    return len(rows)


def _warning(entry: Entry) -> tuple[Pace, Notice]:
    closed_by = entry.close_days.closed_by(entry.ends_on)
    assert closed_by is not None
    how = pace(entry.progress, closed_by=closed_by, now=entry.now)
    codes = tuple(str(each["code"]) for each in entry.blockers)
    return how, close_behind(
        f"{entry.legal_entity}/{entry.cycle}/{entry.starts_on}",
        Behind(
            pace=how,
            stage=entry.stage,
            closed_by=closed_by,
            forecast=forecast(entry.progress, now=entry.now),
            blockers=codes,
            acts=who_acts(codes, waits_for_person=entry.progress.waits_for_person),
        ),
    )
