"""Buckets: the hours, days and months of billing periods that metrics are taken by, made once as instants in UTC."""

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
