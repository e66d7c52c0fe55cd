"""What validate found in each receipt: the event identity, receipt by receipt."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from workers.sift import Tally

COLUMNS = ("bodies", "unreadable", "parsed", "accepted", "duplicate", "refused", "happened_min", "happened_max")


def record(conn: Connection, tallies: Mapping[int, "Tally"]) -> None:
    """Insert one row a receipt; the table refuses a row whose sums do not agree."""
    values: dict[str, list[object]] = {name: [getattr(tally, name) for tally in tallies.values()] for name in COLUMNS}
    conn.execute(
        text("""insert into receipt_counts (receipt_id, bodies, unreadable, parsed, accepted, duplicate, refused,
               happened_min, happened_max)
             select * from unnest(cast(:receipt_id as bigint[]), cast(:bodies as integer[]),
               cast(:unreadable as integer[]),
               cast(:parsed as integer[]), cast(:accepted as integer[]), cast(:duplicate as integer[]),
               cast(:refused as integer[]), cast(:happened_min as timestamptz[]), cast(:happened_max as timestamptz[]))
             order by 1"""),
        {"receipt_id": list(tallies), **values},
    )
