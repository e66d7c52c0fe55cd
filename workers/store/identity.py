"""The two identities of the promise, read in one snapshot: nothing is written here, every fate is derived.

Events: `parsed = accepted + duplicate + refused`. Usage, per source, metric and hour:
`attributed = billed + excluded + in exception + in flight`. In flight ends when the ERP has confirmed the document;
what stands still on the way there, dead or held by a closed period, is in exception.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from domain.periods import EVER, OPEN_END
from workers.store.fates import FATE_OF, FATES, JOINS
from workers.store.totals import HASH

#: Differences that are listed; one is enough to know that something is wrong.
DIFFERENCES_MAX = 100


@dataclass(frozen=True, slots=True)
class EventTotals:
    """All events since the beginning, by what validate found."""

    bodies: int
    unreadable: int
    parsed: int
    accepted: int
    duplicate: int
    refused: int
    waiting_receipts: int

    @property
    def is_balanced(self) -> bool:
        """Whether every event that was read has one fate."""
        return self.parsed == self.accepted + self.duplicate + self.refused


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """All usage of one metric, by fate."""

    metric: str
    attributed: int
    billed: int
    excluded: int
    excepted: int
    in_flight: int

    @property
    def is_balanced(self) -> bool:
        """Whether every usage has one fate."""
        return self.attributed == self.billed + self.excluded + self.excepted + self.in_flight


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two counts of the same thing differ: what, where, and both counts."""

    check: str
    source: str
    metric: str
    hour: datetime
    expected: str
    found: str


_EVENTS = text("""
select coalesce(sum(bodies), 0), coalesce(sum(unreadable), 0), coalesce(sum(parsed), 0), coalesce(sum(accepted), 0),
  coalesce(sum(duplicate), 0), coalesce(sum(refused), 0),
  (select count(*) from receipts r where not exists (select from receipt_counts c where c.receipt_id = r.id))
from receipt_counts
""")

#: The fate of each usage: that of the document that holds it, or of the work that should bring it there.
_FATES = f"""
with {FATES},
fates as (
  select a.source_id, a.metric_id, a.hour, {FATE_OF} as fate, a.sign as events, a.sign * a.quantity as quantity,
    a.sign * {HASH.format("a.event_no")}::numeric as hash
  from attributions a join batches b on b.id = a.batch_no {JOINS}
  union all
  select source_id, metric_id, hour, 'excluded', 1, quantity, {HASH.format("event_no")} from exclusions
  union all
  select source_id, metric_id, date_trunc('hour', happened_at),
    case state when 'open' then 'excepted' else 'excluded' end,
    1, coalesce(quantity, 0), {HASH.format("event_no")}
  from exceptions where step = 'enrich' and event_no is not null and state in ('open', 'dismissed')
)"""

_USAGE = text(f"""{_FATES},
sums as (select metric_id, sum(events) filter (where fate = 'billed') as billed,
    sum(events) filter (where fate = 'excluded') as excluded, sum(events) filter (where fate = 'excepted') as excepted,
    sum(events) filter (where fate = 'in_flight') as in_flight from fates group by metric_id),
written as (select metric_id, sum(events) as attributed from control_totals where hop = 'attributed' group by metric_id)
select coalesce(m.name, 'none'), coalesce(w.attributed, 0), coalesce(s.billed, 0), coalesce(s.excluded, 0),
  coalesce(s.excepted, 0), coalesce(s.in_flight, 0)
from sums s full join written w using (metric_id) left join metrics m
  on m.id = coalesce(s.metric_id, w.metric_id) order by 1
""")

_USAGE_DIFFERENCES = text(f"""{_FATES},
found as (select source_id, metric_id, hour, sum(events) as events, sum(quantity) as quantity, sum(hash) as hash
  from fates group by 1, 2, 3),
written as (select source_id, metric_id, hour, sum(events) as events, sum(quantity) as quantity, sum(hash) as hash
  from control_totals where hop = 'attributed' group by 1, 2, 3 having sum(events) <> 0)
select 'usage: attributed = billed + excluded + in exception + in flight', s.name, coalesce(m.name, 'none'), hour,
  concat_ws(' / ', w.events, trim_scale(w.quantity), w.hash), concat_ws(' / ', f.events, trim_scale(f.quantity), f.hash)
from written w full join (select * from found where events <> 0) f using (source_id, metric_id, hour)
left join sources s on s.id = source_id left join metrics m on m.id = metric_id
where (w.events, w.quantity, w.hash) is distinct from (f.events, f.quantity, f.hash)
  and hour >= :starts_at and hour < :ends_at order by hour, 2, 3 limit :limit
""")

_EVENT_DIFFERENCES = text(f"""
with found as (select source_id, date_trunc('hour', happened_at) as hour, count(*) as events,
    sum({HASH.format("event_no")}) as hash from usage_events group by 1, 2),
written as (select source_id, hour, sum(events) as events, sum(hash) as hash from control_totals
  where hop = 'accepted' group by 1, 2)
select 'events: accepted = stored', s.name, '', hour, concat_ws(' / ', w.events, w.hash),
  concat_ws(' / ', f.events, f.hash)
from written w full join found f using (source_id, hour) left join sources s on s.id = source_id
where (w.events, w.hash) is distinct from (f.events, f.hash)
  and hour >= :starts_at and hour < :ends_at order by hour, 2 limit :limit
""")

#: What was accepted has been attributed, unless its receipt still waits for enrich.
_HOP_DIFFERENCES = text("""
with fates as (
  select source_id, hour, sum(events) filter (where hop = 'parsed') as parsed,
    sum(events) filter (where hop in ('accepted', 'duplicate', 'refused')) as sorted
  from control_totals where metric_id = 0 group by 1, 2)
select 'events: parsed = accepted + duplicate + refused', s.name, '', hour, parsed::text, sorted::text
from fates left join sources s on s.id = source_id where parsed is distinct from sorted and
  (parsed is not null or sorted is not null) and hour >= :starts_at and hour < :ends_at order by hour, 2 limit :limit
""")


def event_totals(conn: Connection) -> EventTotals:
    """The event identity in whole numbers."""
    return EventTotals(*conn.execute(_EVENTS).one())


def usage_totals(conn: Connection) -> list[UsageTotals]:
    """The usage identity in whole numbers, a row a metric."""
    return [UsageTotals(row[0], *(int(count) for count in row[1:])) for row in conn.execute(_USAGE)]


def differences(conn: Connection, starts_at: datetime = EVER, ends_at: datetime = OPEN_END) -> Sequence[Difference]:
    """Where an identity does not hold, by source, metric and hour; count, quantity and hash are compared.

    Of each check the first `DIFFERENCES_MAX` in hours from `starts_at` to before `ends_at`.
    `conn` must be a snapshot (`database.snapshot`), or work that goes on meanwhile shows as a difference.
    """
    statements = (_HOP_DIFFERENCES, _EVENT_DIFFERENCES, _USAGE_DIFFERENCES)
    values = {"limit": DIFFERENCES_MAX, "starts_at": starts_at, "ends_at": ends_at}
    return [Difference(*row) for each in statements for row in conn.execute(each, values)]
