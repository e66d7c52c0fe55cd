"""Looks at a billing run for people: which period is meant, how far it is, its drafts and documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import Connection, text

from domain.closing import Blocker, Stage
from domain.periods import first_instant
from workers.store import billing_runs, periods

#: The blocker that stands for a person who has not approved yet.
APPROVAL = "approval_missing"


@dataclass(frozen=True, slots=True)
class Period:
    """A billing period of a legal entity's cycle."""

    id: int
    legal_entity_id: str
    cycle: str
    starts_on: date
    ends_on: date
    lot: int

    @property
    def name(self) -> str:
        """As commands take it: `2013-01` if it begins with the month, else its first day."""
        return f"{self.starts_on:%Y-%m}" if self.starts_on.day == 1 else str(self.starts_on)


@dataclass(frozen=True, slots=True)
class Documents:
    """A run's drafts or documents of one kind, state and currency: how many, and their sums."""

    kind: str
    state: str
    currency: str
    count: int
    net: Decimal
    tax: Decimal
    gross: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run is: its stage, what is in its way, its documents, and whether a step still works on it.

    `held` documents wait for an accounting period of their ERP: nothing moves before somebody opens it.
    """

    run_id: int
    stage: Stage
    lot: int
    blockers: Sequence[Blocker]
    documents: Sequence[Documents]
    approved_by: str | None
    held: int
    is_moving: bool

    @property
    def blockers_before_approval(self) -> Sequence[Blocker]:
        """What is in the way apart from the approval itself, which a person gives."""
        return [each for each in self.blockers if each.code != APPROVAL]


def entities(conn: Connection) -> list[str]:
    """The legal entities that have a cycle, by their ids in order."""
    return list(conn.execute(text("select distinct legal_entity_id from billing_cycles order by 1")).scalars())


def cycles(conn: Connection, legal_entity_id: str) -> Mapping[str, int]:
    """The cycles of a legal entity by name; empty if there is no such legal entity."""
    found = conn.execute(
        text("select name, id from billing_cycles where legal_entity_id = :id order by name"), {"id": legal_entity_id}
    )
    return {row.name: row.id for row in found}


def period(conn: Connection, cycle_id: int, first_on: date) -> Period | None:
    """The period of the cycle that begins on that day, made if no usage has made it yet; None if none begins then."""
    cycle = periods.cycle_of(conn, cycle_id)
    starts_at = first_instant(first_on, cycle.zone)
    if cycle.period_at(starts_at).days.first_on != first_on:
        return None
    periods.ensure(conn, cycle_id, starts_at, starts_at)
    row = conn.execute(
        text("""select p.id, c.legal_entity_id, c.name as cycle, p.starts_on, p.ends_on, p.lot
             from billing_periods p join billing_cycles c on c.id = p.cycle_id
             where p.cycle_id = :cycle and p.starts_on = :on"""),
        {"cycle": cycle_id, "on": first_on},
    ).one()
    return Period(*row)


def last_run(conn: Connection, period_id: int) -> int | None:
    """The newest run of a period, or None."""
    found = conn.execute(
        text("select id from billing_runs where billing_period_id = :id order by lot desc limit 1"), {"id": period_id}
    )
    return found.scalar_one_or_none()


#: A document that was voided and not billed anew since is left to the next run, also if it held no usage; so is what a
#: contract was given of a coupon for the period, or has no more, since the last run was asked for.
_NEW = text("""
select exists (select from aggregates where billing_period_id = :id and lot >= :lot)
  or exists (select from attributions a join batches b on b.id = a.batch_no and b.aggregated_no is null
    where a.billing_period_id = :id)
  or exists (select from billing_runs r join invoices v on v.billing_run_id = r.id and v.state = 'void'
    where r.billing_period_id = :id and not exists (
      select from billing_runs o join invoices n on n.billing_run_id = o.id and n.state <> 'void'
      where o.billing_period_id = :id and n.contract_id = v.contract_id and n.id > v.id))
  or exists (select from contract_coupons k join subscriptions s on s.contract_id = k.contract_id
    join billing_periods p on p.id = :id and p.cycle_id = s.cycle_id and s.starts_at < p.ends_at
      and s.ends_at > p.starts_at
    where k.starts_on < p.ends_on and k.ends_on >= p.ends_on
      and greatest(k.recorded_at, nullif(k.superseded_at, '9999-12-31 00:00:00+00')) > (
        select max(r.requested_at) from billing_runs r where r.billing_period_id = p.id))
""")


def has_new_usage(conn: Connection, period: Period) -> bool:
    """Whether usage has come into the period's open lot, is on its way to it, or was released by a void document.

    Or whether a coupon gives something else than the last run knew.
    """
    return bool(conn.execute(_NEW, {"id": period.id, "lot": period.lot}).scalar_one())


#: The state of a draft that a breaker holds: it does not go out with the others.
PARKED = "parked"
_DOCUMENTS = text(f"""
select i.kind, case when i.state in ('taxed', 'empty') and exists (
    select from account_holds h where h.invoice_id = i.id and h.released_at is null) then '{PARKED}' else i.state end,
  i.currency, count(*) as count, coalesce(sum(i.net), 0), coalesce(sum(i.tax), 0), coalesce(sum(i.gross), 0)
from invoices i where i.billing_run_id = :run group by 1, 2, 3 order by 1, 2, 3
""")
#: Stages that a run leaves by itself as soon as nothing is in the way: the next tick presses it on.
GO_ON: frozenset[Stage] = frozenset({"frozen", "approved", "posted", "reconciled"})
_STANDING = text("""
select r.stage, r.lot, r.approved_by, count(w.id) filter (where h.id is null) as owed, count(h.id) as held
from billing_runs r left join work w on w.close_id = r.id and w.state = 'ready'
left join exceptions h on h.work_id = w.id and h.state = 'open' and h.code = 'period_closed'
where r.id = :id group by r.id
""")


def standing(conn: Connection, run_id: int) -> Standing:
    """How far the run is now; nothing is locked."""
    row = conn.execute(_STANDING, {"id": run_id}).one()
    blockers = billing_runs.blockers_of(conn, run_id)
    goes_on = row.stage in GO_ON or (row.stage == "drafted" and row.approved_by is not None)
    return Standing(
        run_id=run_id,
        stage=row.stage,
        lot=row.lot,
        blockers=blockers,
        documents=[Documents(*each) for each in conn.execute(_DOCUMENTS, {"run": run_id})],
        approved_by=row.approved_by,
        held=row.held,
        is_moving=row.owed > 0 or (goes_on and not blockers and not row.held),
    )
