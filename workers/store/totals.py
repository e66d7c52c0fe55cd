"""Control totals: count, sum and hash per source, metric and hour at each hop, written by the steps themselves."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, text

#: The hash of one event number: 64 bits, summed as numeric, so that order and batching do not matter.
HASH = "hashint8extended({}, 0)"


def signed_hash(sign: str, event_no: str) -> str:
    """SQL for the sum of the hashes of events that are added (sign 1) and taken back (sign -1).

    Two sums of whole numbers take a third of the time of one sum of products, which must be numeric.
    """
    hashed = HASH.format(event_no)
    return (
        f"coalesce(sum({hashed}) filter (where {sign} > 0), 0) - coalesce(sum({hashed}) filter (where {sign} < 0), 0)"
    )


_ACCEPTED = text(f"""
insert into control_totals (hop, source_id, hour, events, quantity, hash)
select 'accepted', source_id, date_trunc('hour', happened_at), count(*), count(*), sum({HASH.format("event_no")})
from staging_events group by 1, 2, 3
""")


def add_accepted(conn: Connection) -> None:
    """Add what `accept` has just left in the staging table: the new events."""
    conn.execute(_ACCEPTED)


def add_counts(conn: Connection, hop: str, counts: Mapping[tuple[int, datetime], int]) -> None:
    """Add events that have no number yet, by (source, hour): parsed, duplicate, refused."""
    if not counts:
        return
    keys = sorted(counts, key=str)
    conn.execute(
        text("""insert into control_totals (hop, source_id, hour, events, quantity, hash)
             select :hop, source_id, hour, events, events, 0
             from unnest(cast(:sources as integer[]), cast(:hours as timestamptz[]), cast(:events as bigint[]))
               as t (source_id, hour, events)"""),
        {
            "hop": hop,
            "sources": [source for source, _ in keys],
            "hours": [hour for _, hour in keys],
            "events": [counts[key] for key in keys],
        },
    )


_FOLD = text("""
with gone as (
  delete from control_totals where id <= :up_to and (hop, source_id, metric_id, hour) in (
    select hop, source_id, metric_id, hour from control_totals where id <= :up_to
    group by 1, 2, 3, 4 having count(*) > 1 limit :keys)
  returning hop, source_id, metric_id, hour, events, quantity, hash)
insert into control_totals (hop, source_id, metric_id, hour, events, quantity, hash)
select hop, source_id, metric_id, hour, sum(events), sum(quantity), sum(hash) from gone group by 1, 2, 3, 4
""")


def fold(conn: Connection, *, keys_max: int = 5_000) -> None:
    """Replace the rows of one key by their sum; safe at any time, since nobody updates them."""
    conn.execute(text("select pg_advisory_xact_lock(7201, 4)"))
    up_to = conn.execute(text("select coalesce(max(id), 0) from control_totals")).scalar_one()
    conn.execute(_FOLD, {"up_to": up_to, "keys": keys_max})
