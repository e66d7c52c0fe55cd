"""Billing periods: made once from the cycle's calendar, as instants in UTC that no later zone release moves."""

from datetime import datetime

from sqlalchemy import Connection, text

from domain.errors import Rejection
from domain.periods import BillingPeriod, MonthlyCycle
from workers.store import buckets

#: Periods made at once; a gap of more means a time that no acceptance rule would have let through.
PERIODS_MAX = 1_300


class GapTooLong(Rejection):
    """More billing periods are missing than a century has."""

    code = "billing_period_gap"


def cycle_of(conn: Connection, cycle_id: int) -> MonthlyCycle:
    """How the cycle's periods begin and end."""
    found = conn.execute(
        text("select zone, anchor_day, months, anchor_month from billing_cycles where id = :id"), {"id": cycle_id}
    )
    return MonthlyCycle(*found.one())


def ensure(conn: Connection, cycle_id: int, first_at: datetime, last_at: datetime) -> None:
    """Make the periods of the cycle that contain the two instants, and those between, with the buckets of them."""
    cycle = cycle_of(conn, cycle_id)
    made: list[BillingPeriod] = []
    for period in cycle.periods_from(cycle.period_at(first_at).days.first_on):
        if period.starts_at > last_at:
            break
        if len(made) == PERIODS_MAX:
            raise GapTooLong(f"more than {PERIODS_MAX} periods from {first_at} to {last_at}", cycle=cycle_id)
        made.append(period)
    conn.execute(
        text("""insert into billing_periods (cycle_id, starts_on, ends_on, starts_at, ends_at)
             select :cycle_id, * from unnest(cast(:starts_on as date[]), cast(:ends_on as date[]),
               cast(:starts_at as timestamptz[]), cast(:ends_at as timestamptz[])) order by 1, 2
             on conflict (cycle_id, starts_on) do nothing"""),
        {
            "cycle_id": cycle_id,
            "starts_on": [period.days.first_on for period in made],
            "ends_on": [period.days.end_on for period in made],
            "starts_at": [period.starts_at for period in made],
            "ends_at": [period.ends_at for period in made],
        },
    )
    buckets.ensure(conn, cycle_id, first_at, last_at)
