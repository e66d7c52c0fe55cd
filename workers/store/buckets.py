"""Buckets: the hours, days and months of billing periods that metrics are taken by, made once as instants in UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import Connection, text

from domain.metrics.buckets import Bucket, buckets_of
from domain.periods import BillingPeriod, Days, Window

_PERIODS = text("""
select p.starts_on, p.ends_on, p.starts_at, p.ends_at, y.zone from billing_periods p
join billing_cycles y on y.id = p.cycle_id
where p.cycle_id = :cycle and p.starts_at <= :last and p.ends_at > :first order by p.starts_at
""")
_INSERT = text("""
insert into buckets (cycle_id, bucket, starts_at, ends_at)
select :cycle, :bucket, * from unnest(cast(:starts as timestamptz[]), cast(:ends as timestamptz[])) order by 1, 2, 3
on conflict (cycle_id, bucket, starts_at) do nothing
""")
_WITHOUT = text("""
select p.cycle_id, p.starts_at from billing_periods p
cross join (select distinct bucket from metrics where bucket is not null) u
where p.id = any(cast(:periods as integer[])) and not exists (select from buckets k
  where k.cycle_id = p.cycle_id and k.bucket = u.bucket and k.starts_at = p.starts_at)
group by 1, 2 order by 1, 2
""")
_OF_PERIOD = text("""
select k.starts_at, k.ends_at from buckets k join billing_periods p on p.cycle_id = k.cycle_id
where p.id = :period and k.bucket = :bucket and k.starts_at >= p.starts_at and k.starts_at < p.ends_at order by 1
""")


def ensure(conn: Connection, cycle_id: int, first_at: datetime, last_at: datetime) -> None:
    """Make the buckets that metrics use of the cycle's periods that contain the two instants, and those between."""
    used = conn.execute(text("select distinct bucket from metrics where bucket is not null order by 1")).scalars().all()
    if not used:
        return
    found = conn.execute(_PERIODS, {"cycle": cycle_id, "first": first_at, "last": last_at}).all()
    for row in found:
        period = BillingPeriod(row.zone, Days(row.starts_on, row.ends_on), Window(row.starts_at, row.ends_at))
        for bucket in used:
            windows = buckets_of(period, cast("Bucket", bucket))
            conn.execute(
                _INSERT,
                {
                    "cycle": cycle_id,
                    "bucket": bucket,
                    "starts": [window.starts_at for window in windows],
                    "ends": [window.ends_at for window in windows],
                },
            )


def complete(conn: Connection, periods: Sequence[int]) -> None:
    """Make what these periods lack of the buckets that metrics use: one without usage may be older than they are."""
    for row in conn.execute(_WITHOUT, {"periods": sorted(set(periods))}).all():
        ensure(conn, row.cycle_id, row.starts_at, row.starts_at)


def of_period(conn: Connection, period_id: int, bucket: str) -> tuple[Window, ...]:
    """The buckets of a period, in order."""
    found = conn.execute(_OF_PERIOD, {"period": period_id, "bucket": bucket})
    return tuple(Window(row.starts_at, row.ends_at) for row in found)
