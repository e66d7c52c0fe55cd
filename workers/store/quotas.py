"""Quotas: how many events a source may send an hour, counted by the database's clock."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, text

from workers.store.events import Candidate

#: One row a source and hour; only sources that have a quota are counted.
_TAKE = text("""
insert into source_hours (source_id, hour, events)
select s.id, date_trunc('hour', now()), t.events
from unnest(cast(:sources as integer[]), cast(:events as bigint[])) as t (source_id, events)
join sources s on s.id = t.source_id and s.quota_per_hour is not null
order by s.id
on conflict (source_id, hour) do update set events = source_hours.events + excluded.events
returning source_id, events, (select quota_per_hour from sources where id = source_id) as quota
""")


def beyond(conn: Connection, by_source: Mapping[int, Sequence[Candidate]]) -> Iterator[tuple[Candidate, str]]:
    """The candidates for which their source has no room left in this hour, each with a sentence that says so."""
    sources = sorted(by_source)
    if not sources:
        return
    taken = conn.execute(_TAKE, {"sources": sources, "events": [len(by_source[source]) for source in sources]}).all()
    for row in taken:
        over = min(max(row.events - row.quota, 0), len(by_source[row.source_id]))
        for candidate in by_source[row.source_id][len(by_source[row.source_id]) - over :]:
            sentence = (
                f"the source may send {row.quota} events an hour: ask its owner for more, or send later under a new id"
            )
            yield candidate, sentence
