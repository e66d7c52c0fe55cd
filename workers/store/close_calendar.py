"""The close calendar: which periods are to be billed, how far each is, and until when it is to be closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from domain.closing import Stage
from domain.deadlines import CloseDays, Drain, Progress
from workers.store import periods
from workers.store.billing_looks import GO_ON

#: Periods that are listed or asked for at once; the others come with the next look.
LISTED_MAX: Final = 1_000
#: How far back finished work tells how fast it goes.
LOOK_BACK: Final = timedelta(minutes=10)
#: Of a cycle that nobody has used yet, periods are looked for from so long ago.
_YEAR: Final = timedelta(days=366)

#: A cycle is looked at from the first period that has usage or a run, or in which something of it is active.
_CYCLES = text("""
select y.id, coalesce(
  (select min(p.starts_at) from billing_periods p where p.cycle_id = y.id),
  (select min(greatest(s.starts_at, v.starts_at)) from subscriptions s
    join contract_versions v on v.contract_id = s.contract_id and v.superseded_at = '9999-12-31 00:00:00+00'
    where s.cycle_id = y.id)) as first_at, now() as now
from billing_cycles y where y.bill_after_days is not null
  and (not exists (select from billing_periods p
      where p.cycle_id = y.id and p.starts_at <= now() and p.ends_at > now())
    or exists (select from billing_periods p
      where p.cycle_id = y.id and p.ends_at <= now() and p.ends_at > now() - interval '1 year' and not exists (
        select from billing_periods n where n.cycle_id = y.id and n.starts_on = p.ends_on)))
order by y.id
""")


def make_periods(conn: Connection) -> None:
    """Make the periods up to now of every cycle that is billed by itself, where the present one or another is missing.

    Usage makes its own period alone: months between, which owe fees, are missing where a calendar begins later.
    """
    for row in conn.execute(_CYCLES).all():
        if row.first_at is not None and row.first_at <= row.now:
            periods.ensure(conn, row.id, max(row.first_at, row.now - _YEAR), row.now)


@dataclass(frozen=True, slots=True)
class Due:
    """A period that ended and that no run has billed."""

    period_id: int
    legal_entity: str
    cycle: str
    starts_on: date
    ends_on: date


#: A period in which nothing is active and nothing was used owes nobody a document.
_OWED = """(exists (select from subscriptions s where s.cycle_id = p.cycle_id and s.starts_at < p.ends_at
      and s.ends_at > p.starts_at)
    or exists (select from aggregates a where a.billing_period_id = p.id))"""
_DUE = text(f"""
select p.id, y.legal_entity_id, y.name, p.starts_on, p.ends_on, y.zone, y.bill_after_days, now() as now
from billing_cycles y join billing_periods p on p.cycle_id = y.id
where y.bill_after_days is not null and p.ends_at <= now() - make_interval(days => greatest(y.bill_after_days - 1, 0))
  and not exists (select from billing_runs r where r.billing_period_id = p.id) and {_OWED}
order by p.ends_at, p.id limit :limit
""")


def due(conn: Connection) -> Sequence[Due]:
    """The periods whose runs are to be asked for now, the oldest first."""
    found = conn.execute(_DUE, {"limit": LISTED_MAX}).all()
    return [
        Due(row.id, row.legal_entity_id, row.name, row.starts_on, row.ends_on)
        for row in found
        if (billed_at := CloseDays(row.zone, row.bill_after_days).billed_at(row.ends_on)) is not None
        and billed_at <= row.now
    ]


@dataclass(frozen=True, slots=True)
class Entry:
    """A period of the calendar: its days, how far it is, and what is in the way of it by code and count."""

    period_id: int
    legal_entity: str
    cycle: str
    starts_on: date
    ends_on: date
    close_days: CloseDays
    run_id: int | None
    stage: Stage
    blockers: Sequence[dict[str, Any]]
    progress: Progress
    now: datetime


_ENTRIES = text(f"""
select p.id, y.legal_entity_id, y.name, p.starts_on, p.ends_on, y.zone, y.bill_after_days, y.deadline_days,
  r.id as run_id, coalesce(r.stage, 'open') as stage, r.approved_by, coalesce(r.blockers, '[]') as blockers,
  coalesce(w.owed, 0) as owed, coalesce(w.done, 0) as done, now() as now
from billing_cycles y join billing_periods p on p.cycle_id = y.id
left join lateral (select * from billing_runs o where o.billing_period_id = p.id order by o.lot desc limit 1) r on true
left join lateral (select sum(greatest(k.weight, 1)) filter (where k.state = 'ready') as owed,
    sum(greatest(k.weight, 1)) filter (where k.state = 'done' and k.done_at > now() - :within) as done
  from work k where k.close_id = r.id) w on true
where p.ends_at <= now() and (r.stage is distinct from 'closed') and {_OWED}
  and (cast(:entity as text) is null or y.legal_entity_id = :entity)
  and (not :with_deadline or y.deadline_days is not null)
order by p.ends_on + coalesce(y.deadline_days, 0), p.id limit :limit
""")


def entries(conn: Connection, *, legal_entity: str | None = None, with_deadline: bool = False) -> Sequence[Entry]:
    """Every period that has ended and is not closed, what is due first comes first."""
    values = {
        "within": LOOK_BACK, "entity": legal_entity, "with_deadline": with_deadline, "limit": LISTED_MAX,
    }  # fmt: skip
    return [_entry(row) for row in conn.execute(_ENTRIES, values)]


def _entry(row: Row[Any]) -> Entry:
    goes_on = row.stage in GO_ON or (row.stage == "drafted" and row.approved_by is not None)
    waits = row.run_id is not None and row.owed == 0 and (bool(row.blockers) or not goes_on)
    is_asked = row.run_id is not None or row.bill_after_days is not None
    return Entry(
        period_id=row.id,
        legal_entity=row.legal_entity_id,
        cycle=row.name,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        close_days=CloseDays(row.zone, row.bill_after_days, row.deadline_days),
        run_id=row.run_id,
        stage=row.stage,
        blockers=row.blockers,
        progress=Progress(
            is_closed=False, waits_for_person=waits or not is_asked, drain=Drain(row.owed, row.done, LOOK_BACK)
        ),
        now=row.now,
    )
