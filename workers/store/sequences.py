"""Sequence numbers: marks of what came, written by validate without a lock, folded into runs; gaps as exceptions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from domain.completeness import FIRST_NUMBER, GAP, Gap, Rest, Run, Told, change, gaps, merged, runs_of
from queues import exceptions
from queues.exceptions import NewException

#: Whoever folds, and whoever looks for gaps, does so alone; validate never takes this lock.
LOCK = "select pg_advisory_xact_lock(7201, 3)"
#: Marks folded at a time.
MARKS_MAX = 10_000
#: Exceptions about gaps that one source may have open; beyond it the lowest numbers are told as one.
GAPS_MAX = 1_000
#: Runs read at a time, and all that is kept of a source in memory.
RUNS_AT_A_TIME = 5_000
#: Runs of a source that are looked at one by one: a look is taken under the fence, and must not take long.
RUNS_MAX = 20_000
#: How long a number may be missing before it is told, unless the source's master data say otherwise.
GRACE_S = 300
#: Exceptions about gaps looked at for all sources together.
TOLD_MAX = 200_000

_COLUMNS = "source_id, first, last, first_at, last_at, seen_at"
_ROWS = """unnest(cast(:sources as integer[]), cast(:firsts as bigint[]), cast(:lasts as bigint[]),
  cast(:first_ats as timestamptz[]), cast(:last_ats as timestamptz[]), cast(:seen_ats as timestamptz[]))"""
_MARK = text(f"insert into sequence_marks ({_COLUMNS}) select * from {_ROWS} order by 1, 2")
_KEEP = text(f"insert into sequence_runs ({_COLUMNS}) select * from {_ROWS} order by 1, 2")
_TAKE = text(f"""
delete from sequence_marks where id in (select id from sequence_marks order by id limit :marks) returning {_COLUMNS}
""")
#: The runs that a mark may overlap or touch: the one that begins before it, and those that begin within it.
_NEAR = text(f"""
with fresh as (select * from {_ROWS} as t ({_COLUMNS}))
select r.* from fresh f cross join lateral (
  (select {_COLUMNS} from sequence_runs where source_id = f.source_id and first < f.first order by first desc limit 1)
  union all
  (select {_COLUMNS} from sequence_runs where source_id = f.source_id and first between f.first and f.last + 1)) r
""")
_DROP = text("""
delete from sequence_runs where (source_id, first) in (
  select * from unnest(cast(:sources as integer[]), cast(:firsts as bigint[])))
""")

#: A run with its source.
Kept = tuple[int, Run]


def mark(conn: Connection, numbers: Mapping[int, Sequence[tuple[int, datetime]]], *, seen_at: datetime) -> None:
    """Note which numbers of each source came in this claim, with the times of their events: one statement."""
    if numbers:
        found = [(source, run) for source, each in numbers.items() for run in runs_of(each, seen_at=seen_at)]
        conn.execute(_MARK, _values(found))


def _values(runs: Sequence[Kept]) -> dict[str, list[object]]:
    return {
        "sources": [source for source, _ in runs],
        "firsts": [run.first for _, run in runs],
        "lasts": [run.last for _, run in runs],
        "first_ats": [run.first_at for _, run in runs],
        "last_ats": [run.last_at for _, run in runs],
        "seen_ats": [run.seen_at for _, run in runs],
    }


def lock(conn: Connection) -> None:
    """Be alone with the runs and the exceptions about gaps until the transaction ends."""
    conn.execute(text(LOCK))


def fold(conn: Connection, *, marks_max: int = MARKS_MAX) -> int:
    """Join the oldest marks into the runs; how many there were. The caller holds the lock."""
    taken = [(row[0], Run(*row[1:])) for row in conn.execute(_TAKE, {"marks": marks_max})]
    if not taken:
        return 0
    fresh = _merged(taken)
    near = {(row[0], Run(*row[1:])) for row in conn.execute(_NEAR, _values(fresh))}
    joined = _merged([*near, *fresh])
    gone, new = sorted(near - set(joined)), [each for each in joined if each not in near]
    conn.execute(_DROP, {"sources": [source for source, _ in gone], "firsts": [run.first for _, run in gone]})
    conn.execute(_KEEP, _values(new))
    return len(taken)


def _merged(runs: Sequence[Kept]) -> list[Kept]:
    by_source: dict[int, list[Run]] = {}
    for source, run in runs:
        by_source.setdefault(source, []).append(run)
    return [(source, run) for source, each in sorted(by_source.items()) for run in merged(each)]


@dataclass(frozen=True, slots=True)
class Series:
    """A source that numbers its events: where its numbers begin, and how long one may be missing untold."""

    source_id: int
    source: str
    start: int
    grace_s: int


_SERIES = f"""
select s.id, s.name, coalesce(s.sequence_start, {FIRST_NUMBER}) as start, coalesce(s.gap_grace_s, {GRACE_S}) as grace_s
from sources s"""
#: Whatever has a gap, or had one.
_SUSPECT = text(f"""{_SERIES} where s.id in (
  select source_id from exceptions where code = '{GAP}' and state = 'open'
  union all
  select r.source_id from sequence_runs r join sources n on n.id = r.source_id group by r.source_id
  having count(*) > 1 or min(r.first) > coalesce(min(n.sequence_start), {FIRST_NUMBER})) order by s.id
""")
_ALL = text(f"{_SERIES} where exists (select from sequence_runs r where r.source_id = s.id) order by s.name")
_RUNS = text("""
select first, last, first_at, last_at, seen_at from sequence_runs where source_id = :source order by first desc
""")

_HIGHEST = text("""
select first, last, first_at, last_at, seen_at from sequence_runs where source_id = :source
order by first desc limit :runs
""")


def series(conn: Connection) -> list[Series]:
    """Every source of which a numbered event has come, by name."""
    return [Series(*row) for row in conn.execute(_ALL)]


def runs(conn: Connection, source_id: int) -> Iterator[Run]:
    """The runs of a source, the highest first; read as they are asked for, so read them to the end."""
    options = {"stream_results": True, "yield_per": RUNS_AT_A_TIME}
    for row in conn.execute(_RUNS, {"source": source_id}, execution_options=options):
        yield Run(*row)


_REST = text("""
select coalesce(sum(last - greatest(first, :start) + 1) filter (where last >= :start), 0)::bigint as received,
  min(least(first_at, last_at)), max(greatest(first_at, last_at)), min(seen_at)
from sequence_runs where source_id = :source and first < :below having count(*) > 0
""")


def gaps_of(conn: Connection, each: Series) -> list[Gap]:
    """What is missing of a source now, the highest gap first."""
    found = [Run(*row) for row in conn.execute(_HIGHEST, {"source": each.source_id, "runs": RUNS_MAX})]
    rest = None
    if len(found) == RUNS_MAX:
        values = {"source": each.source_id, "start": each.start, "below": found[-1].first}
        row = conn.execute(_REST, values).one_or_none()
        rest = None if row is None else Rest(*row)
    return gaps(found, start=each.start, gaps_max=GAPS_MAX, rest=rest)


_TOLD = text(f"""
select id, source_id, state, cast(facts ->> 'from' as bigint) as first, cast(facts ->> 'to' as bigint) as last,
  cast(quantity as bigint) as missing
from exceptions where code = '{GAP}' and state in ('open', 'dismissed') and source_id = any(cast(:sources as integer[]))
order by id limit :told
""")
_CLOSE = text("""
with gone as (
  select x.id, t.reason from exceptions x
  join unnest(cast(:ids as bigint[]), cast(:reasons as text[])) as t (id, reason) using (id)
  where x.state = 'open' order by x.id for update of x)
update exceptions x set state = 'resolved', closed_at = now(), closed_by = 'tallyline', reason = gone.reason
from gone where x.id = gone.id
""")


def tell(conn: Connection, *, at_once: bool) -> int:
    """Make the open exceptions say exactly what is missing; how many of them changed. The caller holds the lock.

    A gap is told when it is older than the grace of its source, or whatever its age if `at_once`.
    """
    suspects = [Series(*row) for row in conn.execute(_SUSPECT)]
    if not suspects:
        return 0
    now: datetime = conn.execute(text("select clock_timestamp()")).scalar_one()
    told: dict[int, list[Told]] = {each.source_id: [] for each in suspects}
    for row in conn.execute(_TOLD, {"sources": list(told), "told": TOLD_MAX}):
        told[row.source_id].append(Told(row.id, row.first, row.last, row.missing, row.state))
    opened: list[NewException] = []
    closed: list[tuple[int, str]] = []
    for each in suspects:
        seen_before = now if at_once else now - timedelta(seconds=each.grace_s)
        changed = change(gaps_of(conn, each), told[each.source_id], seen_before=seen_before)
        opened += [_exception(each, gap) for gap in changed.to_open]
        closed += changed.to_close
    if closed:
        conn.execute(_CLOSE, {"ids": [id_ for id_, _ in closed], "reasons": [reason for _, reason in closed]})
    exceptions.open_exceptions(conn, opened)
    return len(opened) + len(closed)


def _exception(each: Series, gap: Gap) -> NewException:
    stretch = f"{gap.first}/{gap.last}/{gap.missing}"
    key16, digest = exceptions.of_subject("validate", f"gap/{each.source_id}/{stretch}")
    facts: dict[str, Any] = {"from": gap.first, "to": gap.last}
    return NewException(
        step="validate",
        code=GAP,
        key16=key16,
        hash=digest,
        sentence=sentence(each.source, gap),
        source_id=each.source_id,
        source=each.source,
        happened_at=gap.happened_at,
        happened_until=gap.happened_until,
        quantity=Decimal(gap.missing),
        correlation_id=f"source/{each.source_id}",
        is_priced_at_opening=True,
        facts=facts,
    )


def sentence(source: str, gap: Gap) -> str:
    """What is missing, for people: `50 events are missing: numbers 301 to 350 of /a`."""
    if gap.missing == 1 and gap.first == gap.last:
        return f"1 event is missing: number {gap.first} of {source}"
    among = "numbers" if gap.missing == gap.last - gap.first + 1 else "among numbers"
    return f"{gap.missing:,} events are missing: {among} {gap.first} to {gap.last} of {source}"
